//! The durable object store: SQLite for what is visible, files for the bytes.
//!
//! The order of a write: the bytes go to a file under a random name, the file and its directory are synced, then one
//! transaction makes the object visible (and leaves the notice), then files that nothing references any more are
//! removed. A crash between any two of these steps leaves at worst an unreferenced file, which the next start sweeps.

mod blobs;
mod bucket;
mod complete;
mod list;
mod multipart;
mod outbox;
mod read;
mod row;
mod schema;
mod stage;
mod transaction;
mod write;

use std::collections::HashSet;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use self::blobs::{BlobId, Blobs, create_dir};
use self::transaction::WriteTransaction;
use super::error::{Doing as _, StoreError};

pub use self::bucket::{Bucket, Watch};
pub use self::complete::CompletedPart;
pub use self::list::{ListRequest, Listing};
pub(super) use self::multipart::check_part_number;
pub use self::multipart::{NewUpload, Part, Upload};
pub use self::read::{Object, ObjectReader};
pub use self::stage::Staged;

/// How many idle reading connections are kept.
const IDLE_READERS: usize = 8;

/// What can be set about a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreOptions {
    /// The smallest size in bytes of every part of a multipart upload but the last. S3's is 5 MiB, the default.
    pub minimum_part_size: u64,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { minimum_part_size: 5 << 20 }
    }
}

/// The object store of one directory. Cheap to clone; all clones are one store. The directory is locked against
/// other processes for as long as a clone lives.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    database: PathBuf,
    writer: Mutex<Connection>,
    idle_readers: Mutex<Vec<Connection>>,
    blobs: Blobs,
    options: StoreOptions,
    /// The id of the latest notice.
    latest_notice: watch::Sender<i64>,
    _lock: File,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("database", &self.inner.database).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store in a directory, creating both on first use, and sweeps what a crash left behind.
    ///
    /// # Errors
    /// [`StoreError::InUse`] while another process has it open, [`StoreError::SchemaTooNew`], I/O errors.
    pub async fn open(directory: impl AsRef<Path>, options: StoreOptions) -> Result<Self, StoreError> {
        let directory = directory.as_ref().to_owned();
        spawn_blocking(move || Self::open_blocking(&directory, options)).await?
    }

    fn open_blocking(directory: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        create_dir(directory)?;
        let lock = lock(directory)?;
        let blobs = Blobs::open(directory)?;
        let database = directory.join("objects.db");
        let writer = schema::open_writer(&database)?;
        let swept = blobs.sweep(&referenced(&writer)?)?;
        if swept.orphans > 0 {
            tracing::info!(s3.orphans = swept.orphans, "removed files that an interrupted write left behind");
        }
        if swept.missing > 0 {
            tracing::error!(s3.missing = swept.missing, "files of stored objects are missing; restore them");
        }
        let latest: i64 =
            writer.query_row("SELECT coalesce(max(id), 0) FROM notices", [], |row| row.get(0))?;
        let inner = Inner {
            database,
            writer: Mutex::new(writer),
            idle_readers: Mutex::default(),
            blobs,
            options,
            latest_notice: watch::Sender::new(latest),
            _lock: lock,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    fn blobs(&self) -> &Blobs {
        &self.inner.blobs
    }

    fn options(&self) -> &StoreOptions {
        &self.inner.options
    }

    /// Runs a query on a reading connection, on a blocking thread.
    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = Arc::clone(&self.inner);
        spawn_blocking(move || {
            let idle = inner.idle_readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let reader = match idle {
                Some(reader) => reader,
                None => schema::open_reader(&inner.database)?,
            };
            let answer = query(&reader)?;
            let mut idle = inner.idle_readers.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < IDLE_READERS {
                idle.push(reader);
            }
            Ok(answer)
        })
        .await?
    }

    /// Runs a transaction on the writing connection, on a blocking thread: all of it happens, durably, or nothing.
    /// It runs to its end even when the caller stops waiting.
    async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut WriteTransaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = Arc::clone(&self.inner);
        spawn_blocking(move || {
            let (answer, effects) = {
                let mut writer = inner.writer.lock().unwrap_or_else(PoisonError::into_inner);
                let mut transaction = WriteTransaction::begin(&mut writer, OffsetDateTime::now_utc())?;
                let answer = change(&mut transaction)?;
                (answer, transaction.commit()?)
            };
            if let Some(id) = effects.notice {
                inner.latest_notice.send_if_modified(|latest| {
                    let newer = id > *latest;
                    *latest = id.max(*latest);
                    newer
                });
            }
            inner.blobs.reclaim(&effects.dead);
            Ok(answer)
        })
        .await?
    }
}

fn lock(directory: &Path) -> Result<File, StoreError> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(directory.join("lock"))
        .doing("opening the lock file")?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(StoreError::InUse { path: directory.to_owned() }),
        Err(std::fs::TryLockError::Error(error)) => Err(error).doing("locking the store"),
    }
}

fn referenced(db: &Connection) -> Result<HashSet<BlobId>, StoreError> {
    let mut statement = db.prepare("SELECT blob FROM segments UNION SELECT blob FROM parts")?;
    let ids = statement.query_map([], |row| row.get(0))?;
    Ok(ids.collect::<Result<_, _>>()?)
}
