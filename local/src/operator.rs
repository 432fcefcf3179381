//! What an operator does with a data directory: projects, API keys, events. It works whether a platform runs on the
//! directory or not: the log may be open in several processes, and a running platform sees what is appended here.

mod error;
mod feed;
mod projects;

use std::path::Path;

use streamio_events::sqlite::SqliteLog;

pub use self::error::OperatorError;
pub use self::feed::{Filter, Written};
pub use self::projects::{KeyWishes, NewApiKey};
use crate::data_dir::DataDir;

/// Whether a data directory that is not there is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// It is made: the first project may come before the platform's first run.
    Make,
    /// It is an error: there is nothing to be seen or changed.
    Refuse,
}

/// One data directory, open for its operator.
#[derive(Debug, Clone)]
pub struct Operator {
    log: SqliteLog,
}

impl Operator {
    /// Opens the data directory at `path`. Must be called within a Tokio runtime.
    pub fn open(path: &Path, missing: Missing) -> Result<Self, OperatorError> {
        if missing == Missing::Refuse && !path.join(LOG_FILE).is_file() {
            return Err(OperatorError::NoData(path.to_owned()));
        }
        let data_dir = DataDir::open(path)?;
        Ok(Self { log: SqliteLog::open(data_dir.log())? })
    }
}

/// The file without which a directory holds no platform's data; as in [`DataDir::log`].
const LOG_FILE: &str = "log.db";

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn looking_at_a_directory_without_data_makes_none() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("mistyped");
        let error = Operator::open(&path, Missing::Refuse).unwrap_err();
        assert!(matches!(error, OperatorError::NoData(_)), "{error}");
        assert!(!path.exists());
        Operator::open(&path, Missing::Make).unwrap();
        assert_eq!(DataDir::open(&path).unwrap().log(), path.join(LOG_FILE));
        Operator::open(&path, Missing::Refuse).unwrap();
    }
}
