//! A control group (cgroup version 2) for one child and everything that it starts.
//!
//! ```text
//! subtree: the group that is left to this program, see `delegation`
//!   ├─ streamio-main                    what was in the subtree's own group, see `controllers`
//!   └─ streamio-ffmpeg-PID-START-N      one child: limits, its end, its removal
//! ```
//!
//! The files of a group are described in the kernel's `Documentation/admin-guide/cgroup-v2.rst`. Without a control group a child has the
//! limits of its process only ([`Bounds`]).

mod controllers;
mod delegation;
mod leftovers;
mod name;
mod subtree;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::leftovers::Leftovers;
pub(super) use self::subtree::Subtree;
use crate::process::Bounds;

const MEMORY_LIMIT: &str = "memory.max";
const PROCESSES_LIMIT: &str = "pids.max";
const PROCESSES: &str = "cgroup.procs";

/// Threads that a child may have for each processor core and in addition: several times what FFmpeg starts, and far less than the
/// machine can have.
const THREADS_PER_CORE: u64 = 32;
const OTHER_THREADS: u64 = 256;

/// What the kernel limits for all processes of a control group together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Controllers {
    /// Memory, that of the kernel for these processes and of files in memory included.
    pub memory: bool,
    /// The number of processes and threads.
    pub processes: bool,
}

/// The limits of one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// Bytes of memory; `None` for no limit.
    pub(super) memory: Option<u64>,
    /// The number of processes and threads.
    pub(super) processes: u64,
}

impl Limits {
    /// The limits of a child with the limits `bounds` that may write in `directory`.
    ///
    /// Memory is that of the process alone, whose own limit is reached first: an allocation then fails, and FFmpeg says so. What the
    /// process writes into a file system that is in memory is added, because it counts as memory of the group.
    pub(super) fn of(bounds: Option<Bounds>, directory: Option<&Path>) -> Self {
        let files = |bounds: Bounds| directory.filter(|path| is_in_memory(path)).map_or(0, |_| bounds.file);
        let memory = bounds.map(|bounds| bounds.memory_here().saturating_add(files(bounds)));
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
        Self { memory, processes: OTHER_THREADS + cores * THREADS_PER_CORE }
    }
}

/// Whether the files in `directory` are in memory (tmpfs, ramfs).
#[cfg(target_os = "linux")]
fn is_in_memory(directory: &Path) -> bool {
    // The numbers are in the kernel's `include/uapi/linux/magic.h`.
    rustix::fs::statfs(directory).is_ok_and(|system| matches!(system.f_type, 0x0102_1994 | 0x8584_58f6))
}

/// Other systems have no control groups.
#[cfg(not(target_os = "linux"))]
fn is_in_memory(_: &Path) -> bool {
    false
}

/// The control group of one child. Dropping it kills every process in it and removes it.
#[derive(Debug)]
pub(crate) struct ControlGroup {
    path: PathBuf,
    leftovers: Arc<Leftovers>,
}

impl ControlGroup {
    /// Makes the group `path` with `limits`. Those of controllers that the group does not have are left out.
    fn new(path: PathBuf, limits: Limits, leftovers: Arc<Leftovers>) -> io::Result<Self> {
        std::fs::create_dir(&path)?;
        let group = Self { path, leftovers };
        group.limit(limits)?;
        Ok(group)
    }

    fn limit(&self, limits: Limits) -> io::Result<()> {
        let set = |file, value: &str| match write(&self.path, file, value) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        };
        if let Some(memory) = limits.memory {
            set(MEMORY_LIMIT, &memory.to_string())?;
            set("memory.swap.max", "0")?;
            // All processes of the group end together: what is left of an FFmpeg without one of them would only wait.
            set("memory.oom.group", "1")?;
        }
        set(PROCESSES_LIMIT, &limits.processes.to_string())
    }

    /// The folder of the group.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Kills every process in the group.
    ///
    /// # Errors
    /// `NotFound` before Linux 5.14, which has no such operation.
    pub(crate) fn kill(&self) -> io::Result<()> {
        write(&self.path, "cgroup.kill", "1")
    }

    /// Whether the kernel killed processes of the group because its memory reached its limit. `false` if the machine, or a group above,
    /// had no memory left.
    pub(crate) fn exceeded_memory(&self) -> bool {
        std::fs::read_to_string(self.path.join("memory.events")).is_ok_and(|events| has_exceeded(&events))
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        match self.kill() {
            Err(error) if error.kind() != io::ErrorKind::NotFound => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot end the processes in the control group of an FFmpeg"
            ),
            _ => {}
        }
        self.leftovers.add(std::mem::take(&mut self.path));
    }
}

/// Moves this process into the group `path`. Returns the group's controllers.
pub(super) fn join(path: &Path) -> io::Result<Controllers> {
    write(path, PROCESSES, "0")?;
    let has = |file| path.join(file).exists();
    Ok(Controllers { memory: has(MEMORY_LIMIT), processes: has(PROCESSES_LIMIT) })
}

/// Writes into a file of the group `path`, which exists.
fn write(path: &Path, file: &str, text: &str) -> io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).truncate(true).open(path.join(file))?;
    file.write_all(text.as_bytes())
}

/// From the text of `memory.events`. `oom` counts allocations that failed at the limit of this group, `oom_kill` the processes that the
/// kernel killed for any lack of memory.
fn has_exceeded(events: &str) -> bool {
    let has = |name: &str| {
        events.lines().any(|line| {
            line.split_once(' ').is_some_and(|(key, count)| key == name && !matches!(count.trim(), "0" | ""))
        })
    };
    has("oom") && has("oom_kill")
}

#[cfg(test)]
mod tests;
