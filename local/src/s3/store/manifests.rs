//! A file for each version of an object and for each delete marker, with all that the index says about it, so that a lost index can be
//! rebuilt.
//!
//! The buckets are in one file, which is synced. A manifest is written before the transaction commits that creates its row, and removed
//! after the one that deletes it. It is not synced: a power failure can lose the manifests of the last seconds, leave empty files of them, or bring former ones back. Each start
//! writes those that are missing, and of the latest versions also those that cannot be read or are of an earlier write.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use rusqlite::{Connection, OptionalExtension as _, Row};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::blobs::{BlobId, create_dir};
use super::object_rows::segments_of;
use super::row::{from_json, to_u64};
use crate::s3::checksum::Checksum;
use crate::s3::error::{IoContext as _, StoreError};
use crate::s3::object::ObjectHeaders;

/// The directory below the store's own.
pub(super) const MANIFESTS: &str = "manifests";

/// The file of the buckets in it.
const BUCKETS: &str = "buckets.json";

/// What the name of an interrupted write ends with.
const PARTIAL: &str = "partial";

/// How many of the latest versions have manifests that a power failure may have damaged: more than are written in the seconds until
/// the operating system writes a file that is not synced.
const LATEST: i64 = 10_000;

/// The columns that [`Manifest::of_row`] reads, in its order.
const COLUMNS: &str = "id, bucket, key, etag, size, last_modified, sequencer, headers, checksum, parts, upload, version_id, is_marker";

/// What the index says about a version of an object, or about a delete marker. The field names are stored: a changed meaning needs a
/// new name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) version_id: String,
    pub(super) etag: String,
    /// In bytes.
    pub(super) size: u64,
    /// Milliseconds since the Unix epoch.
    pub(super) last_modified: i64,
    pub(super) sequencer: String,
    pub(super) headers: ObjectHeaders,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) checksum: Option<Checksum>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) parts: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) upload: Option<String>,
    pub(super) is_marker: bool,
    /// The blobs in their order; none for a delete marker.
    pub(super) segments: Vec<Segment>,
}

/// What the index says about a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BucketState {
    pub(super) name: String,
    /// Milliseconds since the Unix epoch.
    pub(super) created_at: i64,
    pub(super) watched: bool,
    /// As in the column `versioning`.
    pub(super) versioning: i64,
}

/// A blob of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Segment {
    /// The blob's file name.
    pub(super) blob: String,
    /// In bytes.
    pub(super) length: u64,
}

impl Segment {
    /// The blob.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if its name is invalid.
    pub(super) fn id(&self) -> Result<BlobId, StoreError> {
        BlobId::parse(&self.blob)
            .ok_or_else(|| StoreError::Damaged { what: format!("the name of a blob, {:?}", self.blob) })
    }
}

/// A version of an object: what its manifest is found by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ManifestKey {
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) version_id: String,
}

impl ManifestKey {
    /// Its manifest's file name.
    fn file_name(&self) -> String {
        let mut hasher = Sha256::new();
        for part in [&self.bucket, &self.key, &self.version_id] {
            hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hasher.update(part);
        }
        format!("{}.json", HEXLOWER.encode(&hasher.finalize()[..16]))
    }
}

impl Manifest {
    /// The version that it describes.
    pub(super) fn version(&self) -> ManifestKey {
        ManifestKey {
            bucket: self.bucket.clone(),
            key: self.key.clone(),
            version_id: self.version_id.clone(),
        }
    }

    /// Reads a row of [`COLUMNS`], without its segments. Returns the row's id, too.
    fn of_row(row: &Row<'_>) -> Result<(i64, Self), StoreError> {
        let checksum = row.get::<_, Option<String>>(8)?;
        let manifest = Self {
            bucket: row.get(1)?,
            key: row.get(2)?,
            etag: row.get(3)?,
            size: to_u64(row.get(4)?)?,
            last_modified: row.get(5)?,
            sequencer: row.get(6)?,
            headers: from_json(&row.get::<_, String>(7)?)?,
            checksum: checksum.map(|json| from_json(&json)).transpose()?,
            parts: row.get(9)?,
            upload: row.get(10)?,
            version_id: row.get(11)?,
            is_marker: row.get(12)?,
            segments: Vec::new(),
        };
        Ok((row.get(0)?, manifest))
    }

    fn with_segments(mut self, db: &Connection, object: i64) -> Result<Self, StoreError> {
        let segments = segments_of(db, object)?.into_iter();
        self.segments = segments.map(|(blob, length)| Segment { blob: blob.name(), length }).collect();
        Ok(self)
    }
}

