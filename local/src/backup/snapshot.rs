//! Both databases as they were at one moment.
//!
//! What is done is recorded in the log first where it removes objects, and last where it makes them: a `video.deleted` is appended before
//! the objects are deleted, a `video.ready` after they were stored; an upload's notification is removed from the index after its event
//! was appended. So the two databases belong together if nothing was appended to the log between the moments at which they are read.
//! That is made sure with the log's write lock, which is held for the time of two small reads.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::backup::Backup;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::error::{BackupError, database};
use super::target::sync;

/// How long to wait for a lock that another process holds.
const LOCK_TIMEOUT: Duration = Duration::from_mins(1);

/// Read transactions on the log and on the object store's index, if that exists. What is written later is not visible in them.
pub(super) struct Snapshot {
    log: Reader,
    index: Option<Reader>,
}

/// A connection with a read transaction, and the path of its database.
type Reader = (Connection, PathBuf);

impl Snapshot {
    /// Begins both transactions. Waits until no other process writes to the log.
    pub(super) fn take(log: &Path, index: Option<&Path>) -> Result<Self, BackupError> {
        let mut writer = open(log)?;
        let no_appends =
            writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(database(log))?;
        let index = index.map(begin).transpose()?;
        let log = begin(log)?;
        no_appends.rollback().map_err(database(&log.1))?;
        Ok(Self { log, index })
    }

    /// The index, with its path.
    pub(super) fn index(&self) -> Option<(&Connection, &Path)> {
        self.index.as_ref().map(|(connection, path)| (connection, path.as_path()))
    }

    /// Copies both databases.
    pub(super) fn copy(&self, log: &Path, index: &Path) -> Result<(), BackupError> {
        copy(&self.log, log)?;
        self.index.as_ref().map_or(Ok(()), |from| copy(from, index))
    }
}

/// Makes the database one file, without a write-ahead log beside it, and syncs it. Waits until its other connections are closed.
pub(super) fn settle(path: &Path) -> Result<(), BackupError> {
    let started_at = Instant::now();
    let connection = open(path)?;
    loop {
        let mode =
            connection.pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get::<_, String>(0));
        match mode {
            Ok(mode) if mode == "delete" => break,
            // SQLite's own waiting does not include this change.
            Ok(_) | Err(_) if started_at.elapsed() < LOCK_TIMEOUT => thread::sleep(Duration::from_millis(1)),
            Ok(mode) => {
                let what = format!("it stays in the journal mode {mode}");
                return Err(BackupError::DatabaseDamaged { path: path.to_owned(), what });
            }
            Err(error) => return Err(database(path)(error)),
        }
    }
    drop(connection);
    sync(path)
}

/// Checks the form of the whole database.
///
/// # Errors
/// [`BackupError::DatabaseDamaged`].
pub(super) fn check(connection: &Connection, path: &Path) -> Result<(), BackupError> {
    let result = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    match result.map_err(database(path))? {
        result if result == "ok" => Ok(()),
        what => Err(BackupError::DatabaseDamaged { path: path.to_owned(), what }),
    }
}

/// Opens a database that exists. A reader of a write-ahead log has to write to the shared memory of its locks.
pub(super) fn open(path: &Path) -> Result<Connection, BackupError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(database(path))?;
    connection.busy_timeout(LOCK_TIMEOUT).map_err(database(path))?;
    Ok(connection)
}

/// Begins a read transaction, which begins with the first read.
fn begin(path: &Path) -> Result<Reader, BackupError> {
    let connection = open(path)?;
    connection.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema").map_err(database(path))?;
    Ok((connection, path.to_owned()))
}

fn copy((from, path): &Reader, to: &Path) -> Result<(), BackupError> {
    let copied = || {
        // Created by its owner's mode before SQLite writes to it.
        let mut copy = Connection::open_with_flags(to, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        // The copy is synced when it is complete; until then a crash may damage it.
        copy.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")?;
        Backup::new(from, &mut copy)?.run_to_completion(i32::MAX, Duration::ZERO, None)
    };
    create_private(to)?;
    copied().map_err(database(path))?;
    settle(to)
}

fn create_private(path: &Path) -> Result<(), BackupError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let created = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    created.map(|_| ()).map_err(super::error::io("create", path))
}
