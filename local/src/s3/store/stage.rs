//! Receiving bytes into a blob that no object references yet.

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use tokio::task::spawn_blocking;

use super::handle::Store;
use super::staged::{BlobWriter, Staged};
use crate::s3::checksum::ChecksumAlgorithm;
use crate::s3::error::StoreError;
use crate::s3::limits::MAX_PUT_BYTES;

/// How many bytes are collected before a blocking thread hashes and writes them.
const BATCH_BYTES: usize = 1 << 20;

impl Store {
    /// Receives a body into a durable blob that no object references yet, and computes its MD5 and, if requested, one
    /// more checksum. Holds at most about 1 MiB of it in memory. If it fails or the future is dropped, the blob is
    /// removed.
    ///
    /// # Errors
    /// [`StoreError::Body`] when the body fails, [`StoreError::TooLarge`] past 5 GiB, [`StoreError::NoSpace`], internal errors.
    pub async fn stage<S, E>(
        &self,
        mut body: S,
        checksum: Option<ChecksumAlgorithm>,
    ) -> Result<Staged, StoreError>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.check_space(0).await?;
        let blobs = self.blobs().clone();
        let mut writer = spawn_blocking(move || BlobWriter::create(blobs, checksum)).await??;
        let mut batch = Vec::new();
        let mut batched = 0;
        let mut size = 0_u64;
        while let Some(bytes) = body.next().await {
            let bytes = bytes.map_err(|error| StoreError::Body(error.into()))?;
            size += bytes.len() as u64;
            if size > MAX_PUT_BYTES {
                return Err(StoreError::TooLarge { size });
            }
            batched += bytes.len();
            batch.push(bytes);
            if batched >= BATCH_BYTES {
                let full = std::mem::take(&mut batch);
                batched = 0;
                self.check_space(BATCH_BYTES as u64).await?;
                writer = spawn_blocking(move || writer.write(full)).await??;
            }
        }
        spawn_blocking(move || writer.write(batch)?.finish()).await?
    }
}
