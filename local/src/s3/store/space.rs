//! The free space of the file system, of which a reserve is kept: without it the index could record neither deletions nor what was
//! received.

use std::io;
use std::path::{Path, PathBuf};

use crate::s3::error::{IoContext as _, StoreError};

/// Returns the bytes that are available to this process in the file system of a directory.
pub(super) fn available_space(directory: &Path) -> io::Result<u64> {
    let system = rustix::fs::statvfs(directory)?;
    Ok(system.f_bavail.saturating_mul(system.f_frsize))
}

/// Refuses bodies while less than the reserve is free.
#[derive(Debug)]
pub(super) struct Space {
    directory: PathBuf,
    reserve: u64,
    available: fn(&Path) -> io::Result<u64>,
}

impl Space {
    pub(super) fn new(directory: &Path, reserve: u64, available: fn(&Path) -> io::Result<u64>) -> Self {
        Self { directory: directory.to_owned(), reserve, available }
    }

    /// Checks that `more` bytes can be written.
    ///
    /// # Errors
    /// [`StoreError::NoSpace`], an internal error if the file system cannot be asked.
    pub(super) fn check(&self, more: u64) -> Result<(), StoreError> {
        let available = (self.available)(&self.directory).io_context("reading the free space")?;
        if available < self.reserve.saturating_add(more) {
            return Err(StoreError::NoSpace { available, reserve: self.reserve });
        }
        Ok(())
    }
}
