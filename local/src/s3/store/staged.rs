//! Blobs that are written completely and not referenced yet.

use std::fs::{File, OpenOptions};
use std::io::Write as _;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use md5::{Digest as _, Md5};

use super::blobs::{BlobId, Blobs, remove};
use crate::s3::checksum::{ChecksumAlgorithm, Hasher};
use crate::s3::error::{IoContext as _, StoreError};

/// Bytes that are durable on disk and do not belong to an object yet. Dropping it removes them.
pub struct Staged {
    file: StagedFile,
    size: u64,
    md5: [u8; 16],
    checksum: Option<(ChecksumAlgorithm, String)>,
}

impl Staged {
    /// Size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The MD5 of the bytes.
    pub fn md5(&self) -> [u8; 16] {
        self.md5
    }

    /// The MD5 in hex: the entity tag of an object or part made of these bytes.
    pub fn etag(&self) -> String {
        HEXLOWER.encode(&self.md5)
    }

    /// The requested checksum, in base64.
    pub fn checksum(&self) -> Option<(ChecksumAlgorithm, &str)> {
        self.checksum.as_ref().map(|(algorithm, value)| (*algorithm, value.as_str()))
    }

    pub(super) fn id(&self) -> BlobId {
        self.file.id
    }

    pub(super) fn into_file(self) -> StagedFile {
        self.file
    }
}

/// The file of a [`Staged`]. Removed when dropped, unless [`StagedFile::keep`] was called.
pub(super) struct StagedFile {
    blobs: Blobs,
    id: BlobId,
    in_place: bool,
    kept: bool,
}

impl StagedFile {
    /// Keeps the file: a row references it or may reference it.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if !self.kept {
            let path = if self.in_place { self.blobs.path(self.id) } else { self.blobs.incoming(self.id) };
            remove(&path);
        }
    }
}

/// Writes a blob and computes its digests.
pub(super) struct BlobWriter {
    out: File,
    staged: StagedFile,
    size: u64,
    md5: Md5,
    hasher: Option<(ChecksumAlgorithm, Hasher)>,
}

impl BlobWriter {
    pub(super) fn create(blobs: Blobs, algorithm: Option<ChecksumAlgorithm>) -> Result<Self, StoreError> {
        let id = BlobId::random()?;
        let out = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(blobs.incoming(id))
            .io_context("creating a blob")?;
        Ok(Self {
            out,
            staged: StagedFile { blobs, id, in_place: false, kept: false },
            size: 0,
            md5: Md5::new(),
            hasher: algorithm.map(|algorithm| (algorithm, Hasher::new(algorithm))),
        })
    }

    pub(super) fn write(mut self, batch: Vec<Bytes>) -> Result<Self, StoreError> {
        for bytes in batch {
            self.out.write_all(&bytes).io_context("writing a blob")?;
            self.md5.update(&bytes);
            if let Some((_, hasher)) = &mut self.hasher {
                hasher.update(&bytes);
            }
            self.size += bytes.len() as u64;
        }
        Ok(self)
    }

    /// Makes the blob durable.
    pub(super) fn finish(mut self) -> Result<Staged, StoreError> {
        self.out.sync_all().io_context("syncing a blob")?;
        self.staged.blobs.move_into_place(self.staged.id)?;
        self.staged.in_place = true;
        Ok(Staged {
            file: self.staged,
            size: self.size,
            md5: self.md5.finalize().into(),
            checksum: self.hasher.map(|(algorithm, hasher)| (algorithm, hasher.finish())),
        })
    }
}
