//! The machine on which everything runs, if there is only one.

use std::sync::{Mutex, PoisonError};

use crate::engine::{ProcessId, Signal};

/// The processes of the machine, and whether it runs.
#[derive(Default)]
pub(crate) struct Machine {
    processes: Mutex<Vec<ProcessId>>,
    /// Odd while the machine is off.
    switched: Signal,
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
