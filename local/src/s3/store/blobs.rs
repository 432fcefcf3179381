//! The files that hold the bytes: one file a blob, named by a random id, never changed once it is referenced.
//!
//! Which blobs are alive is known to the database alone. A file without a row is rubbish (a crash came between the
//! two) and is swept when the store opens; a file whose last row is gone is removed once nobody reads it any more.

use std::collections::{HashMap, HashSet};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use data_encoding::HEXLOWER;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

use crate::s3::error::{Doing as _, StoreError};

/// The name of a blob: 128 random bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct BlobId([u8; 16]);

impl BlobId {
    pub(super) fn random() -> Result<Self, StoreError> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(io::Error::other).doing("drawing a random name")?;
        Ok(Self(bytes))
    }

    fn parse(name: &str) -> Option<Self> {
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
    /// The blobs being read, and whether they are to go when the last reader is done.
    pins: Mutex<HashMap<BlobId, PinCount>>,
    /// Readers hold it shared from looking up an object until its blobs are pinned; the remover of dead blobs takes
    /// it alone, so it finds the pin of everybody who can still have seen them.
    gate: RwLock<()>,
}

#[derive(Default)]
struct PinCount {
    readers: usize,
    doomed: bool,
}

impl Blobs {
    /// Opens (or creates) the directories below the store's.
    pub(super) fn open(root: &Path) -> Result<Self, StoreError> {
        let inner = Inner {
            blobs: root.join("blobs"),
            incoming: root.join("incoming"),
            pins: Mutex::default(),
            gate: RwLock::default(),
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

    /// Where a referenced blob is.
    pub(super) fn path(&self, id: BlobId) -> PathBuf {
        self.0.blobs.join(HEXLOWER.encode(&id.0[..1])).join(HEXLOWER.encode(&id.0))
    }

    /// Where a blob is while it is being written.
    pub(super) fn incoming(&self, id: BlobId) -> PathBuf {
        self.0.incoming.join(HEXLOWER.encode(&id.0))
    }

    /// Moves a completely written and synced blob to its place, durably.
    pub(super) fn settle(&self, id: BlobId) -> Result<(), StoreError> {
        let path = self.path(id);
        fs::rename(self.incoming(id), &path).doing("moving a blob to its place")?;
        sync_dir(path.parent().unwrap_or(&self.0.blobs))
    }

    /// Removes every file that no row references, and counts the referenced blobs that are missing.
    /// Call it before anything is written.
    pub(super) fn sweep(&self, referenced: &HashSet<BlobId>) -> Result<Swept, StoreError> {
        let mut swept = Swept::default();
        for entry in fs::read_dir(&self.0.incoming).doing("listing incoming blobs")? {
            fs::remove_file(entry.doing("listing incoming blobs")?.path())
                .doing("removing an unfinished blob")?;
            swept.orphans += 1;
        }
        let mut found = 0;
        for byte in 0..=u8::MAX {
            let directory = self.0.blobs.join(HEXLOWER.encode(&[byte]));
            for entry in fs::read_dir(&directory).doing("listing blobs")? {
                let entry = entry.doing("listing blobs")?;
                let id = entry.file_name().to_str().and_then(BlobId::parse);
                if id.is_some_and(|id| referenced.contains(&id)) {
                    found += 1;
                } else {
                    fs::remove_file(entry.path()).doing("removing an orphaned blob")?;
                    swept.orphans += 1;
                }
            }
        }
        swept.missing = referenced.len() - found;
        Ok(swept)
    }

    /// Looks up blobs and pins them against removal, as one step towards [`Blobs::reclaim`].
    pub(super) fn pin<T, E>(
        &self,
        look_up: impl FnOnce() -> Result<(T, Vec<BlobId>), E>,
    ) -> Result<(T, PinnedBlobs), E> {
        let _shared = self.0.gate.read().unwrap_or_else(PoisonError::into_inner);
        let (found, ids) = look_up()?;
        let mut pins = self.pins();
        for id in &ids {
            pins.entry(*id).or_default().readers += 1;
        }
        Ok((found, PinnedBlobs { blobs: self.clone(), ids }))
    }

    /// Removes blobs whose last row has gone, at once or when their last reader is done. Call it after the commit.
    pub(super) fn reclaim(&self, dead: &[BlobId]) {
        if dead.is_empty() {
            return;
        }
        let unread: Vec<BlobId> = {
            let _alone = self.0.gate.write().unwrap_or_else(PoisonError::into_inner);
            let mut pins = self.pins();
            let mut doom = |id: &BlobId| pins.get_mut(id).map(|pinned| pinned.doomed = true).is_none();
            dead.iter().copied().filter(|id| doom(id)).collect()
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
                        if pinned.doomed {
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

/// What [`Blobs::sweep`] found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Swept {
    /// Files removed.
    pub(super) orphans: usize,
    /// Blobs that a row names and that have no file: the disk lost data.
    pub(super) missing: usize,
}

/// Keeps blobs readable while it lives.
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

/// Creates a directory, and those above it, if it is not there.
pub(super) fn create_dir(path: &Path) -> Result<(), StoreError> {
    // Other users of the machine have no business with the tenants' videos.
    DirBuilder::new().recursive(true).mode(0o700).create(path).doing("creating a directory")
}

/// Makes the directory's entries durable: a synced file whose name is lost is lost.
pub(super) fn sync_dir(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|directory| directory.sync_all()).doing("syncing a directory")
}

/// Removes a file that nothing references. A failure costs disk space until the next start's sweep, no more.
pub(super) fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "a blob that is no longer needed could not be removed");
    }
}
