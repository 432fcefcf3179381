//! The handle to an open store, and how its queries and transactions are run.

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::blobs::{BlobId, Blobs, create_dir};
use super::manifests::{Comparison, Manifests};
use super::space::{Space, available_space};
use super::transaction::WriteTransaction;
use super::{fault, lost_found, manifests, schema};
use crate::lock_file::LockFile;
use crate::s3::error::{IoContext as _, StoreError};

/// The index's file.
pub(super) const INDEX: &str = "objects.db";

/// The largest number of idle read connections that are kept.
const IDLE_READERS: usize = 8;

/// The settings of a store.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The smallest size in bytes of every part of a multipart upload except the last. The default is 5 MiB, as in S3.
    pub minimum_part_size: u64,
    /// How many bytes of the file system stay free: bodies are refused that would leave less. The default is 256 MiB.
    pub free_space_reserve: u64,
    /// Returns the bytes that are available in the file system of a directory.
    pub available_space: fn(&Path) -> std::io::Result<u64>,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { minimum_part_size: 5 << 20, free_space_reserve: 256 << 20, available_space }
    }
}

/// The object store in one directory. Cheap to clone; clones share the store. The directory is locked against other
/// processes until the last clone is dropped.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    database: PathBuf,
    writer: Mutex<Connection>,
    idle_readers: Mutex<Vec<Connection>>,
    blobs: Blobs,
    manifests: Manifests,
    space: Space,
    options: StoreOptions,
    /// The id of the latest event notification.
    latest_notification: watch::Sender<i64>,
    closed: CancellationToken,
    _lock: LockFile,
    /// Cancels `closed`. The last field, because fields are dropped in their order: the directory can be locked again then.
    _closes: DropGuard,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("database", &self.inner.database).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store in a directory, creating both if needed. Files that the index does not name are moved to `lost+found` and kept
    /// for 30 days.
    ///
    /// # Errors
    /// [`StoreError::InUse`] while another process has it open, [`StoreError::IndexMissing`], [`StoreError::IndexDamaged`], [`StoreError::IndexOutdated`],
    /// [`StoreError::SchemaTooNew`], internal errors.
    pub async fn open(directory: impl AsRef<Path>, options: StoreOptions) -> Result<Self, StoreError> {
        let directory = directory.as_ref().to_owned();
        spawn_blocking(move || Self::open_blocking(&directory, options)).await?
    }

    fn open_blocking(directory: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        create_dir(directory)?;
        let lock = lock(directory)?;
        let blobs = Blobs::open(directory)?;
        let database = directory.join(INDEX);
        let manifests = Manifests::open(directory)?;
        let holds_objects = lost_found::has_complete_blobs(&blobs)? || manifests.has_versions()?;
        if !database.exists() && holds_objects {
            return Err(StoreError::IndexMissing { path: database });
        }
        let writer = schema::open_writer(&database)?;
        let Comparison { missing, unnamed } = manifests.compare(&writer)?;
        if holds_objects && is_lost(&writer, &manifests, &unnamed)? {
            return Err(StoreError::IndexMissing { path: database });
        }
        let referenced = referenced_blobs(&writer)?;
        if let Some(later) = manifests::later_than(&writer, &unnamed)? {
            return Err(StoreError::IndexOutdated { path: database, later: fault::name_of(&later) });
        }
        manifests.complete(&writer, &missing)?;
        let found = lost_found::move_unreferenced(
            directory,
            &blobs,
            &referenced,
            unnamed,
            OffsetDateTime::now_utc(),
        )?;
        if found.moved > 0 {
            tracing::warn!(
                s3.moved = found.moved,
                "moved files that the index does not name to {} in {}, where they are kept for 30 days; a crash leaves one for \
                 each interrupted upload; more mean that the index is older than the files",
                lost_found::LOST_AND_FOUND,
                directory.display(),
            );
        }
        if found.removed_days > 0 {
            tracing::info!(s3.days = found.removed_days, "removed files that were in lost+found for 30 days");
        }
        if found.missing > 0 {
            tracing::error!(
                s3.missing = found.missing,
                "files of stored objects are missing; restore them from a backup"
            );
        }
        let latest: i64 =
            writer.query_row("SELECT coalesce(max(id), 0) FROM notices", [], |row| row.get(0))?;
        let closed = CancellationToken::new();
        let inner = Inner {
            database,
            writer: Mutex::new(writer),
            idle_readers: Mutex::default(),
            blobs,
            manifests,
            space: Space::new(directory, options.free_space_reserve, options.available_space),
            options,
            latest_notification: watch::Sender::new(latest),
            _closes: closed.clone().drop_guard(),
            closed,
            _lock: lock,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Drops this clone and waits until the last one was dropped, which a query that still runs may have. Then the write-ahead log is in
    /// the database, and the directory is not locked any more.
    pub async fn close(self) {
        let closed = self.inner.closed.clone();
        drop(self);
        closed.cancelled().await;
    }

    pub(super) fn blobs(&self) -> &Blobs {
        &self.inner.blobs
    }

    /// Checks that a body of `bytes` can be received. One of unknown size has 0.
    ///
    /// # Errors
    /// [`StoreError::NoSpace`], internal errors.
    pub async fn check_space(&self, bytes: u64) -> Result<(), StoreError> {
        let inner = Arc::clone(&self.inner);
        spawn_blocking(move || inner.space.check(bytes)).await?
    }

    pub(super) fn options(&self) -> &StoreOptions {
        &self.inner.options
    }

    pub(super) fn latest_notification(&self) -> &watch::Sender<i64> {
        &self.inner.latest_notification
    }

    /// Runs a query on a read connection, on a blocking thread.
    pub(super) async fn read<T: Send + 'static>(
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
            let result = query(&reader)?;
            let mut idle = inner.idle_readers.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < IDLE_READERS {
                idle.push(reader);
            }
            Ok(result)
        })
        .await?
    }

    /// Runs a transaction on the write connection, on a blocking thread. It takes effect completely and durably or not
    /// at all, and it runs to its end even if the returned future is dropped.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut WriteTransaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = Arc::clone(&self.inner);
        spawn_blocking(move || {
            let (result, effects) = {
                let mut writer = inner.writer.lock().unwrap_or_else(PoisonError::into_inner);
                let mut transaction =
                    WriteTransaction::begin(&mut writer, &inner.manifests, OffsetDateTime::now_utc())?;
                let result = change(&mut transaction)?;
                (result, transaction.commit()?)
            };
            if let Some(id) = effects.latest_notification {
                inner.latest_notification.send_if_modified(|latest| {
                    let newer = id > *latest;
                    *latest = id.max(*latest);
                    newer
                });
            }
            inner.blobs.reclaim(&effects.unreferenced);
            for version in &effects.deleted {
                inner.manifests.remove(version);
            }
            Ok(result)
        })
        .await?
    }
}

