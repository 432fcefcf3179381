//! The object store as the reactions see it.

use async_trait::async_trait;
use streamio_lambdas::AdapterError;
use streamio_lambdas::cleanup::{ObjectInfo, ObjectStore};

use crate::s3::{Precondition, Store, StoreError};

/// Looks at objects and removes them in process, without a detour over the network.
#[derive(Clone)]
pub(crate) struct StoredObjects(pub(crate) Store);

#[async_trait]
impl ObjectStore for StoredObjects {
    async fn head(&self, bucket: &str, key: &str) -> Result<Option<ObjectInfo>, AdapterError> {
        let meta = self.0.head(bucket, key).await?;
        Ok(meta.map(|meta| ObjectInfo { bytes: meta.size, etag: meta.etag }))
    }

    async fn delete(&self, bucket: &str, key: &str, etag: Option<&str>) -> Result<(), AdapterError> {
        let precondition = match etag {
            Some(etag) => Precondition::Etag(etag.to_owned()),
            None => Precondition::None,
        };
        match self.0.delete(bucket, key, precondition).await {
            // Another object than the one that is to go, or none: both are as wanted.
            Ok(_) | Err(StoreError::PreconditionFailed { .. } | StoreError::NoSuchKey { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn delete_prefix(&self, bucket: &str, prefix: &str) -> Result<(), AdapterError> {
        self.0.delete_prefix(bucket, prefix).await?;
        Ok(())
    }
}
