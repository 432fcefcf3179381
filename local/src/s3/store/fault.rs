//! What can be wrong with the files of an object.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use md5::{Digest as _, Md5};

use super::blobs::Blobs;
use super::manifests::Manifest;
use crate::s3::error::{IoContext as _, StoreError};
use crate::s3::version::NULL_VERSION;

/// How many bytes of a blob are read at a time.
const BUFFER: usize = 1 << 20;

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
    /// The index names files that do not exist, and the manifest others that do.
    WrongRow { version: String },
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
            Self::WrongRow { version } => write!(
                f,
                "the index contradicts the manifest of {version}, whose files exist; to rebuild the index from the manifests, move \
                 objects.db away and run --repair"
            ),
            Self::UnreadableManifest(path) => {
                write!(
                    f,
                    "the manifest {} was changed or moved and is ignored, so its object is unknown",
                    path.display()
                )
            }
        }
    }
}

/// How a version is named in messages.
pub(super) fn name_of(manifest: &Manifest) -> String {
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
    let version = name_of(manifest);
    let mut sums = Vec::with_capacity(manifest.segments.len());
    for segment in &manifest.segments {
        let path = blobs.path(segment.id()?);
        if let Some(fault) = fault_of_blob(path.clone(), segment.length, &version)? {
            return Ok(Some(fault));
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
    Ok((found != expected).then_some(Fault::OtherBytes { version, expected, found }))
}

/// The fault of a file that must have this length.
pub(super) fn fault_of_blob(
    path: PathBuf,
    expected: u64,
    version: &str,
) -> Result<Option<Fault>, StoreError> {
    let version = version.to_owned();
    match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Some(Fault::Missing { version, path })),
        found => {
            let found = found.io_context("reading the length of a blob")?.len();
            Ok((found != expected).then_some(Fault::OtherLength { version, path, expected, found }))
        }
    }
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
