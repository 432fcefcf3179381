//! Checking the store's files against its index, and repairing the index.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use md5::{Digest as _, Md5};
use rusqlite::Connection;
use serde::Serialize;
use time::OffsetDateTime;

use super::blobs::Blobs;
use super::handle::{INDEX, is_new, lock, referenced_blobs};
use super::lost_found::{LOST_AND_FOUND, has_complete_blobs};
use super::manifests::{self, Manifest, Manifests};
use super::rebuild::rebuild;
use super::row::to_u64;
use super::schema;
use crate::s3::error::{IoContext as _, StoreError};
use crate::s3::version::NULL_VERSION;

/// How many bytes of a blob are read at a time.
const BUFFER: usize = 1 << 20;

/// What a check does beside the comparison of the index with the names and lengths of the files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CheckOptions {
    /// Rebuild an index that is missing or damaged, and write manifests that are missing or differ from the index.
    pub repair: bool,
    /// Read all bytes and compare them with the entity tags.
    pub read_bytes: bool,
}

/// The state of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum IndexState {
    /// It can be read.
    Intact,
    /// There is none, or a new one, although there are files of objects.
    Missing,
    /// SQLite found damage.
    Damaged,
    /// It was missing or damaged, and was rebuilt from the manifests.
    Rebuilt,
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckReport {
    /// The index.
    pub index: IndexState,
    /// The versions of objects that the index names, without delete markers.
    pub objects: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// What is wrong and was not repaired, one sentence for each.
    pub faults: Vec<String>,
    /// The number of manifests that were written.
    pub repaired_manifests: u64,
    /// The files of blobs that the index does not name. The next start of the platform moves them to `lost+found`.
    pub unreferenced: u64,
    /// The files in `lost+found`.
    pub lost_and_found: u64,
}

/// A fault of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// A blob has no file.
    Missing { version: String, path: PathBuf },
    /// The file of a blob has another length.
    OtherLength { version: String, path: PathBuf, expected: u64, found: u64 },
    /// The bytes do not have the entity tag.
    OtherBytes { version: String, expected: String, found: String },
    /// The manifest is missing or differs from the index.
    Manifest { version: String },
    /// A manifest cannot be read.
    UnreadableManifest(PathBuf),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { version, path } => {
                write!(
                    f,
                    "{version} is lost: its file {} is missing; restore the file from a backup",
                    path.display()
                )
            }
            Self::OtherLength { version, path, expected, found } => write!(
                f,
                "{version} is damaged: its file {} has {found} bytes instead of {expected}; restore the file from a backup",
                path.display()
            ),
            Self::OtherBytes { version, expected, found } => write!(
                f,
                "{version} is damaged: its bytes have the entity tag {found} instead of {expected}; restore its files from a backup"
            ),
            Self::Manifest { version } => {
                write!(f, "the manifest of {version} is missing or wrong; --repair writes it")
            }
            Self::UnreadableManifest(path) => {
                write!(f, "the manifest {} cannot be read, so its object is unknown", path.display())
            }
        }
    }
}

/// Checks the store in `directory`, which no platform may have open. Changes nothing without [`CheckOptions::repair`]. Calls `progress`
/// with the bytes of the versions that were checked, and of all.
///
/// # Errors
/// [`StoreError::InUse`], [`StoreError::SchemaTooNew`], internal errors. Faults of the store's files are part of the report.
pub fn check(
    directory: &Path,
    options: CheckOptions,
    mut progress: impl FnMut(u64, u64),
) -> Result<CheckReport, StoreError> {
    let _lock = lock(directory)?;
    let blobs = Blobs::open(directory)?;
    let manifests = Manifests::open(directory)?;
    let mut index = state_of_index(directory, &blobs, &manifests)?;
    let mut faults = Vec::new();
    if index != IndexState::Intact {
        if !options.repair {
            let lost_and_found = files_below(&directory.join(LOST_AND_FOUND))?;
            let faults = vec![index_fault(index, directory)];
            let unreferenced = 0;
            return Ok(CheckReport {
                index,
                objects: 0,
                bytes: 0,
                faults,
                repaired_manifests: 0,
                unreferenced,
                lost_and_found,
            });
        }
        faults = rebuild(directory, &blobs, &manifests, OffsetDateTime::now_utc())?;
        index = IndexState::Rebuilt;
    }
    let db = schema::open_reader(&directory.join(INDEX))?;
    let total: i64 = db.query_row("SELECT coalesce(sum(size), 0) FROM objects", [], |row| row.get(0))?;
    let total = to_u64(total)?;
    let (mut objects, mut bytes, mut repaired_manifests) = (0, 0, 0);
    manifests::for_each_row(&db, |row| {
        if !row.is_marker {
            (objects, bytes) = (objects + 1, bytes + row.size);
        }
        faults.extend(fault_of_blobs(&blobs, &row, options.read_bytes)?);
        if manifests.read(&row.version()).as_ref() != Some(&row) {
            if options.repair {
                manifests.write(&row)?;
                repaired_manifests += 1;
            } else {
                faults.push(Fault::Manifest { version: name_of(&row) });
            }
        }
        progress(bytes, total);
        Ok(())
    })?;
    Ok(CheckReport {
        index,
        objects,
        bytes,
        faults: faults.iter().map(ToString::to_string).collect(),
        repaired_manifests,
        unreferenced: unreferenced(&db, &blobs)?,
        lost_and_found: files_below(&directory.join(LOST_AND_FOUND))?,
    })
}

