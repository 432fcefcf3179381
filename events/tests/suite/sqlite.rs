use streamio_events::contract::TestBed;
use streamio_events::sqlite::SqliteLog;
use tempfile::TempDir;

/// Each handle has connections and a writer of its own, as another process would.
pub(crate) struct SqliteBed(TempDir);

impl SqliteBed {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

impl TestBed for SqliteBed {
    type Log = SqliteLog;

    async fn open(&self) -> SqliteLog {
        SqliteLog::open(self.0.path().join("log.db")).unwrap()
    }
}

streamio_events::event_log_contract!(SqliteBed::new());
