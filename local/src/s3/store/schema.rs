//! The store's tables and the setup of connections to them.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::migrations::migrate;
use crate::s3::error::StoreError;

/// `PRAGMA user_version` of [`SCHEMA`].
pub(super) const VERSION: i64 = 2;

/// Keys are `TEXT` with the default collation, which compares bytes: S3 lists keys in this order.
/// An object is a list of segments. Each segment is one complete blob; a copied object shares the blobs of its source.
const SCHEMA: &str = "
CREATE TABLE buckets (
    name        TEXT PRIMARY KEY,
    created_at  INTEGER NOT NULL, -- milliseconds since the Unix epoch, as all times below
    watched     INTEGER NOT NULL, -- 1: writes create event notifications
    versioning  INTEGER NOT NULL DEFAULT 0 -- 0: never versioned, 1: enabled, 2: suspended
) STRICT;

-- Each row is a version of an object, or a delete marker. A bucket that was never versioned has only versions 'null'.
CREATE TABLE objects (
    id            INTEGER PRIMARY KEY,
    bucket        TEXT NOT NULL REFERENCES buckets (name),
    key           TEXT NOT NULL,
    etag          TEXT NOT NULL,
    size          INTEGER NOT NULL,
    last_modified INTEGER NOT NULL,
    sequencer     TEXT NOT NULL,
    headers       TEXT NOT NULL,  -- JSON
    checksum      TEXT,           -- JSON
    parts         INTEGER,
    upload        TEXT,           -- the multipart upload it was completed from
    version_id    TEXT NOT NULL,
    is_latest     INTEGER NOT NULL,
    is_marker     INTEGER NOT NULL,
    UNIQUE (bucket, key, version_id)
) STRICT;
CREATE UNIQUE INDEX objects_by_age ON objects (bucket, key, sequencer DESC);
CREATE UNIQUE INDEX latest_objects ON objects (bucket, key) WHERE is_latest = 1;
-- The current objects: what is listed and read without a version id.
CREATE UNIQUE INDEX current_objects ON objects (bucket, key) WHERE is_latest = 1 AND is_marker = 0;

CREATE TABLE segments (
    object    INTEGER NOT NULL REFERENCES objects (id) ON DELETE CASCADE,
    position  INTEGER NOT NULL,
    blob      BLOB NOT NULL,
    length    INTEGER NOT NULL,
    PRIMARY KEY (object, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX segments_by_blob ON segments (blob);

CREATE TABLE uploads (
    id            TEXT PRIMARY KEY,
    bucket        TEXT NOT NULL REFERENCES buckets (name),
    key           TEXT NOT NULL,
    initiated_at  INTEGER NOT NULL,
    headers       TEXT NOT NULL,
    algorithm     TEXT,
    kind          TEXT
) STRICT;
CREATE INDEX uploads_by_key ON uploads (bucket, key, id);

CREATE TABLE parts (
    upload         TEXT NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
    number         INTEGER NOT NULL,
    blob           BLOB NOT NULL,
    size           INTEGER NOT NULL,
    etag           TEXT NOT NULL,
    algorithm      TEXT,
    checksum       TEXT,
    last_modified  INTEGER NOT NULL,
    PRIMARY KEY (upload, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX parts_by_blob ON parts (blob);

-- The last sequencer. It never decreases, even when objects are deleted.
CREATE TABLE sequence (value INTEGER NOT NULL) STRICT;
INSERT INTO sequence VALUES (0);

-- AUTOINCREMENT, so that the id of an acknowledged notification is never reused.
CREATE TABLE notices (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    bucket        TEXT NOT NULL,
    key           TEXT NOT NULL,
    size          INTEGER NOT NULL,
    etag          TEXT NOT NULL,
    sequencer     TEXT NOT NULL,
    content_type  TEXT,
    event_name    TEXT NOT NULL,
    event_time    INTEGER NOT NULL,
    version_id    TEXT
) STRICT;
";

/// Opens the write connection. Creates the tables if they do not exist, and changes those of an earlier version.
///
/// # Errors
/// [`StoreError::IndexDamaged`] if SQLite finds damage, [`StoreError::SchemaTooNew`], internal errors.
pub(super) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    check(&connection, path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // FULL syncs the write-ahead log on each commit, so that an acknowledged write survives a power failure.
    connection.pragma_update(None, "synchronous", "FULL")?;
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > VERSION {
        return Err(StoreError::SchemaTooNew { found, known: VERSION });
    }
    if found == 0 {
        let transaction = connection.transaction()?;
        transaction.execute_batch(SCHEMA)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.commit()?;
    } else {
        migrate(&mut connection, found)?;
    }
    connection.pragma_update(None, "foreign_keys", true)?;
    Ok(connection)
}

/// Checks the form of the whole file. Damage that a later query would find, or never, must stop the start: what it makes unreadable
/// looks like objects that were deleted.
fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let damaged = |what: String| StoreError::IndexDamaged { path: path.to_owned(), what };
    match connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0)) {
        Ok(result) if result == "ok" => Ok(()),
        Ok(result) => Err(damaged(result)),
        Err(rusqlite::Error::SqliteFailure(error, message))
            if matches!(error.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) =>
        {
            Err(damaged(message.unwrap_or_else(|| error.to_string())))
        }
        Err(error) => Err(error.into()),
    }
}

/// Moves the write-ahead log into the database.
pub(super) fn checkpoint(connection: &Connection) -> Result<(), StoreError> {
    Ok(connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
}

/// Opens a read connection.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(Duration::from_secs(5))?;
    Ok(connection)
}
