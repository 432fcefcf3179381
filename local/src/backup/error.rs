//! The errors of backing up and restoring.

use std::io;
use std::path::{Path, PathBuf};

use crate::data_dir::DataDirError;
use crate::operator::OperatorError;

/// Why a backup was not made or not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The directory is not a data directory.
    #[error("{0} holds no platform's data")]
    NoData(PathBuf),
    /// The directory is not a backup.
    #[error("{0} is not a backup: it has no backup.json")]
    NoBackup(PathBuf),
    /// The directory that would be made has something in it.
    #[error("{0} exists and is not empty; nothing was changed")]
    NotEmpty(PathBuf),
    /// The directory that would be made is the root of a file system, which cannot be replaced by another directory.
    #[error("a file system is mounted at {0}; name a directory in it that does not exist")]
    MountPoint(PathBuf),
    /// The backup would be in the directory that it is a backup of.
    #[error("{0} is in the data directory, with which it would be lost")]
    InsideData(PathBuf),
    /// An earlier run was stopped, or another one is running.
    #[error("{0} was left by a run that was stopped, unless another one is running now; remove it")]
    Leftover(PathBuf),
    /// A file operation failed.
    #[error("cannot {action} {path}")]
    Io {
        /// The action, such as "read".
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// SQLite returned an error.
    #[error("cannot read or copy the database {path}")]
    Database {
        /// The database.
        path: PathBuf,
        /// SQLite's error.
        #[source]
        source: rusqlite::Error,
    },
    /// SQLite finds a database damaged.
    #[error("the database {path} is damaged: {what}")]
    DatabaseDamaged {
        /// The database.
        path: PathBuf,
        /// What SQLite found.
        what: String,
    },
    /// Chains of hashes in the log are broken.
    #[error("the log was changed: {}", .0.join("; "))]
    LogChanged(Vec<String>),
    /// The object store has files, and no index of them.
    #[error("{0} does not exist, and the object store has files")]
    IndexMissing(PathBuf),
    /// The index of the object store was written by a newer version.
    #[error("{path} has version {found}; this program knows versions up to {known}; use a newer Streamio")]
    IndexTooNew {
        /// The index.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The last version that this program knows.
        known: i64,
    },
    /// The file of a stored object does not exist.
    #[error("the file {0} of a stored object is missing")]
    FileMissing(PathBuf),
    /// The file of a stored object has another length than its object.
    #[error("the file {path} of a stored object has {found} bytes instead of {expected}")]
    FileLength {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: u64,
        /// The length that the index names.
        expected: u64,
    },
    /// Each time the index was read, objects were deleted before their files were linked or copied.
    #[error("objects were deleted while their files were copied, {0} times in a row")]
    DeletedMeanwhile(u32),
    /// A file of the backup is not as it was written.
    #[error("{path} is not as it was when the backup was made: its SHA-256 is {found} instead of {expected}")]
    Changed {
        /// The file.
        path: PathBuf,
        /// The hash in `backup.json`.
        expected: String,
        /// The file's hash.
        found: String,
    },
    /// `backup.json` cannot be read.
    #[error("{path} is damaged")]
    ManifestDamaged {
        /// The file.
        path: PathBuf,
        /// The parser's error.
        #[source]
        source: serde_json::Error,
    },
    /// The backup has a format that this program does not know.
    #[error("{path} has the format {found}; this program knows the format {known}; use a newer Streamio")]
    Format {
        /// The file `backup.json`.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The format that this program knows.
        known: u64,
    },
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The log cannot be opened or read.
    #[error(transparent)]
    Log(#[from] OperatorError),
}

/// Makes the error of a file operation, for `map_err`.
pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    move |source| BackupError::Io { action, path: path.to_owned(), source }
}

/// Makes the error of a database, for `map_err`.
pub(super) fn database(path: &Path) -> impl Fn(rusqlite::Error) -> BackupError {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    move |source| match source.sqlite_error_code() {
        Some(DatabaseCorrupt | NotADatabase) => {
            BackupError::DatabaseDamaged { path: path.to_owned(), what: source.to_string() }
        }
        _ => BackupError::Database { path: path.to_owned(), source },
    }
}
