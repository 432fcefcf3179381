//! Opening a data directory.

use std::path::Path;

use streamio_events::sqlite::SqliteLog;

use super::error::OperatorError;
use crate::data_dir::DataDir;

/// What to do if the data directory does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfMissing {
    /// Create it: the first project may be created before the platform's first start.
    Create,
    /// Return an error: there is nothing to read or change.
    Fail,
}

/// An open data directory.
#[derive(Debug, Clone)]
pub struct Operator {
    pub(super) log: SqliteLog,
    pub(super) data_dir: DataDir,
}

impl Operator {
    /// Opens the data directory at `path`. Must be called within a Tokio runtime.
    pub fn open(path: &Path, if_missing: IfMissing) -> Result<Self, OperatorError> {
        if if_missing == IfMissing::Fail && !path.join(LOG_FILE).is_file() {
            return Err(OperatorError::NoData(path.to_owned()));
        }
        let data_dir = DataDir::open(path)?;
        Ok(Self { log: SqliteLog::open(data_dir.log())?, data_dir })
    }

    /// The log.
    pub(crate) fn log(&self) -> &SqliteLog {
        &self.log
    }
}

/// The file that every data directory has; the name is that of [`DataDir::log`].
pub(super) const LOG_FILE: &str = "log.db";

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn reading_a_directory_without_data_creates_nothing() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("mistyped");
        let error = Operator::open(&path, IfMissing::Fail).unwrap_err();
        assert!(matches!(error, OperatorError::NoData(_)), "{error}");
        assert!(!path.exists());
        Operator::open(&path, IfMissing::Create).unwrap();
        assert_eq!(DataDir::open(&path).unwrap().log(), path.join(LOG_FILE));
        Operator::open(&path, IfMissing::Fail).unwrap();
    }
}
