//! The errors of a replay.

use std::io;
use std::path::PathBuf;

use streamio_events::log::ReadError;

/// Why a view was not replayed. The live view is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The log cannot be read.
    #[error("the log cannot be read")]
    Read(#[from] ReadError),
    /// There are no views of this release.
    #[error("{0} has no views of this release")]
    NoViews(PathBuf),
    /// Another replay of the same data directory is in progress.
    #[error("another replay of this data directory is in progress")]
    InUse,
    /// The file to make exists.
    #[error("{0} exists")]
    Exists(PathBuf),
    /// A file cannot be made, read or removed.
    #[error("cannot use {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// A view cannot be read or written.
    #[error("the view in {path} cannot be used")]
    Database {
        /// The file.
        path: PathBuf,
        /// SQLite's error.
        #[source]
        source: rusqlite::Error,
    },
    /// The live view was emptied during the replay.
    #[error("the platform has begun to rebuild the live view itself")]
    Replaced,
    /// The replay was stopped.
    #[error("the replay was stopped")]
    Stopped,
}