impl Drop for Inner {
    /// Moves the write-ahead log into the database, so that a copy of the database alone is complete.
    fn drop(&mut self) {
        self.idle_readers.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
        let writer = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = schema::checkpoint(writer) {
            tracing::warn!(%error, "the object store's write-ahead log could not be moved into its database; the next start does it");
        }
    }
}

/// Locks the store's directory until the lock is dropped.
///
/// # Errors
/// [`StoreError::InUse`] while another process has it open.
pub(super) fn lock(directory: &Path) -> Result<LockFile, StoreError> {
    let locked = LockFile::try_lock(&directory.join("lock")).io_context("locking the store")?;
    locked.ok_or_else(|| StoreError::InUse { path: directory.to_owned() })
}

/// Whether this index, beside files of objects, is not the one through which they were written: nothing was ever written through it.
///
/// The first write may have been interrupted after it had stored its file and before it was in the index. The index is then the store's
/// own, with the buckets that the manifests state, and no manifest is of a later write.
pub(super) fn is_lost(
    db: &Connection,
    manifests: &Manifests,
    unnamed: &[PathBuf],
) -> Result<bool, StoreError> {
    if !is_new(db)? {
        return Ok(false);
    }
    let buckets = manifests::buckets(db)?;
    let is_own = !buckets.is_empty() && manifests.read_buckets().is_some_and(|stated| stated == buckets);
    Ok(!is_own || manifests::later_than(db, unnamed)?.is_some())
}

/// Whether nothing was ever written through this index.
fn is_new(db: &Connection) -> Result<bool, StoreError> {
    let written: i64 = db.query_row(
        "SELECT (SELECT value FROM sequence) + (SELECT count(*) FROM objects) + (SELECT count(*) FROM parts)",
        [],
        |row| row.get(0),
    )?;
    Ok(written == 0)
}

/// The blobs that a row references.
pub(super) fn referenced_blobs(db: &Connection) -> Result<HashSet<BlobId>, StoreError> {
    let mut statement = db.prepare("SELECT blob FROM segments UNION SELECT blob FROM parts")?;
    let ids = statement.query_map([], |row| row.get(0))?;
    Ok(ids.collect::<Result<_, _>>()?)
}
