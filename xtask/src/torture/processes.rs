//! Waiting for the processes of a run that was killed.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long the workers and FFmpeg may take to end after the platform.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Waits until no other process names the directory in its command line or environment, or works in it.
pub(super) fn wait_until_none_uses(directory: &Path) -> Result<()> {
    let deadline = Instant::now() + TIMEOUT;
    while let Some(left) = first_that_uses(directory) {
        if Instant::now() >= deadline {
            bail!(
                "{} s after the platform was killed, one of its processes is left: {left}",
                TIMEOUT.as_secs()
            );
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// The number and the command line of a process that uses the directory.
fn first_that_uses(directory: &Path) -> Option<String> {
    let (own, text) = (std::process::id().to_string(), directory.to_string_lossy().into_owned());
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().into_string().ok());
    let mut others = ids.filter(|id| id.bytes().all(|byte| byte.is_ascii_digit()) && *id != own);
    others.find_map(|id| {
        let read = |name: &str| fs::read(format!("/proc/{id}/{name}")).unwrap_or_default();
        let text_of = |name: &str| String::from_utf8_lossy(&read(name)).replace('\0', " ");
        let (command_line, environment) = (text_of("cmdline"), text_of("environ"));
        // A process that has ended and was not waited for yet has no command line.
        let is_running = !command_line.trim().is_empty();
        let works_there =
            fs::read_link(format!("/proc/{id}/cwd")).is_ok_and(|cwd| cwd.starts_with(directory));
        let uses = command_line.contains(&text) || environment.contains(&text) || works_there;
        (is_running && uses).then(|| format!("{id} {}", command_line.trim()))
    })
}
