//! Enables controllers in a group for the groups below it.

use std::io::{self, ErrorKind};
use std::path::Path;

use rustix::io::Errno;

use super::delegation::MAIN;
use super::{PROCESSES, write};

/// How often processes are moved. They may start others meanwhile, and other workers may do the same.
const TRIES: usize = 8;

/// Enables those of `wanted` that the group `path` has.
///
/// A group with processes cannot have limits for groups below it. Its processes are then moved into the group [`MAIN`] below it; the
/// limits of `path` still hold for them.
pub(super) fn enable(path: &Path, wanted: &[&str]) -> io::Result<()> {
    let read = |file| std::fs::read_to_string(path.join(file));
    let (present, enabled) = (read("cgroup.controllers")?, read("cgroup.subtree_control")?);
    let has = |list: &str, wanted: &str| list.split_whitespace().any(|one| one == wanted);
    let missing = wanted.iter().filter(|name| has(&present, name) && !has(&enabled, name));
    let missing: Vec<String> = missing.map(|name| format!("+{name}")).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for _ in 0..TRIES {
        match write(path, "cgroup.subtree_control", &missing.join(" ")) {
            Err(error) if error.kind() == ErrorKind::ResourceBusy => move_processes(path)?,
            result => return result,
        }
    }
    Err(ErrorKind::ResourceBusy.into())
}

/// Moves the processes of the group `path` into the one below it.
fn move_processes(path: &Path) -> io::Result<()> {
    let main = path.join(MAIN);
    match std::fs::create_dir(&main) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    for process in std::fs::read_to_string(path.join(PROCESSES))?.lines() {
        if process == "0" {
            let text = "the group has processes of another namespace";
            return Err(io::Error::new(ErrorKind::PermissionDenied, text));
        }
        match write(&main, PROCESSES, process) {
            Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => {}
            result => result?,
        }
    }
    Ok(())
}
