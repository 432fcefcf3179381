//! The machine on which everything runs, if there is only one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::engine::{ProcessId, Signal};

/// The processes of the machine, and whether it runs.
#[derive(Default)]
pub(crate) struct Machine {
    processes: Mutex<Vec<ProcessId>>,
    /// Odd while the machine is off.
    switched: Signal,
    /// Whether the power is lost while the next commit is being synced.
    is_awaiting_commit: AtomicBool,
    /// Commits that were being synced when the power had to be lost.
    commits: Signal,
}

impl Machine {
    /// Adds a process.
    pub(super) fn add(&self, process: ProcessId) {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner).push(process);
    }

    /// Whether the machine is off.
    pub(crate) fn is_off(&self) -> bool {
        self.switched.count() % 2 == 1
    }

    /// Waits until a commit is being synced.
    pub(crate) async fn next_commit(&self) {
        self.is_awaiting_commit.store(true, Ordering::Relaxed);
        self.commits.beyond(self.commits.count()).await;
    }

    /// Notes that a commit is being synced.
    pub(super) fn is_syncing(&self) {
        if self.is_awaiting_commit.swap(false, Ordering::Relaxed) {
            self.commits.notify();
        }
    }

    /// Switches the machine off. Returns the processes that end.
    pub(crate) fn switch_off(&self) -> Vec<ProcessId> {
        if !self.is_off() {
            self.switched.notify();
        }
        std::mem::take(&mut *self.processes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Switches the machine on.
    pub(crate) fn switch_on(&self) {
        if self.is_off() {
            self.switched.notify();
        }
    }

    /// Waits until the machine is on.
    pub(crate) async fn on(&self) {
        while self.is_off() {
            self.switched.beyond(self.switched.count()).await;
        }
    }
}
