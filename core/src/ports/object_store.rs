//! The port to the object store.

use async_trait::async_trait;
use streamio_events::timestamp::Timestamp;

use crate::ports::AdapterError;

/// The metadata of an object, as `HeadObject` returns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its size in bytes.
    pub bytes: u64,
    /// Its entity tag, without quotes.
    pub etag: String,
    /// When it was created. S3 states seconds, and for a multipart upload the time at which the upload was initiated.
    pub last_modified: Timestamp,
}

/// Reads the metadata of objects, lists their folders and deletes them.
///
/// The worker has another port (`streamio_worker::storage`). This one never reads or writes the content of an object, is
/// implemented in process by the one-machine platform, and needs only to know whether a call failed. The worker's port moves
/// content (ranges, conditional writes, parts) and classifies errors, because they determine the result of its attempt. Both S3 adapters delete in batches with `streamio_events::s3`.
#[async_trait]
pub trait ObjectStore: Send + Sync {
    /// Returns the metadata of the object `key`; `None` if there is no object. The result is not older than the call.
    async fn head(&self, bucket: &str, key: &str) -> Result<Option<ObjectInfo>, AdapterError>;

    /// Deletes the object `key` if it still has the entity tag `etag`. A different object, or none, is success.
    async fn delete(&self, bucket: &str, key: &str, etag: &str) -> Result<(), AdapterError>;

    /// Returns the common prefixes directly below `prefix`, each with its trailing slash.
    async fn folders(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, AdapterError>;

    /// Deletes all objects whose keys begin with `prefix`.
    async fn delete_prefix(&self, bucket: &str, prefix: &str) -> Result<(), AdapterError>;
}
