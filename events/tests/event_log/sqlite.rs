//! The SQLite log against the contract of the log.

use streamio_events::contract::LogHarness;
use streamio_events::sqlite::SqliteLog;
use tempfile::TempDir;

/// Each handle has separate connections and a separate writer, as in another process.
pub(crate) struct SqliteHarness(TempDir);

impl SqliteHarness {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

impl LogHarness for SqliteHarness {
    type Log = SqliteLog;

    async fn open(&self) -> SqliteLog {
        SqliteLog::open(self.0.path().join("log.db")).unwrap()
    }
}

streamio_events::event_log_contract!(SqliteHarness::new());

/// Opens the log in `folder`.
pub(crate) fn open(folder: &TempDir) -> SqliteLog {
    SqliteLog::open(folder.path().join("log.db")).unwrap()
}
