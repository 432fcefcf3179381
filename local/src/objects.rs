//! The `ObjectStore` port on the object store of this process.

use async_trait::async_trait;
use streamio_core::ports::AdapterError;
use streamio_core::ports::object_store::{ObjectInfo, ObjectStore};
use streamio_events::timestamp::Timestamp;
use time::OffsetDateTime;

use crate::clock;
use crate::s3::{ListRequest, ObjectMeta, Precondition, Store, StoreError};

/// How many entries are listed at a time.
const PAGE: usize = 1_000;

/// Accesses objects in this process, without HTTP.
#[derive(Clone)]
pub(crate) struct StoredObjects(pub(crate) Store);

impl StoredObjects {
    /// Aborts the multipart uploads that were initiated before `time` and have received no part since. Returns their number.
    pub(crate) async fn abort_uploads_before(&self, time: Timestamp) -> Result<usize, AdapterError> {
        let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(time.unix_millis()) * 1_000_000)?;
        Ok(self.0.abort_uploads_before(time).await?)
    }
}

#[async_trait]
impl ObjectStore for StoredObjects {
    async fn head(&self, bucket: &str, key: &str) -> Result<Option<ObjectInfo>, AdapterError> {
        let meta = self.0.head(bucket, key).await?;
        Ok(meta.map(|ObjectMeta { size: bytes, etag, last_modified, .. }| ObjectInfo {
            bytes,
            etag,
            last_modified: clock::of(last_modified),
        }))
    }

    async fn delete(&self, bucket: &str, key: &str, etag: &str) -> Result<(), AdapterError> {
        let precondition = Precondition::Etag(etag.to_owned());
        let current = self.0.head(bucket, key).await?.and_then(|meta| meta.version_id);
        let deleted = match current {
            // Removes the bytes, which a delete marker would keep.
            Some(version) => self.0.delete_version(bucket, key, &version, precondition).await,
            None => self.0.delete(bucket, key, precondition).await,
        };
        match deleted {
            // A different object, or none: both are success.
            Ok(_) | Err(StoreError::PreconditionFailed { .. } | StoreError::NoSuchKey { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn folders(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, AdapterError> {
        let (mut folders, mut after) = (Vec::new(), None);
        loop {
            let (prefix, delimiter) = (prefix.to_owned(), Some("/".to_owned()));
            let page = self.0.list(bucket, ListRequest { prefix, delimiter, after, limit: PAGE }).await?;
            folders.extend(page.common_prefixes);
            after = page.next;
            if after.is_none() {
                return Ok(folders);
            }
        }
    }

    async fn delete_prefix(&self, bucket: &str, prefix: &str) -> Result<(), AdapterError> {
        self.0.delete_prefix(bucket, prefix).await?;
        Ok(())
    }
}
