//! Receiving bytes into a blob that nothing references yet.

use std::fs::{File, OpenOptions};
use std::io::Write as _;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use futures::{Stream, StreamExt as _};
use md5::{Digest as _, Md5};
use tokio::task::spawn_blocking;

use super::Store;
use super::blobs::{BlobId, Blobs, remove};
use crate::s3::checksum::{ChecksumAlgorithm, Hasher};
use crate::s3::error::{Doing as _, StoreError};
use crate::s3::object::MAX_PUT_BYTES;

/// How many bytes are collected before they are handed to a blocking thread for hashing and writing.
const BATCH_BYTES: usize = 1 << 20;

/// Bytes that are safely on the disk and belong to no object yet. Dropping it removes them.
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

    /// The checksum that was asked for, in base64.
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

/// The file of a [`Staged`]: removed when dropped, unless a row references it.
pub(super) struct StagedFile {
    blobs: Blobs,
    id: BlobId,
    settled: bool,
    kept: bool,
}

impl StagedFile {
    /// Lets go of the file: a row references it now, or may do so.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if !self.kept {
            let path = if self.settled { self.blobs.path(self.id) } else { self.blobs.incoming(self.id) };
            remove(&path);
        }
    }
}

struct Sink {
    out: File,
    staged: StagedFile,
    size: u64,
    md5: Md5,
    hasher: Option<(ChecksumAlgorithm, Hasher)>,
}

impl Sink {
    fn create(blobs: Blobs, algorithm: Option<ChecksumAlgorithm>) -> Result<Self, StoreError> {
        let id = BlobId::random()?;
        let out = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(blobs.incoming(id))
            .doing("creating a blob")?;
        Ok(Self {
            out,
            staged: StagedFile { blobs, id, settled: false, kept: false },
            size: 0,
            md5: Md5::new(),
            hasher: algorithm.map(|algorithm| (algorithm, Hasher::new(algorithm))),
        })
    }

    fn write(mut self, batch: Vec<Bytes>) -> Result<Self, StoreError> {
        for bytes in batch {
            self.out.write_all(&bytes).doing("writing a blob")?;
            self.md5.update(&bytes);
            if let Some((_, hasher)) = &mut self.hasher {
                hasher.update(&bytes);
            }
            self.size += bytes.len() as u64;
        }
        Ok(self)
    }

    fn finish(mut self) -> Result<Staged, StoreError> {
        self.out.sync_all().doing("syncing a blob")?;
        self.staged.blobs.settle(self.staged.id)?;
        self.staged.settled = true;
        Ok(Staged {
            file: self.staged,
            size: self.size,
            md5: self.md5.finalize().into(),
            checksum: self.hasher.map(|(algorithm, hasher)| (algorithm, hasher.finish())),
        })
    }
}

impl Store {
    /// Receives a body into a durable blob that no object references yet, computing its MD5 and, if asked, one more
    /// checksum. At most about 1 MiB of it is in memory. Cancelling or failing leaves nothing behind.
    ///
    /// # Errors
    /// [`StoreError::Body`] when the body fails, [`StoreError::TooLarge`] past 5 GiB, I/O errors.
    pub async fn stage<S, E>(
        &self,
        mut body: S,
        checksum: Option<ChecksumAlgorithm>,
    ) -> Result<Staged, StoreError>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let blobs = self.blobs().clone();
        let mut sink = spawn_blocking(move || Sink::create(blobs, checksum)).await??;
        let mut batch = Vec::new();
        let mut batched = 0;
        let mut size = 0_u64;
        while let Some(bytes) = body.next().await {
            let bytes = bytes.map_err(|error| StoreError::Body(error.into()))?;
            size += bytes.len() as u64;
            if size > MAX_PUT_BYTES {
                return Err(StoreError::TooLarge);
            }
            batched += bytes.len();
            batch.push(bytes);
            if batched >= BATCH_BYTES {
                let full = std::mem::take(&mut batch);
                batched = 0;
                sink = spawn_blocking(move || sink.write(full)).await??;
            }
        }
        spawn_blocking(move || sink.write(batch)?.finish()).await?
    }
}
