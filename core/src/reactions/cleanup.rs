//! Removes the objects of a deleted video.

use streamio_events::retryable::Retryable;
use streamio_events::video::{Video, VideoStoreError, catch_up};

use crate::ports::AdapterError;
use crate::reactions::react::Ports;

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

impl Retryable for CleanupError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::Log(error) => error.is_retryable(),
        }
    }
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
