use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, ffi};

use super::migration::{NEXT_PLACE, migrate};

/// `SIOL` in the file's header: marks the file as an event log of Streamio.
const APPLICATION_ID: i32 = 0x5349_4f4c;

/// The version of the schema below, to which [`NEXT_PLACE`] belongs.
pub(super) const SCHEMA_VERSION: i32 = 3;

/// The version of a file without tables.
const EMPTY: i32 = 0;

const SCHEMA: &str = "
    CREATE TABLE commits (
        position    INTEGER PRIMARY KEY AUTOINCREMENT,
        stream      TEXT    NOT NULL,
        first       INTEGER NOT NULL CHECK (first >= 1),
        last        INTEGER NOT NULL CHECK (last >= first),
        commit_id   TEXT    NOT NULL,
        recorded_at TEXT    NOT NULL,
        events      TEXT    NOT NULL,
        prev_hash   BLOB    NOT NULL CHECK (length(prev_hash) = 32),
        hash        BLOB    NOT NULL CHECK (length(hash) = 32),
        slot        INTEGER NOT NULL,
        place       INTEGER NOT NULL,
        project_id  TEXT    GENERATED ALWAYS AS (
            -- What stands between the first slash and the next, or the end.
            substr(stream, instr(stream, '/') + 1, instr(substr(stream, instr(stream, '/') + 1) || '/', '/') - 1)
        ) VIRTUAL,
        UNIQUE (stream, first),
        UNIQUE (stream, commit_id)
    ) STRICT;
    CREATE INDEX commits_of_project ON commits (project_id, position);
    CREATE INDEX commits_about_projects ON commits (position) WHERE stream GLOB 'project/*';
";

/// Attempts to get a lock, about a millisecond apart.
const MAX_LOCK_ATTEMPTS: i32 = 60_000;

/// The page cache of a connection that writes: 16 MiB, as SQLite states it.
const WRITER_CACHE_KIB: i32 = -16 * 1024;

/// After how many pages the write-ahead log is copied into the file: 32 MiB.
const CHECKPOINT_PAGES: i32 = 8192;

/// Why the log's file was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder of the file does not exist.
    #[error("the folder of the event log {} does not exist; make it first", path.display())]
    NoFolder {
        /// The log's file.
        path: PathBuf,
    },
    /// The file was written by a newer Streamio.
    #[error(
        "the event log {} has schema version {found}, this program knows {SCHEMA_VERSION}; use a newer Streamio",
        path.display()
    )]
    NewerSchema {
        /// The log's file.
        path: PathBuf,
        /// The version of the file's schema.
        found: i32,
    },
    /// The file exists and is not an event log.
    #[error("{} is not an event log of Streamio; give the path of one, or of a file that does not exist", path.display())]
    NotALog {
        /// The file.
        path: PathBuf,
    },
    /// The file has an earlier schema and is damaged, so that it cannot get the current schema.
    #[error(
        "the event log {} is damaged and cannot be brought to the schema version {SCHEMA_VERSION}: {reason}; restore a backup \
         with `streamio restore`{way_back}",
        path.display()
    )]
    Damaged {
        /// The log's file.
        path: PathBuf,
        /// What SQLite finds.
        reason: String,
        /// What else can be done.
        way_back: &'static str,
    },
    /// The operating system or SQLite returned an error.
    #[error("the event log {} cannot be opened", path.display())]
    Failed {
        /// The log's file.
        path: PathBuf,
        /// The error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

pub(super) fn failed(path: &Path, source: rusqlite::Error) -> OpenError {
    match source.sqlite_error_code() {
        Some(ffi::ErrorCode::NotADatabase) => OpenError::NotALog { path: path.to_owned() },
        _ => OpenError::Failed { path: path.to_owned(), source: source.into() },
    }
}

pub(super) fn refused(path: &Path, source: std::io::Error) -> OpenError {
    OpenError::Failed { path: path.to_owned(), source: source.into() }
}

/// Opens a connection to the log at `path`. A new file gets the schema. A file of an earlier version gets the current one, for which it is
/// read and written once: about half a minute for a million commits.
pub(super) fn open(path: &Path) -> Result<Connection, OpenError> {
    if path.parent().is_some_and(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
        return Err(OpenError::NoFolder { path: path.to_owned() });
    }
    let mut connection =
        connect(path, OpenFlags::SQLITE_OPEN_CREATE).map_err(|source| failed(path, source))?;
    // Streams are appended to in no order: pages of indexes are written many times before they are copied from the write-ahead log.
    connection.pragma_update(None, "cache_size", WRITER_CACHE_KIB).map_err(|source| failed(path, source))?;
    connection
        .pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)
        .map_err(|source| failed(path, source))?;
    prepare_schema(path, &mut connection)?;
    Ok(connection)
}

