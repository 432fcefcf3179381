//! Processes on this machine, as listed in `/proc`.

use std::path::Path;
use std::time::{Duration, Instant};

/// Only a defect makes a process outlive this.
const TIMEOUT: Duration = Duration::from_mins(1);
/// The end of a process that is not a child can only be polled.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

fn all() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// State and parent of a process; `None` if it does not exist.
fn state_and_parent(process: u32) -> Option<(String, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}

/// Ids of the running processes whose parent is `parent`.
pub(super) fn children(parent: u32) -> Vec<u32> {
    let is_child =
        |process: &u32| state_and_parent(*process).is_some_and(|(state, of)| state != "Z" && of == parent);
    all().filter(is_child).collect()
}

/// Whether a process runs. A zombie that has not been reaped does not.
pub(super) fn is_alive(process: u32) -> bool {
    state_and_parent(process).is_some_and(|(state, _)| state != "Z")
}

/// Whether a child of this process with the name `ffmpeg` is paused (`SIGSTOP`).
pub(super) fn is_a_child_ffmpeg_paused() -> bool {
    all().any(|process| {
        let name = std::fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
        name.trim_end() == "ffmpeg" && state_and_parent(process) == Some(("T".to_owned(), std::process::id()))
    })
}

pub(super) async fn wait_until_dead(process: u32) {
    let started_at = Instant::now();
    while is_alive(process) {
        assert!(started_at.elapsed() < TIMEOUT, "process {process} is still running");
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Fails if a process keeps running with its working directory in `directory`. FFmpeg runs in the scratch directory of its
/// attempt.
pub(super) fn assert_none_runs_in(directory: &Path) {
    let directory = directory.canonicalize().unwrap();
    let started_at = Instant::now();
    loop {
        let running: Vec<u32> = all()
            .filter(|process| {
                std::fs::read_link(format!("/proc/{process}/cwd"))
                    .is_ok_and(|cwd| cwd.starts_with(&directory))
            })
            .collect();
        if running.is_empty() {
            return;
        }
        assert!(started_at.elapsed() < TIMEOUT, "processes are left running: {running:?}");
        std::thread::sleep(POLL_INTERVAL);
    }
}
