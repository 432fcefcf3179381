//! The control group that is left to this program, with the groups below it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::leftovers::Leftovers;
use super::name::Process;
use super::{ControlGroup, Limits, controllers, delegation};

/// Where version 2 is mounted: alone, or beside version 1.
const ROOTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// The controllers of the groups of children.
const CONTROLLERS: [&str; 2] = ["memory", "pids"];

/// A control group in which this program makes one for each child.
#[derive(Debug)]
pub(in super::super) struct Subtree {
    path: PathBuf,
    this_process: Process,
    pub(super) leftovers: Arc<Leftovers>,
}

impl Subtree {
    /// The subtree of this process, with the controllers that it has; `None` if there is none. Whether groups can be made in it is not
    /// known yet. Removes the groups of workers that were killed.
    pub(in super::super) fn detect() -> Option<Self> {
        let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
        let root = ROOTS.into_iter().map(Path::new).find(|root| root.join("cgroup.controllers").exists())?;
        let own = delegation::own_group(&groups)?;
        let path = delegation::subtree(root, own, delegation::is_marked_by_systemd)?;
        if let Err(error) = controllers::enable(&path, &CONTROLLERS) {
            tracing::info!(
                error = &error as &dyn std::error::Error,
                path = %path.display(),
                "cannot enable controllers for the control groups of FFmpeg"
            );
        }
        let subtree = Self::at(path)?;
        subtree.remove_abandoned();
        Some(subtree)
    }

    /// The subtree with the folder `path`.
    pub(super) fn at(path: PathBuf) -> Option<Self> {
        Some(Self { path, this_process: Process::this()?, leftovers: Arc::default() })
    }

    /// Makes a group for a child.
    pub(in super::super) fn group(&self, limits: Limits) -> io::Result<ControlGroup> {
        self.leftovers.remove();
        ControlGroup::new(self.path.join(self.this_process.group_name()), limits, Arc::clone(&self.leftovers))
    }

    /// Removes the groups of workers that have ended, where no process is left.
    pub(super) fn remove_abandoned(&self) {
        for entry in std::fs::read_dir(&self.path).into_iter().flatten().flatten() {
            let worker = entry.file_name().to_str().and_then(Process::of_group);
            if worker.is_some_and(Process::has_ended) && std::fs::remove_dir(entry.path()).is_ok() {
                tracing::info!(path = %entry.path().display(), "removed a control group of a worker that was killed");
            }
        }
    }
}
