//! The structure of media files, whatever their container.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::executor::block_on;
use streamio_worker::probe::testing::read_structure;
use streamio_worker::relay::Source;
use streamio_worker::storage::{
    Condition, Content, Location, ObjectHeaders, ObjectInfo, StorageError, WholeObjectStore,
};

/// The requests that one file may cost.
const MAX_REQUESTS: usize = 16;

/// What is stated is within the file, and costs a bounded number of requests.
pub fn check(data: &[u8]) {
    if data.is_empty() {
        return;
    }
    let file = Arc::new(File { bytes: Bytes::copy_from_slice(data), requests: AtomicUsize::new(0) });
    let location = Location { bucket: "raw".to_owned(), key: "file".to_owned() };
    let info = ObjectInfo { bytes: data.len() as u64, etag: "\"1\"".to_owned() };
    let source = Source::new(file.clone(), location, info);
    let stated = block_on(read_structure(&source)).expect("memory can be read");
    assert!(stated.zeros_after <= data.len() as u64);
    assert!(stated.exact_seconds.is_none_or(|seconds| seconds.is_finite() && seconds >= 0.0), "{stated:?}");
    assert!(source.bytes() <= source.object_bytes());
    assert!(file.requests.load(Ordering::Relaxed) <= MAX_REQUESTS);
}

/// An object in memory.
struct File {
    bytes: Bytes,
    requests: AtomicUsize,
}

impl File {
    fn refuse<T>(operation: &'static str) -> Result<T, StorageError> {
        Err(StorageError::NotFound { operation })
    }
}

#[async_trait]
impl WholeObjectStore for File {
    async fn head(&self, _: &Location) -> Result<Option<ObjectInfo>, StorageError> {
        Self::refuse("HeadObject")
    }

    async fn head_version(&self, _: &Location, _: &str) -> Result<Option<ObjectInfo>, StorageError> {
        Self::refuse("HeadObject")
    }

    async fn read_version(&self, _: &Location, _: &str, _: Range<u64>) -> Result<Bytes, StorageError> {
        Self::refuse("GetObject")
    }

    async fn read(&self, _: &Location, _: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let end = usize::try_from(range.end).unwrap_or(usize::MAX).min(self.bytes.len());
        let start = usize::try_from(range.start).unwrap_or(usize::MAX).min(end);
        Ok(self.bytes.slice(start..end))
    }

    async fn put(
        &self,
        _: &Location,
        _: Content,
        _: ObjectHeaders,
        _: Condition,
    ) -> Result<(), StorageError> {
        Self::refuse("PutObject")
    }

    async fn list(&self, _: &str, _: &str) -> Result<Vec<String>, StorageError> {
        Self::refuse("ListObjectsV2")
    }

    async fn delete(&self, _: &str, _: &[String]) -> Result<(), StorageError> {
        Self::refuse("DeleteObjects")
    }

    async fn delete_if(&self, _: &Location, _: &str) -> Result<(), StorageError> {
        Self::refuse("DeleteObject")
    }
}
