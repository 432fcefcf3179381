//! From an attempt's own prefix to the stable keys that playback URLs name.
//!
//! Each stable key is written on the condition that it is as it was seen *before* the log was asked whether this attempt
//! is still to be published. A worker that was overtaken either reads so in the log, or finds the key changed: what a later
//! attempt published is never overwritten by an earlier one. What is taken back has the same condition. It goes by the entity
//! tag, so it does not tell an object from a later one with the same bytes.

use std::collections::BTreeSet;

use streamio_events::job::Job;
use streamio_events::media::Outputs;
use streamio_events::video::VideoStoreError;
use streamio_events::video::decide::Fence;

use crate::argv::{POSTER, PROGRESSIVE};
use crate::attempt::Attempt;
use crate::storage::{Condition, Content, Location, Part, Presentation, Storage, StorageError};
use crate::transcode::PLAYLIST_TYPE;

/// The master playlist's name under the attempt's prefix. Its addresses are relative to the stable key.
pub const MASTER: &str = "master.m3u8";

/// Why a completed attempt was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// It is no longer to be published, or another worker has published it.
    #[error("the attempt is not to be published: {0}")]
    Fenced(Fence),
    /// The log.
    #[error("the log cannot be asked or told")]
    Log(#[from] VideoStoreError),
    /// Storage.
    #[error("storage failed during publication")]
    Storage(#[from] StorageError),
}

/// How often a stable key may change under our hands before something is wrong.
const TRIES: u32 = 5;

/// S3 copies at most 5 GiB at a time; smaller pieces answer within a request's time.
const COPY_BYTES: u64 = 512 * 1024 * 1024;

/// Writes the stable keys, then `video.ready`. May be repeated, also by another worker at the same time.
pub async fn publish(attempt: &Attempt, storage: &dyn Storage) -> Result<(), PublishError> {
    let outputs = publishable(attempt).await?;
    for pointer in pointers(attempt.job(), &outputs) {
        write(attempt, storage, &pointer).await?;
    }
    attempt.ready().await?.map_err(PublishError::Fenced)
}

/// A stable key and what it is to hold.
struct Pointer {
    stable: Location,
    source: Location,
    presentation: Presentation,
    /// Copied inside storage rather than through this process.
    large: bool,
}

/// The master playlist last: who finds it finds the rest.
fn pointers(job: &Job, outputs: &Outputs) -> Vec<Pointer> {
    let at = |key: String| Location { bucket: job.processed_bucket.clone(), key };
    let prefix = job.s3_key.processed().attempt_prefix(job.generation, job.attempt);
    let pointer = |stable: &str, name: &str, content_type, large| Pointer {
        stable: at(stable.to_owned()),
        source: at(format!("{prefix}{name}")),
        presentation: Presentation::stable(content_type),
        large,
    };
    let sort = if outputs.poster_key.is_some() { "video/mp4" } else { "audio/mp4" };
    let mut pointers = vec![pointer(outputs.mp4_key.as_str(), PROGRESSIVE, sort, true)];
    if let Some(poster) = &outputs.poster_key {
        pointers.push(pointer(poster.as_str(), POSTER, "image/jpeg", false));
    }
    pointers.push(pointer(outputs.hls_key.as_str(), MASTER, PLAYLIST_TYPE, false));
    pointers
}

async fn publishable(attempt: &Attempt) -> Result<Outputs, PublishError> {
    attempt.publishable().await?.map_err(PublishError::Fenced)
}

async fn write(attempt: &Attempt, storage: &dyn Storage, pointer: &Pointer) -> Result<(), PublishError> {
    for _ in 0..TRIES {
        let seen = storage.head(&pointer.stable).await?;
        publishable(attempt).await?;
        let result = copy(storage, pointer, Condition::unchanged_since(seen.as_ref())).await;
        match result {
            Ok(()) => return Ok(()),
            // S3 does not find an object that had to be as it was, and is gone.
            Err(
                StorageError::PreconditionFailed { .. }
                | StorageError::NotFound { operation: "PutObject" | "CompleteMultipartUpload" },
            ) => tracing::info!("a stable key was written or removed by somebody else meanwhile"),
            Err(error) => {
                // Whoever published before us has removed what we copy from.
                publishable(attempt).await?;
                return Err(error.into());
            }
        }
    }
    Err(StorageError::PreconditionFailed { operation: "PutObject" }.into())
}

async fn copy(storage: &dyn Storage, pointer: &Pointer, condition: Condition) -> Result<(), StorageError> {
    let source = storage.head(&pointer.source).await?;
    let source = source.ok_or(StorageError::NotFound { operation: "HeadObject" })?;
    if !pointer.large {
        let bytes = storage.read(&pointer.source, &source.etag, 0..source.bytes).await?;
        return storage.put(&pointer.stable, Content::Bytes(bytes), pointer.presentation, condition).await;
    }
    let upload = storage.begin(&pointer.stable, pointer.presentation).await?;
    let parts = async {
        let mut parts: Vec<Part> = Vec::new();
        let mut start = 0;
        while start < source.bytes {
            let end = (start + COPY_BYTES).min(source.bytes);
            let number = u16::try_from(parts.len() + 1).unwrap_or(u16::MAX);
            parts.push(storage.copy_part(&upload, number, &pointer.source, start..end).await?);
            start = end;
        }
        storage.complete(&upload, &parts, condition).await
    };
    let result = parts.await;
    if result.is_err()
        && let Err(error) = storage.abort(&upload).await
    {
        tracing::warn!(error = &error as &dyn std::error::Error, "an upload in parts could not be aborted");
    }
    result
}

/// Deletes what earlier attempts left, and this attempt's copy of the MP4, which is now at its stable key. Called after
/// `video.ready`; whatever remains costs money, nothing else.
pub async fn clean_up(job: &Job, storage: &dyn Storage) -> Result<(), StorageError> {
    let processed = job.s3_key.processed();
    let keys = storage.list(&job.processed_bucket, &processed.hls_prefix()).await?;
    let earlier: BTreeSet<String> = keys
        .into_iter()
        .filter(|key| {
            processed.attempt_of(key).is_some_and(|attempt| attempt < (job.generation, job.attempt))
        })
        .collect();
    let own = format!("{}{PROGRESSIVE}", processed.attempt_prefix(job.generation, job.attempt));
    let doomed: Vec<String> = earlier.into_iter().chain([own]).collect();
    storage.delete(&job.processed_bucket, &doomed).await
}

/// Takes back what was written of a video that was deleted while it was published: who removed it may have been here before
/// us. What a later generation writes under the same stable keys stays, by the rule above. Of a video that was not deleted,
/// nothing is taken back.
pub async fn retract(attempt: &Attempt, storage: &dyn Storage) -> Result<(), PublishError> {
    let job = attempt.job();
    let processed = job.s3_key.processed();
    let mut seen = Vec::new();
    for key in [processed.hls_master(), processed.clone(), processed.poster()] {
        let stable = Location { bucket: job.processed_bucket.clone(), key: key.to_string() };
        seen.extend(storage.head(&stable).await?.map(|info| (stable, info.etag)));
    }
    let video = attempt.video().await?;
    if video.deleted.as_ref().is_none_or(|deletion| deletion.generation < job.generation) {
        return Ok(());
    }
    let deleted = video.deleted_stable_keys();
    for (stable, etag) in
        seen.iter().filter(|(stable, _)| deleted.iter().any(|key| key.as_str() == stable.key))
    {
        storage.delete_if(stable, etag).await?;
    }
    Ok(discard(job, storage).await?)
}

/// Deletes all that an attempt wrote which will never be published.
pub async fn discard(job: &Job, storage: &dyn Storage) -> Result<(), StorageError> {
    let prefix = job.s3_key.processed().attempt_prefix(job.generation, job.attempt);
    let keys = storage.list(&job.processed_bucket, &prefix).await?;
    if keys.is_empty() { Ok(()) } else { storage.delete(&job.processed_bucket, &keys).await }
}
