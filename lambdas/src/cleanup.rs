//! The port to the objects, and the removal of those of a deleted video.

use async_trait::async_trait;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::{Video, VideoStoreError, catch_up};

use crate::AdapterError;
use crate::react::Ports;

/// Why objects were not removed.
#[derive(Debug, thiserror::Error)]
pub enum CleanupError {
    /// The object store did not do it. Retry.
    #[error("the objects of a deleted video cannot be removed at present")]
    Unavailable(#[from] AdapterError),
    /// The log could not be asked whether the objects are still those of the deleted video.
    #[error(transparent)]
    Log(#[from] VideoStoreError),
}

impl CleanupError {
    /// Whether the same may succeed when it is tried again.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::Log(error) => error.is_retryable(),
        }
    }
}

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

/// Removes what `video` was up to its latest deletion, if it was ever deleted: the outputs of all attempts, the pointers to them where nothing newer
/// is published, and its source unless that was uploaded anew. Doing it again does no harm.
///
/// A pointer is removed on the condition that it is as it was seen *before* the log was asked whether anything newer is
/// published under the same key: a worker writes pointers after the log says that its attempt is complete. The condition is
/// the entity tag, so it does not tell an object from a later one with the same bytes.
///
/// While a grant is open, the same bytes may be on their way to the key of the source, and their entity tag is the same: the
/// source stays until the grant is used or over.
pub(crate) async fn remove_deleted(ports: Ports<'_>, video: &mut Video) -> Result<(), CleanupError> {
    let (Some(s3_key), Some(deletion)) = (video.s3_key.clone(), video.deleted.clone()) else { return Ok(()) };
    let Ports { objects, policy, .. } = ports;
    let (raw, processed) = (&policy.raw_bucket, &policy.processed_bucket);
    let stable = s3_key.processed();
    let mut seen = Vec::new();
    for pointer in video.deleted_stable_keys() {
        seen.extend(objects.head(processed, pointer.as_str()).await?.map(|info| (pointer, info.etag)));
    }
    if !seen.is_empty() {
        catch_up(ports.log, video).await?;
    }
    // The pointers first: from then on nobody finds what is being removed.
    let deleted = video.deleted_stable_keys();
    for (pointer, etag) in seen.iter().filter(|(pointer, _)| deleted.contains(pointer)) {
        objects.delete(processed, pointer.as_str(), etag).await?;
    }
    for folder in objects.folders(processed, &stable.hls_prefix()).await? {
        if stable.attempt_of(&folder).is_some_and(|(generation, _)| generation <= deletion.generation) {
            objects.delete_prefix(processed, &folder).await?;
        }
    }
    if let Some(deletion) = video.deletion_of_source()
        && let Some(stands) = objects.head(raw, s3_key.as_str()).await?
        && stands.etag == deletion.etag
        && stands.last_modified <= deletion.at
    {
        objects.delete(raw, s3_key.as_str(), &deletion.etag).await?;
    }
    Ok(())
}
