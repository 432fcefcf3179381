//! The files that hold the bytes: one file per blob, named by a random id, never changed once it is referenced.
//!
//! The database decides which blobs are needed. A file that no row references was left by a crash, or its row was lost: it is moved to
//! `lost+found` when the store opens. A file whose last row was deleted is removed when its last reader is done.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use data_encoding::HEXLOWER;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

use crate::s3::error::{IoContext as _, StoreError};

/// The name of a blob: 128 random bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct BlobId([u8; 16]);

impl BlobId {
    pub(super) fn random() -> Result<Self, StoreError> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(io::Error::other).io_context("generating a random name")?;
        Ok(Self(bytes))
    }

    /// Its file name.
    pub(super) fn name(self) -> String {
        HEXLOWER.encode(&self.0)
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        HEXLOWER.decode(name.as_bytes()).ok()?.try_into().ok().map(Self)
    }
}

impl ToSql for BlobId {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(&self.0)))
    }
}

impl FromSql for BlobId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_blob()?.try_into().map(Self).map_err(|_| FromSqlError::InvalidType)
    }
}

/// The directory of blobs. Cheap to clone.
#[derive(Clone)]
pub(super) struct Blobs(Arc<Inner>);

struct Inner {
    blobs: PathBuf,
    incoming: PathBuf,
    /// The blobs that are being read.
    pins: Mutex<HashMap<BlobId, PinCount>>,
    /// Readers hold it shared while they query an object's row and pin its blobs. The removal of unreferenced blobs
    /// holds it exclusively, so it sees the pins of all readers that can have read the deleted rows.
    pin_lock: RwLock<()>,
}

#[derive(Default)]
struct PinCount {
    readers: usize,
    /// Remove the file when the last reader is done.
    remove_when_unread: bool,
}

impl Blobs {
    /// Opens the directories of blobs below `root`, creating them if needed.
    pub(super) fn open(root: &Path) -> Result<Self, StoreError> {
        let inner = Inner {
            blobs: root.join("blobs"),
            incoming: root.join("incoming"),
            pins: Mutex::default(),
            pin_lock: RwLock::default(),
        };
        create_dir(&inner.incoming)?;
        create_dir(&inner.blobs)?;
        for byte in 0..=u8::MAX {
            create_dir(&inner.blobs.join(HEXLOWER.encode(&[byte])))?;
        }
        sync_dir(&inner.blobs)?;
        sync_dir(root)?;
        Ok(Self(Arc::new(inner)))
    }

    /// The path of a completely written blob.
    pub(super) fn path(&self, id: BlobId) -> PathBuf {
        self.0.blobs.join(HEXLOWER.encode(&id.0[..1])).join(id.name())
    }

    /// The path of a blob that is being written.
    pub(super) fn incoming(&self, id: BlobId) -> PathBuf {
        self.0.incoming.join(id.name())
    }

    /// Moves a completely written and synced blob to its final path, durably.
    pub(super) fn move_into_place(&self, id: BlobId) -> Result<(), StoreError> {
        let path = self.path(id);
        fs::rename(self.incoming(id), &path).io_context("moving a blob to its final path")?;
        sync_dir(path.parent().unwrap_or(&self.0.blobs))
    }

    /// The directories of completely written blobs.
    pub(super) fn complete_directories(&self) -> impl Iterator<Item = PathBuf> + '_ {
        (0..=u8::MAX).map(|byte| self.0.blobs.join(HEXLOWER.encode(&[byte])))
    }

    /// The directory of blobs that are being written.
    pub(super) fn incoming_directory(&self) -> PathBuf {
        self.0.incoming.clone()
    }

    /// Runs a query and pins the blobs that it returns against removal, atomically with respect to [`Blobs::reclaim`].
    pub(super) fn pin<T, E>(
        &self,
        query: impl FnOnce() -> Result<(T, Vec<BlobId>), E>,
    ) -> Result<(T, PinnedBlobs), E> {
        let _shared = self.0.pin_lock.read().unwrap_or_else(PoisonError::into_inner);
        let (found, ids) = query()?;
        let mut pins = self.pins();
        for id in &ids {
            pins.entry(*id).or_default().readers += 1;
        }
        Ok((found, PinnedBlobs { blobs: self.clone(), ids }))
    }

    /// Removes unreferenced blobs: immediately, or when their last reader is done. Must be called after the commit.
    pub(super) fn reclaim(&self, dead: &[BlobId]) {
        if dead.is_empty() {
            return;
        }
        let unread: Vec<BlobId> = {
            let _exclusive = self.0.pin_lock.write().unwrap_or_else(PoisonError::into_inner);
            let mut pins = self.pins();
            let mut mark =
                |id: &BlobId| pins.get_mut(id).map(|pinned| pinned.remove_when_unread = true).is_none();
            dead.iter().copied().filter(|id| mark(id)).collect()
        };
        for id in unread {
            remove(&self.path(id));
        }
    }

    fn unpin(&self, ids: &[BlobId]) {
        let mut dead = Vec::new();
        {
            let mut pins = self.pins();
            for id in ids {
                if let Some(pinned) = pins.get_mut(id) {
                    pinned.readers -= 1;
                    if pinned.readers == 0 {
                        if pinned.remove_when_unread {
                            dead.push(*id);
                        }
                        pins.remove(id);
                    }
                }
            }
        }
        for id in dead {
            remove(&self.path(id));
        }
    }

    fn pins(&self) -> MutexGuard<'_, HashMap<BlobId, PinCount>> {
        self.0.pins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps blobs readable until it is dropped.
pub(super) struct PinnedBlobs {
    blobs: Blobs,
    ids: Vec<BlobId>,
}

impl PinnedBlobs {
    pub(super) fn blobs(&self) -> &Blobs {
        &self.blobs
    }
}

impl Drop for PinnedBlobs {
    fn drop(&mut self) {
        self.blobs.unpin(&self.ids);
    }
}

/// Creates a directory and its parents if they do not exist.
pub(super) fn create_dir(path: &Path) -> Result<(), StoreError> {
    // Other users of the machine must not read the tenants' videos.
    DirBuilder::new().recursive(true).mode(0o700).create(path).io_context("creating a directory")
}

/// Makes the directory's entries durable. Without it a crash can lose the name of a synced file.
pub(super) fn sync_dir(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|directory| directory.sync_all()).io_context("syncing a directory")
}

/// Removes an unreferenced file. If that fails, the next start moves it to `lost+found`.
pub(super) fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "an unreferenced blob could not be removed");
    }
}
