//! The port to the object store.

use async_trait::async_trait;
use streamio_events::timestamp::Timestamp;

use crate::ports::AdapterError;

/// The metadata of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its size.
    pub bytes: u64,
    /// Its entity tag, without quotes.
    pub etag: String,
    /// When it was created; in S3 to the second, and for a multipart upload when the upload was initiated.
    pub last_modified: Timestamp,
}

/// Heads, lists and deletes objects.
///
/// The worker has a port of its own (`streamio_worker::storage`), and the two are not one: this one never reads or writes the
/// content of an object, is implemented in process by the one-machine platform, and needs only whether a call failed. The
/// worker's port moves content (ranges, conditional writes, parts) and classifies errors, because they decide about its
/// attempt. Both S3 adapters delete in batches with `streamio_events::s3`.
#[async_trait]
pub trait ObjectStore: Send + Sync {
    /// The metadata of the object `key`; `None` if it does not exist. Reads after writes are consistent.
    async fn head(&self, bucket: &str, key: &str) -> Result<Option<ObjectInfo>, AdapterError>;

    /// Deletes the object `key` if its entity tag is `etag`. Another object, or none, is success.
    async fn delete(&self, bucket: &str, key: &str, etag: &str) -> Result<(), AdapterError>;

    /// The folders directly below `prefix`, each with its trailing slash.
    async fn folders(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, AdapterError>;

    /// Deletes all objects whose keys begin with `prefix`.
    async fn delete_prefix(&self, bucket: &str, prefix: &str) -> Result<(), AdapterError>;
}
