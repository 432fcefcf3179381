//! The port to the object store.

use async_trait::async_trait;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::NULL_VERSION;

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
    /// Its version; `None` if it was written while the bucket had no versions.
    pub version_id: Option<String>,
    /// Its media type.
    pub content_type: Option<String>,
    /// The SHA-256 of the whole object, in base64, if the object store computed it.
    pub sha256: Option<String>,
    /// The value of its user metadata [`GRANT_METADATA`](streamio_events::video::GRANT_METADATA).
    pub grant: Option<String>,
}

/// A version of an object, as `ListObjectVersions` returns it. Delete markers are not returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectVersion {
    /// The version; `None` if it was written while the bucket had no versions.
    pub version_id: Option<String>,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its entity tag, without quotes.
    pub etag: String,
    /// As in [`ObjectInfo`].
    pub last_modified: Timestamp,
}

/// Reads the metadata of objects, lists their folders and versions, and deletes them.
///
/// The worker has another port (`streamio_worker::storage`). This one never reads or writes the content of an object, is
/// implemented in process by the one-machine platform, and needs only to know whether a call failed. The worker's port moves
/// content (ranges, conditional writes, parts) and classifies errors, because they determine the result of its attempt. Both S3 adapters delete in batches with `streamio_events::s3`.
#[async_trait]
pub trait ObjectStore: Send + Sync {
    /// Returns the metadata of the object `key`, or of its version `version_id`; `None` if there is no object. The version
    /// [`NULL_VERSION`] is the object without a version. The result is not older than the call.
    async fn head(
        &self,
        bucket: &str,
        key: &str,
        version_id: Option<&str>,
    ) -> Result<Option<ObjectInfo>, AdapterError>;

    /// Returns the metadata of the object `key` that has no version, even if newer versions are current.
    async fn head_without_version(
        &self,
        bucket: &str,
        key: &str,
    ) -> Result<Option<ObjectInfo>, AdapterError> {
        match self.head(bucket, key, None).await? {
            Some(current) if current.version_id.is_none() => Ok(Some(current)),
            _ => self.head(bucket, key, Some(NULL_VERSION)).await,
        }
    }

    /// Returns all versions of the object `key`, the oldest first: in a bucket without versions the object, if there is one. The
    /// result is not older than the call.
    async fn versions(&self, bucket: &str, key: &str) -> Result<Vec<ObjectVersion>, AdapterError>;

    /// Deletes the object `key` that has no version if it has the entity tag `etag`, even if newer versions are current. A different
    /// object, or none, is success. In a bucket with versions it removes the bytes and adds no delete marker.
    async fn delete(&self, bucket: &str, key: &str, etag: &str) -> Result<(), AdapterError>;

    /// Deletes the version `version_id` of the object `key` permanently. A version that does not exist is success.
    async fn delete_version(&self, bucket: &str, key: &str, version_id: &str) -> Result<(), AdapterError>;

    /// Returns the common prefixes directly below `prefix`, each with its trailing slash.
    async fn folders(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, AdapterError>;

    /// Deletes all objects whose keys begin with `prefix`.
    async fn delete_prefix(&self, bucket: &str, prefix: &str) -> Result<(), AdapterError>;
}