fn state_of_index(directory: &Path, blobs: &Blobs, manifests: &Manifests) -> Result<IndexState, StoreError> {
    let path = directory.join(INDEX);
    let holds_objects = has_complete_blobs(blobs)? || manifests.has_versions()?;
    if !path.exists() && (holds_objects || manifests.has_buckets()) {
        return Ok(IndexState::Missing);
    }
    match schema::open_writer(&path) {
        Ok(db) if is_new(&db)? && holds_objects => Ok(IndexState::Missing),
        Ok(_) => Ok(IndexState::Intact),
        Err(StoreError::IndexDamaged { .. }) => Ok(IndexState::Damaged),
        Err(error) => Err(error),
    }
}

fn index_fault(index: IndexState, directory: &Path) -> String {
    let what =
        if index == IndexState::Damaged { "damaged" } else { "missing or new, but the store was used" };
    format!(
        "the index {} is {what}; rebuild it from the manifests with --repair, or restore it from a backup",
        directory.join(INDEX).display()
    )
}

/// How a version is named in messages.
fn name_of(manifest: &Manifest) -> String {
    let Manifest { bucket, key, .. } = manifest;
    if manifest.version_id == NULL_VERSION {
        format!("{bucket}/{key}")
    } else {
        format!("{bucket}/{key}, version {}", manifest.version_id)
    }
}

/// The first fault of the blobs of a version.
pub(super) fn fault_of_blobs(
    blobs: &Blobs,
    manifest: &Manifest,
    read_bytes: bool,
) -> Result<Option<Fault>, StoreError> {
    let version = || name_of(manifest);
    let mut sums = Vec::with_capacity(manifest.segments.len());
    for segment in &manifest.segments {
        let path = blobs.path(segment.id()?);
        let found = match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Some(Fault::Missing { version: version(), path }));
            }
            found => found.io_context("reading the length of a blob")?.len(),
        };
        if found != segment.length {
            let expected = segment.length;
            return Ok(Some(Fault::OtherLength { version: version(), path, expected, found }));
        }
        if read_bytes {
            sums.push(md5_of(&path)?);
        }
    }
    if !read_bytes || manifest.is_marker {
        return Ok(None);
    }
    let found = match (&manifest.parts, &sums[..]) {
        (None, [sum]) => HEXLOWER.encode(sum),
        // A copy of an object has its entity tag and its blobs.
        _ => format!("{}-{}", HEXLOWER.encode(&Md5::digest(sums.concat())), sums.len()),
    };
    let expected = manifest.etag.clone();
    Ok((found != expected).then(|| Fault::OtherBytes { version: version(), expected, found }))
}

fn md5_of(path: &Path) -> Result<[u8; 16], StoreError> {
    let mut file = File::open(path).io_context("opening a blob")?;
    let (mut md5, mut buffer) = (Md5::new(), vec![0; BUFFER]);
    loop {
        let read = file.read(&mut buffer).io_context("reading a blob")?;
        if read == 0 {
            return Ok(md5.finalize().into());
        }
        md5.update(&buffer[..read]);
    }
}

fn unreferenced(db: &Connection, blobs: &Blobs) -> Result<u64, StoreError> {
    let mut files = 0;
    for directory in std::iter::once(blobs.incoming_directory()).chain(blobs.complete_directories()) {
        files += files_below(&directory)?;
    }
    let referenced = referenced_blobs(db)?;
    let present = referenced.iter().filter(|id| blobs.path(**id).exists()).count();
    Ok(files.saturating_sub(u64::try_from(present).unwrap_or(u64::MAX)))
}

/// The number of files in a directory and those below it; 0 if it does not exist.
fn files_below(directory: &Path) -> Result<u64, StoreError> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries.io_context("listing a directory")?,
    };
    let mut files = 0;
    for entry in entries {
        let entry = entry.io_context("listing a directory")?;
        let is_directory = entry.file_type().io_context("listing a directory")?.is_dir();
        files += if is_directory { files_below(&entry.path())? } else { 1 };
    }
    Ok(files)
}