/// Opens another connection to the log at `path`, which cannot write.
pub(super) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    // Not SQLITE_OPEN_READ_ONLY: a reader of a WAL writes to its shared-memory locks.
    let connection = connect(path, OpenFlags::empty())?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

fn connect(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let flags = flags | OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    // SQLite's own busy handler waits up to 100 ms at a time and would miss the short moments in which a busy log is
    // free.
    connection.busy_handler(Some(wait_for_lock))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // On macOS fsync alone does not reach the disk. No effect elsewhere.
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    // A WAL that grew because of a slow reader is truncated to this many bytes.
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

fn wait_for_lock(attempts: i32) -> bool {
    // Jitter, so that waiting processes do not retry in step.
    let jitter =
        u64::from(attempts.unsigned_abs().wrapping_add(std::process::id()).wrapping_mul(2_654_435_761) >> 22);
    thread::sleep(Duration::from_micros(500 + jitter));
    attempts < MAX_LOCK_ATTEMPTS
}

fn prepare_schema(path: &Path, connection: &mut Connection) -> Result<(), OpenError> {
    let failed = |source| failed(path, source);
    // Check before any change: another program's file must stay unchanged. In one transaction, because another process
    // may be creating the schema now.
    let transaction = connection.transaction().map_err(failed)?;
    let found = version(path, &transaction)?;
    transaction.rollback().map_err(failed)?;
    enter_wal_mode(connection).map_err(failed)?;
    if found == EMPTY { create_schema(path, connection) } else { migrate(path, connection, found) }
}

fn create_schema(path: &Path, connection: &mut Connection) -> Result<(), OpenError> {
    let failed = |source| failed(path, source);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    // Check again, now that no other process can write.
    if version(path, &transaction)? == EMPTY {
        transaction.execute_batch(SCHEMA).map_err(failed)?;
        transaction.execute_batch(NEXT_PLACE).map_err(failed)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)?;
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION).map_err(failed)?;
    }
    transaction.commit().map_err(failed)
}

/// The schema version of the file; [`EMPTY`] for an empty one.
pub(super) fn version(path: &Path, transaction: &Transaction<'_>) -> Result<i32, OpenError> {
    let number =
        |sql| transaction.query_row(sql, [], |row| row.get(0)).map_err(|source| failed(path, source));
    let application_id: i32 = number("PRAGMA application_id")?;
    let version: i32 = number("PRAGMA user_version")?;
    let tables: i32 = number("SELECT count(*) FROM sqlite_schema")?;
    match (application_id, version) {
        (0, 0) if tables == 0 => Ok(EMPTY),
        (APPLICATION_ID, 1..=SCHEMA_VERSION) => Ok(version),
        (APPLICATION_ID, found) if found > SCHEMA_VERSION => {
            Err(OpenError::NewerSchema { path: path.to_owned(), found })
        }
        _ => Err(OpenError::NotALog { path: path.to_owned() }),
    }
}

/// The mode is stored in the file. SQLite does not call the busy handler when two processes set it concurrently.
fn enter_wal_mode(connection: &Connection) -> rusqlite::Result<()> {
    for attempt in 0.. {
        let mode =
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0));
        match mode {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(_) => break,
            Err(error) if is_busy(&error) && wait_for_lock(attempt) => {}
            Err(error) => return Err(error),
        }
    }
    let reason = "its file system does not allow write-ahead logging".to_owned();
    Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CANTOPEN), Some(reason)))
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ffi::ErrorCode::DatabaseBusy | ffi::ErrorCode::DatabaseLocked))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_connection_syncs_to_disk_and_a_reader_cannot_write() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.db");
        let connections = [open(&path).unwrap(), open(&path).unwrap(), reader(&path).unwrap()];
        for connection in &connections {
            let pragma =
                |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
            // 2 is FULL: https://www.sqlite.org/pragma.html#pragma_synchronous
            assert_eq!(pragma("synchronous"), 2);
            assert_eq!(pragma("checkpoint_fullfsync"), 1);
            let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
            assert_eq!(mode, "wal");
        }
        connections[2].execute("DELETE FROM commits", []).unwrap_err();
    }
}
