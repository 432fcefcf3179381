//! Processes of this machine, as listed in `/proc`.

use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// The timeout for processes to end.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Waits until no process refers to `folder` in its command line, environment or working directory.
pub(crate) async fn wait_until_none_uses(folder: &Path) {
    let folder = folder.display().to_string();
    let begun = Instant::now();
    loop {
        let left = using(&folder);
        if left.is_empty() {
            return;
        }
        assert!(begun.elapsed() < TIMEOUT, "these processes did not end: {left:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Returns the command lines of other processes that refer to `folder`.
fn using(folder: &str) -> Vec<String> {
    let own = std::process::id().to_string();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = processes.filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()) && *name != own)
        .filter_map(|name| {
            let read = |file: &str| std::fs::read(format!("/proc/{name}/{file}")).unwrap_or_default();
            let text = |file: &str| String::from_utf8_lossy(&read(file)).replace('\0', " ");
            let (command, environment) = (text("cmdline"), text("environ"));
            let directory = std::fs::read_link(format!("/proc/{name}/cwd")).unwrap_or_default();
            let uses = command.contains(folder)
                || environment.contains(folder)
                || directory.to_string_lossy().contains(folder);
            uses.then_some(command)
        })
        .filter(|command| !command.trim().is_empty())
        .collect()
}
