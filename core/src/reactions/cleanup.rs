//! Removes the outputs of a deleted video and what a replaced one left under stable keys, and the source of a deleted video from a
//! bucket without versions. Until that is recorded, it is due.

use streamio_events::retryable::Retryable;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::decide::unused_removed;
use streamio_events::video::{Video, VideoStoreError, catch_up};

use crate::ports::AdapterError;
use crate::reactions::react::Ports;
use crate::uploads::append_decision;

/// Why the objects of a deleted or replaced video were not removed.
#[derive(Debug, thiserror::Error)]
pub enum CleanupError {
    /// The object store is unavailable. Retry.
    #[error("the objects of a deleted or replaced video cannot be removed at present")]
    Unavailable(#[from] AdapterError),
    /// The log cannot be read, so it is unknown whether the objects still belong to the deleted or replaced video, or their removal
    /// cannot be recorded.
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

/// Removes the stable keys of `video` that nothing that is published has: all of a deleted video, or the poster of a video that sound
/// replaced. If the video was ever deleted, also removes its other objects up to the latest deletion: the outputs of all attempts, and
/// the source unless it was uploaded again. Idempotent. Returns whether none of these objects is left.
///
/// A stable key is deleted only if its object is the one that was read *before* the log was checked for a newer
/// publication, because workers write stable keys after the log states that their attempt is complete. The condition is the
/// entity tag, so it does not distinguish an object from a later one with the same bytes.
///
/// Here the source is removed only if it has no version; [`react`](super::react) removes versions. While a grant is open, the
/// same bytes may be uploaded again with the same entity tag, so the source is kept until the grant
/// is used or has expired.
async fn remove_unused(ports: Ports<'_>, video: &mut Video) -> Result<bool, CleanupError> {
    let Ports { objects, policy, .. } = ports;
    let (raw, processed) = (&policy.raw_bucket, &policy.processed_bucket);
    let mut seen = Vec::new();
    for stable_key in video.unused_stable_keys() {
        seen.extend(
            objects.head(processed, stable_key.as_str(), None).await?.map(|info| (stable_key, info.etag)),
        );
    }
    if !seen.is_empty() {
        catch_up(ports.log, video).await?;
    }
    // The stable keys first: after that no player finds the objects that are being removed.
    let unused = video.unused_stable_keys();
    let mut none_is_left = true;
    for (stable_key, etag) in seen.iter().filter(|(stable_key, _)| unused.contains(stable_key)) {
        objects.delete(processed, stable_key.as_str(), etag).await?;
        // A worker that does not know of the deletion yet may have written another one.
        none_is_left &= objects.head(processed, stable_key.as_str(), None).await?.is_none();
    }
    let (Some(s3_key), Some(deletion)) = (&video.s3_key, &video.deleted) else { return Ok(none_is_left) };
    let stable = s3_key.processed();
    for folder in objects.folders(processed, &stable.hls_prefix()).await? {
        if stable.attempt_of(&folder).is_some_and(|(generation, _)| generation <= deletion.generation) {
            objects.delete_prefix(processed, &folder).await?;
        }
    }
    if let Some(deletion) = video.deletion_of_source()
        && let Some(stands) = objects.head_without_version(raw, s3_key.as_str()).await?
        && stands.etag == deletion.etag
        && stands.last_modified <= deletion.at
    {
        objects.delete(raw, s3_key.as_str(), &deletion.etag).await?;
    }
    Ok(none_is_left)
}

/// [Removes](remove_unused) what nothing needs, and records that none of it is left: not before, and only at the version from which it
/// was determined what that is.
pub(crate) async fn remove_and_record(
    ports: Ports<'_>,
    now: Timestamp,
    video: &mut Video,
) -> Result<(), CleanupError> {
    let before = video.version;
    let none_is_left = remove_unused(ports, video).await?;
    // After a conflict, or if others appended to the stream meanwhile, the next round of the reaction looks again.
    if none_is_left
        && video.version == before
        && let Some(decision) = unused_removed(video)
    {
        append_decision(ports.log, now, video, decision).await?;
        catch_up(ports.log, video).await?;
    }
    Ok(())
}
