//! Groups whose processes were killed and have not ended yet.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// The folders of groups that are still to be removed. The kernel removes none that has a process.
#[derive(Debug, Default)]
pub(super) struct Leftovers(Mutex<Vec<PathBuf>>);

impl Leftovers {
    /// Removes the group `path`, now or later.
    pub(super) fn add(&self, path: PathBuf) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(path);
        self.remove();
    }

    /// Removes those that can be removed now.
    pub(super) fn remove(&self) {
        let is_left = |path: &PathBuf| {
            std::fs::remove_dir(path).is_err_and(|error| error.kind() != ErrorKind::NotFound)
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(is_left);
    }
}

impl Drop for Leftovers {
    fn drop(&mut self) {
        self.remove();
    }
}