/// What the index says about `version`; `None` if it has no such row.
pub(super) fn of_version(db: &Connection, version: &ManifestKey) -> Result<Option<Manifest>, StoreError> {
    let mut statement = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM objects WHERE bucket = ?1 AND key = ?2 AND version_id = ?3"
    ))?;
    let ManifestKey { bucket, key, version_id } = version;
    let found = statement.query_row([bucket, key, version_id], |row| Ok(Manifest::of_row(row))).optional()?;
    let Some((object, manifest)) = found.transpose()? else { return Ok(None) };
    manifest.with_segments(db, object).map(Some)
}

/// Calls `visit` with what the index says about each row, in the order of their keys.
pub(super) fn for_each_row(
    db: &Connection,
    mut visit: impl FnMut(Manifest) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut statement =
        db.prepare(&format!("SELECT {COLUMNS} FROM objects ORDER BY bucket, key, sequencer"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (object, manifest) = Manifest::of_row(row)?;
        visit(manifest.with_segments(db, object)?)?;
    }
    Ok(())
}

/// What the index says about its buckets.
pub(super) fn buckets(db: &Connection) -> Result<Vec<BucketState>, StoreError> {
    let mut statement =
        db.prepare("SELECT name, created_at, watched, versioning FROM buckets ORDER BY name")?;
    let rows = statement.query_map([], |row| {
        let (name, created_at, watched, versioning) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        Ok(BucketState { name, created_at, watched, versioning })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The first of these manifests that the index cannot have forgotten: of a later write than its last one, and the one that a crash may
/// have interrupted. The index is then older than the manifests.
pub(super) fn later_than(db: &Connection, unnamed: &[PathBuf]) -> Result<Option<Manifest>, StoreError> {
    let last = last_sequencer(db)?;
    let manifests = unnamed.iter().filter_map(|path| read(path));
    // A transaction that deletes may have many delete markers; one that adds an object has only that.
    let mut later = manifests.filter(|found| !found.is_marker && is_later(found, last.saturating_add(1)));
    Ok(later.next())
}

fn last_sequencer(db: &Connection) -> Result<i64, StoreError> {
    Ok(db.query_row("SELECT value FROM sequence", [], |row| row.get(0))?)
}

fn is_later(manifest: &Manifest, sequencer: i64) -> bool {
    i64::from_str_radix(&manifest.sequencer, 16).is_ok_and(|found| found > sequencer)
}

/// How the manifests differ from the rows of the index.
pub(super) struct Comparison {
    /// What the index says about the versions that have no manifest, and about the latest ones whose manifest cannot be read or is of an
    /// earlier write.
    pub(super) missing: Vec<Manifest>,
    /// The files that belong to no row.
    pub(super) unnamed: Vec<PathBuf>,
}

/// The directory of manifests. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Manifests {
    root: PathBuf,
}

impl Manifests {
    /// Opens the directory below `root`, creating it if needed.
    pub(super) fn open(root: &Path) -> Result<Self, StoreError> {
        let root = root.join(MANIFESTS);
        for byte in 0..=u8::MAX {
            create_dir(&root.join(HEXLOWER.encode(&[byte])))?;
        }
        Ok(Self { root })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name.get(..2).unwrap_or_default()).join(name)
    }

    /// Writes a manifest in place of the version's former one.
    pub(super) fn write(&self, manifest: &Manifest) -> Result<(), StoreError> {
        write(&self.path(&manifest.version().file_name()), manifest)
    }

    /// Writes all buckets, durably.
    pub(super) fn write_buckets(&self, buckets: &[BucketState]) -> Result<(), StoreError> {
        let path = self.root.join(BUCKETS);
        if self.read_buckets().is_some_and(|written| written == buckets) {
            return Ok(());
        }
        write(&path, buckets)?;
        fs::File::open(&path)
            .and_then(|file| file.sync_all())
            .io_context("syncing the file of the buckets")?;
        super::blobs::sync_dir(&self.root)
    }

    /// Reads all buckets; `None` if there is no file that can be read.
    pub(super) fn read_buckets(&self) -> Option<Vec<BucketState>> {
        parse(&self.root.join(BUCKETS))
    }

    /// Whether there is a manifest of a version. Delete markers have manifests, and no blobs.
    pub(super) fn has_versions(&self) -> Result<bool, StoreError> {
        for byte in 0..=u8::MAX {
            if !self.paths_of(byte)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether there is a file of buckets, as in every store that was used.
    pub(super) fn has_buckets(&self) -> bool {
        self.root.join(BUCKETS).exists()
    }

    /// Reads the manifest of `version`; `None` if there is none that can be read.
    pub(super) fn read(&self, version: &ManifestKey) -> Option<Manifest> {
        read(&self.path(&version.file_name()))
    }

    /// Removes the manifest of a version whose row was deleted. If that fails, the next start moves it to `lost+found`.
    pub(super) fn remove(&self, version: &ManifestKey) {
        super::blobs::remove(&self.path(&version.file_name()));
    }

    /// Compares the manifests' names with the rows, and reads the latest ones. Changes nothing.
    pub(super) fn compare(&self, db: &Connection) -> Result<Comparison, StoreError> {
        let mut unnamed: HashSet<PathBuf> = self.paths()?.into_iter().collect();
        let mut missing = Vec::new();
        let last = last_sequencer(db)?;
        for_each_row(db, |manifest| {
            let path = self.path(&manifest.version().file_name());
            // One of this write or a later one that differs is left to a check of the store: the row may be what is wrong.
            let is_outdated = || read(&path).is_none_or(|found| found.sequencer < manifest.sequencer);
            let is_lost = || is_later(&manifest, last.saturating_sub(LATEST)) && is_outdated();
            if !unnamed.remove(&path) || is_lost() {
                missing.push(manifest);
            }
            Ok(())
        })?;
        Ok(Comparison { missing, unnamed: unnamed.into_iter().collect() })
    }

    /// Writes the missing manifests, and the buckets. Removes what interrupted writes left.
    pub(super) fn complete(&self, db: &Connection, missing: &[Manifest]) -> Result<(), StoreError> {
        self.write_buckets(&buckets(db)?)?;
        missing.iter().try_for_each(|manifest| self.write(manifest))?;
        for byte in 0..=u8::MAX {
            self.files_of(byte)?
                .iter()
                .filter(|path| is_partial(path))
                .for_each(|path| super::blobs::remove(path));
        }
        Ok(())
    }

    /// All manifests, in no particular order, and the paths of the files that cannot be read as one.
    pub(super) fn read_all(&self) -> Result<(Vec<Manifest>, Vec<PathBuf>), StoreError> {
        let (mut manifests, mut unreadable) = (Vec::new(), Vec::new());
        for path in self.paths()? {
            match read(&path) {
                Some(manifest) => manifests.push(manifest),
                None => unreadable.push(path),
            }
        }
        Ok((manifests, unreadable))
    }

    /// The path of the manifest of `version`.
    pub(super) fn path_of(&self, version: &ManifestKey) -> PathBuf {
        self.path(&version.file_name())
    }

    fn paths(&self) -> Result<Vec<PathBuf>, StoreError> {
        let mut paths = Vec::new();
        for byte in 0..=u8::MAX {
            paths.extend(self.paths_of(byte)?);
        }
        Ok(paths)
    }

    /// The files of a directory, without those of writes that were interrupted: what they belong to has another manifest, or none.
    fn paths_of(&self, byte: u8) -> Result<Vec<PathBuf>, StoreError> {
        let mut paths = self.files_of(byte)?;
        paths.retain(|path| !is_partial(path));
        Ok(paths)
    }

    fn files_of(&self, byte: u8) -> Result<Vec<PathBuf>, StoreError> {
        let mut paths = Vec::new();
        let entries = fs::read_dir(self.root.join(HEXLOWER.encode(&[byte])));
        for entry in entries.io_context("listing manifests")? {
            let entry = entry.io_context("listing manifests")?;
            if entry.file_type().io_context("listing manifests")?.is_file() {
                paths.push(entry.path());
            }
        }
        Ok(paths)
    }
}

fn is_partial(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == PARTIAL)
}

/// Reads a manifest. One that contradicts itself or its file's name was changed or moved, and counts as unreadable.
fn read(path: &Path) -> Option<Manifest> {
    let manifest: Manifest = parse(path)?;
    let is_named = path.file_name().is_some_and(|name| *name == *manifest.version().file_name());
    let size = manifest.segments.iter().try_fold(0_u64, |sum, segment| sum.checked_add(segment.length));
    let is_whole = manifest.is_marker == manifest.segments.is_empty() && size == Some(manifest.size);
    let is_valid = i64::from_str_radix(&manifest.sequencer, 16).is_ok()
        && manifest.segments.iter().all(|segment| segment.id().is_ok());
    (is_named && is_whole && is_valid).then_some(manifest)
}

fn parse<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn write<T: Serialize + ?Sized>(path: &Path, value: &T) -> Result<(), StoreError> {
    let partial = path.with_extension(PARTIAL);
    let json = serde_json::to_vec(value).map_err(io::Error::other);
    json.and_then(|json| fs::write(&partial, json))
        .and_then(|()| fs::rename(&partial, path))
        .io_context("writing a manifest")
}
