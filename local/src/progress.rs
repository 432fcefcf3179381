//! The progress of an operator's long action on other threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How far an action has come. Other threads may read it, and stop the action.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    total: AtomicU64,
    stopped: AtomicBool,
}

impl Progress {
    /// The number of commits that are done, and of those that are to be.
    pub fn commits(&self) -> (u64, u64) {
        (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed))
    }

    /// Stops the action.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Whether it was stopped.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Adds commits that are done.
    pub fn advance(&self, commits: u64) {
        self.done.fetch_add(commits, Ordering::Relaxed);
    }

    pub(crate) fn add_total(&self, commits: u64) {
        self.total.fetch_add(commits, Ordering::Relaxed);
    }
}

/// Stops an action when it is dropped.
pub(crate) struct StopOnDrop(pub(crate) Arc<Progress>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}
