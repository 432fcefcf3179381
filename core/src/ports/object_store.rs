//! The port to the object store.

use async_trait::async_trait;
use streamio_events::timestamp::Timestamp;

use crate::ports::AdapterError;

/// What a look at an object shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its size.
    pub bytes: u64,
    /// Its entity tag, without quotes.
    pub etag: String,
    /// When it was put there; in S3 to the second, and for an upload in parts when that was begun.
    pub last_modified: Timestamp,
}

/// Looks at objects and removes them.
#[async_trait]
pub trait ObjectStore: Send + Sync {
    /// What stands under `key`, as of a moment after the call; `None` when nothing does.
    async fn head(&self, bucket: &str, key: &str) -> Result<Option<ObjectInfo>, AdapterError>;

    /// Removes the object `key` if it still has the entity tag `etag`. Another object there, or none, is success.
    async fn delete(&self, bucket: &str, key: &str, etag: &str) -> Result<(), AdapterError>;

    /// The folders right under `prefix`, each with its slash.
    async fn folders(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, AdapterError>;

    /// Removes all objects whose keys begin with `prefix`.
    async fn delete_prefix(&self, bucket: &str, prefix: &str) -> Result<(), AdapterError>;
}
