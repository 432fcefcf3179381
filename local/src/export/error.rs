//! The errors of an export.

use std::io;

use streamio_events::log::ReadError;
use streamio_events::sqlite::DamagedCommit;

/// Why an export was not completed.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The log cannot be read.
    #[error("the log cannot be read")]
    Read(#[from] ReadError),
    /// A commit is damaged, or does not fit its stream's chain of hashes.
    #[error("the log was changed: {0}")]
    Damaged(#[from] DamagedCommit),
    /// What is in the file is not the beginning of this export.
    #[error("after {0} bytes, the file has other content than this export")]
    OtherContent(u64),
    /// The output cannot be written.
    #[error("the events cannot be written")]
    Write(#[from] io::Error),
    /// The export was stopped.
    #[error("the export was stopped")]
    Stopped,
}
