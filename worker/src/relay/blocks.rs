//! Reads the source in blocks, with a small cache and read-ahead of one block.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use lru::LruCache;

use crate::storage::{Location, ObjectInfo, StorageError, WholeObjectStore};

type Block = Shared<BoxFuture<'static, Result<Bytes, Arc<StorageError>>>>;

/// Random access to an object, pinned to its version or to the entity tag that it had at the start.
pub struct Source {
    store: Arc<dyn WholeObjectStore>,
    location: Location,
    info: ObjectInfo,
    /// Bytes that readers see.
    bytes: AtomicU64,
    version_id: Option<String>,
    blocks: Mutex<LruCache<u64, Block>>,
    failure: Mutex<Option<Arc<StorageError>>>,
}

/// Large enough that the latency of a request is small compared to its transfer time. A file whose audio and video are stored
/// apart needs one block for each.
const BLOCK_BYTES: u64 = 2 * 1024 * 1024;
/// 24 MiB in total, independent of the source's size.
const BLOCKS_IN_MEMORY: NonZeroUsize = NonZeroUsize::new(12).expect("not zero");

impl Source {
    /// Reads the object at `location`, whose size and entity tag are `info`.
    pub fn new(store: Arc<dyn WholeObjectStore>, location: Location, info: ObjectInfo) -> Self {
        let blocks = Mutex::new(LruCache::new(BLOCKS_IN_MEMORY));
        let bytes = AtomicU64::new(info.bytes);
        Self { store, location, info, bytes, version_id: None, blocks, failure: Mutex::default() }
    }

    /// Reads this version of the object, whatever is stored under its key since.
    #[must_use]
    pub fn of_version(self, version_id: Option<String>) -> Self {
        Self { version_id, ..self }
    }

    /// Size in bytes, as readers see it.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Size of the object in bytes.
    pub fn object_bytes(&self) -> u64 {
        self.info.bytes
    }

    /// Hides everything after the first `bytes` of the object from those who ask for its size from now on.
    pub fn shorten(&self, bytes: u64) {
        self.bytes.store(bytes.min(self.info.bytes), Ordering::Relaxed);
    }

    /// The first storage error so far. If there is one, FFmpeg's output is unusable: it did not read the whole source.
    pub fn failure(&self) -> Option<Arc<StorageError>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns at least one byte starting at `position`, which must lie within the object. Starts to fetch the next block.
    pub async fn chunk_at(&self, position: u64) -> Result<Bytes, Arc<StorageError>> {
        let number = position / BLOCK_BYTES;
        let block = self.block(number);
        if (number + 1) * BLOCK_BYTES < self.info.bytes {
            // Spawned because a shared future makes no progress unless it is polled.
            tokio::spawn(self.block(number + 1));
        }
        let offset = usize::try_from(position % BLOCK_BYTES).unwrap_or(usize::MAX);
        let bytes = block.await.and_then(|block| {
            if offset < block.len() {
                Ok(block.slice(offset..))
            } else {
                // Fewer bytes than the object had: it was replaced, even if the entity tag is the same.
                Err(Arc::new(StorageError::PreconditionFailed { operation: "GetObject" }))
            }
        });
        if let Err(error) = &bytes {
            let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
            failure.get_or_insert_with(|| Arc::clone(error));
        }
        bytes
    }

    /// Returns the bytes of `range`, which must lie within the object.
    pub async fn read(&self, range: std::ops::Range<u64>) -> Result<Bytes, Arc<StorageError>> {
        let mut bytes = BytesMut::new();
        let mut position = range.start;
        while position < range.end {
            let mut chunk = self.chunk_at(position).await?;
            chunk.truncate(usize::try_from(range.end - position).unwrap_or(usize::MAX));
            if chunk.len() as u64 == range.end - range.start {
                return Ok(chunk);
            }
            position += chunk.len() as u64;
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.freeze())
    }

    fn block(&self, number: u64) -> Block {
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        // A failed block is fetched again.
        if let Some(block) = blocks.get(&number).filter(|block| !matches!(block.peek(), Some(Err(_)))) {
            return block.clone();
        }
        let (store, location, etag) =
            (Arc::clone(&self.store), self.location.clone(), self.info.etag.clone());
        let range = number * BLOCK_BYTES..((number + 1) * BLOCK_BYTES).min(self.info.bytes);
        let version_id = self.version_id.clone();
        let read = async move {
            match &version_id {
                Some(version_id) => store.read_version(&location, version_id, range).await,
                None => store.read(&location, &etag, range).await,
            }
            .map_err(Arc::new)
        };
        let block = read.boxed().shared();
        blocks.put(number, block.clone());
        block
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Source").field("bytes", &self.info.bytes).finish_non_exhaustive()
    }
}
