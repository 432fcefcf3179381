//! The source in blocks: a few of them in memory, the next one on its way.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use lru::LruCache;

use crate::storage::{Location, ObjectInfo, ObjectStore, StorageError};

type Block = Shared<BoxFuture<'static, Result<Bytes, Arc<StorageError>>>>;

/// An object to be read at random, pinned to the entity tag that it had in the beginning.
pub struct Source {
    store: Arc<dyn ObjectStore>,
    location: Location,
    info: ObjectInfo,
    blocks: Mutex<LruCache<u64, Block>>,
    failure: Mutex<Option<Arc<StorageError>>>,
}

/// Large enough that a request's delay is small beside its transfer; a file whose sound and picture lie apart needs a block
/// for each.
const BLOCK_BYTES: u64 = 2 * 1024 * 1024;
/// 24 MiB in all, whatever the source's size.
const BLOCKS_IN_MEMORY: NonZeroUsize = NonZeroUsize::new(12).expect("more than none");

impl Source {
    /// The object at `location`, which `info` was said of.
    pub fn new(store: Arc<dyn ObjectStore>, location: Location, info: ObjectInfo) -> Self {
        let blocks = Mutex::new(LruCache::new(BLOCKS_IN_MEMORY));
        Self { store, location, info, blocks, failure: Mutex::default() }
    }

    /// Size in bytes.
    pub fn bytes(&self) -> u64 {
        self.info.bytes
    }

    /// The first failure of storage since the beginning: what FFmpeg made of the source after it is worth nothing.
    pub fn failure(&self) -> Option<Arc<StorageError>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Some bytes from `position` on, at least one; `position` lies within the object. The following ones are fetched
    /// ahead.
    pub async fn piece(&self, position: u64) -> Result<Bytes, Arc<StorageError>> {
        let number = position / BLOCK_BYTES;
        let block = self.block(number);
        if (number + 1) * BLOCK_BYTES < self.info.bytes {
            // Polled by nobody else until it is asked for.
            tokio::spawn(self.block(number + 1));
        }
        let offset = usize::try_from(position % BLOCK_BYTES).unwrap_or(usize::MAX);
        let bytes = block.await.and_then(|block| {
            if offset < block.len() {
                Ok(block.slice(offset..))
            } else {
                // Fewer bytes than the object had: another object, whatever its tag says.
                Err(Arc::new(StorageError::PreconditionFailed { operation: "GetObject" }))
            }
        });
        if let Err(error) = &bytes {
            let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
            failure.get_or_insert_with(|| Arc::clone(error));
        }
        bytes
    }

    fn block(&self, number: u64) -> Block {
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        // A block that failed is asked for again.
        if let Some(block) = blocks.get(&number).filter(|block| !matches!(block.peek(), Some(Err(_)))) {
            return block.clone();
        }
        let (store, location, etag) =
            (Arc::clone(&self.store), self.location.clone(), self.info.etag.clone());
        let range = number * BLOCK_BYTES..((number + 1) * BLOCK_BYTES).min(self.info.bytes);
        let block =
            async move { store.read(&location, &etag, range).await.map_err(Arc::new) }.boxed().shared();
        blocks.put(number, block.clone());
        block
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Source").field("bytes", &self.info.bytes).finish_non_exhaustive()
    }
}
