//! The `ObjectStore` port on the object store of this process.

use async_trait::async_trait;
use streamio_core::ports::AdapterError;
use streamio_core::ports::object_store::{ObjectInfo, ObjectStore, ObjectVersion};
use streamio_events::timestamp::Timestamp;
use streamio_events::video::GRANT_METADATA;
use time::OffsetDateTime;

use crate::clock;
use crate::s3::checksum::{ChecksumAlgorithm, ChecksumKind};
use crate::s3::{ListRequest, NULL_VERSION, ObjectMeta, Precondition, Store, StoreError};

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
    async fn head(
        &self,
        bucket: &str,
        key: &str,
        version_id: Option<&str>,
    ) -> Result<Option<ObjectInfo>, AdapterError> {
        let meta = match version_id {
            Some(version_id) => self.0.head_version(bucket, key, version_id).await?,
            None => self.0.head(bucket, key).await?,
        };
        Ok(meta.map(|meta| {
            let sha256 = sha256_of(&meta);
            let ObjectMeta { size: bytes, etag, last_modified, mut headers, version_id, .. } = meta;
            ObjectInfo {
                bytes,
                etag,
                last_modified: clock::of(last_modified),
                version_id: version_id.filter(|id| id != NULL_VERSION),
                content_type: headers.content_type,
                sha256,
                grant: headers.metadata.remove(GRANT_METADATA),
            }
        }))
    }

    async fn versions(&self, bucket: &str, key: &str) -> Result<Vec<ObjectVersion>, AdapterError> {
        let versions = self.0.versions(bucket, key).await?;
        let objects = versions.into_iter().rev().filter_map(|version| version.object);
        Ok(objects
            .map(|ObjectMeta { size: bytes, etag, last_modified, version_id, .. }| ObjectVersion {
                version_id: version_id.filter(|id| id != NULL_VERSION),
                bytes,
                etag,
                last_modified: clock::of(last_modified),
            })
            .collect())
    }

    async fn delete_version(&self, bucket: &str, key: &str, version_id: &str) -> Result<(), AdapterError> {
        self.0.delete_version(bucket, key, version_id, Precondition::None).await?;
        Ok(())
    }

    async fn delete(&self, bucket: &str, key: &str, etag: &str) -> Result<(), AdapterError> {
        let precondition = Precondition::Etag(etag.to_owned());
        // Removes the bytes, which a delete marker would keep.
        match self.0.delete_version(bucket, key, NULL_VERSION, precondition).await {
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

/// The SHA-256 of the whole object, if its writer sent it. A multipart upload has only those of its parts.
fn sha256_of(meta: &ObjectMeta) -> Option<String> {
    let checksum = meta.checksum.as_ref()?;
    let is_whole =
        checksum.algorithm == ChecksumAlgorithm::Sha256 && checksum.kind == ChecksumKind::FullObject;
    is_whole.then(|| checksum.value.clone())
}
