//! Processes of this machine, as far as the system lists them.

use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Only a fault makes a process stay this long.
const PATIENCE: Duration = Duration::from_secs(15);

/// Waits until no process is left whose command line, environment or working directory speaks of `folder`.
pub(crate) async fn none_about(folder: &Path) {
    let folder = folder.display().to_string();
    let begun = Instant::now();
    loop {
        let left = about(&folder);
        if left.is_empty() {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "left over: {left:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

fn about(folder: &str) -> Vec<String> {
    let own = std::process::id().to_string();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = processes.filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()) && *name != own)
        .filter_map(|name| {
            let read = |file: &str| std::fs::read(format!("/proc/{name}/{file}")).unwrap_or_default();
            let text = |file: &str| String::from_utf8_lossy(&read(file)).replace('\0', " ");
            let (words, environment) = (text("cmdline"), text("environ"));
            let place = std::fs::read_link(format!("/proc/{name}/cwd")).unwrap_or_default();
            let speaks = words.contains(folder)
                || environment.contains(folder)
                || place.to_string_lossy().contains(folder);
            speaks.then_some(words)
        })
        .filter(|words| !words.trim().is_empty())
        .collect()
}
