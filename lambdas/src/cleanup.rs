//! The port to the objects, and the removal of those of a deleted video.

use async_trait::async_trait;
use streamio_events::video::Video;

use crate::AdapterError;
use crate::react::Ports;

/// Why objects were not removed.
#[derive(Debug, thiserror::Error)]
pub enum CleanupError {
    /// The object store did not do it. Retry.
    #[error("the objects of a deleted video cannot be removed at present")]
    Unavailable(#[source] AdapterError),
}

/// What a look at an object shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its size.
    pub bytes: u64,
    /// Its entity tag, without quotes.
    pub etag: String,
}

/// Looks at objects and removes them.
#[async_trait]
pub trait ObjectStore: Send + Sync {
    /// What stands under `key`, as of a moment after the call; `None` when nothing does.
    async fn head(&self, bucket: &str, key: &str) -> Result<Option<ObjectInfo>, AdapterError>;

    /// Removes the object `key`, if it still has the entity tag `etag` where one is given. No such object is success.
    async fn delete(&self, bucket: &str, key: &str, etag: Option<&str>) -> Result<(), AdapterError>;

    /// Removes all objects whose keys begin with `prefix`.
    async fn delete_prefix(&self, bucket: &str, prefix: &str) -> Result<(), AdapterError>;
}

/// Removes what there is of `video`, which is deleted: the outputs of all its attempts, the pointers to them, and its
/// source unless that has been uploaded anew. Doing it again does no harm.
///
/// While a grant is open, the same bytes may be on their way to the key of the source, and their entity tag is the same: the
/// source stays until the grant is used or over.
pub(crate) async fn remove_deleted(ports: Ports<'_>, video: &Video) -> Result<(), CleanupError> {
    let Some(s3_key) = &video.s3_key else { return Ok(()) };
    let policy = ports.policy;
    let processed = s3_key.processed();
    let removals = async {
        // The pointers first: from then on nobody finds what is being removed.
        for pointer in [processed.hls_master(), processed.clone(), processed.poster()] {
            ports.objects.delete(&policy.processed_bucket, pointer.as_str(), None).await?;
        }
        // Generation by generation: one that was uploaded meanwhile is not touched.
        for generation in 1..=video.generation {
            let prefix = format!("{}g{generation}-", processed.hls_prefix());
            ports.objects.delete_prefix(&policy.processed_bucket, &prefix).await?;
        }
        if let Some(etag) = video.deleted_etag.as_ref().filter(|_| video.open_grants.is_empty()) {
            ports.objects.delete(&policy.raw_bucket, s3_key.as_str(), Some(etag)).await?;
        }
        Ok(())
    };
    removals.await.map_err(CleanupError::Unavailable)
}
