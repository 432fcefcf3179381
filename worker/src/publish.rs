//! Publishes an attempt's outputs: copies them from the attempt's prefix to the stable keys that playback URLs name.
//!
//! Each write to a stable key is conditional on the state of the key *before* the log was checked for whether this attempt may
//! still be published. A superseded worker either reads so in the log or fails the condition, so an earlier attempt never
//! overwrites what a later one published. Deletions of stable keys use the same condition. It compares entity tags, so it
//! cannot distinguish an object from a later one with the same bytes.

use std::collections::BTreeSet;

use streamio_events::job::Job;
use streamio_events::media::Outputs;
use streamio_events::video::VideoStoreError;
use streamio_events::video::decide::Fence;

use crate::argv::{POSTER, PROGRESSIVE};
use crate::attempt::Attempt;
use crate::storage::{Condition, Content, Location, ObjectHeaders, Part, Storage, StorageError};
use crate::transcode::PLAYLIST_TYPE;

/// File name of the master playlist under the attempt's prefix. Its URIs are relative to the stable key.
pub const MASTER: &str = "master.m3u8";

/// Why a completed attempt was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The attempt may no longer be published, or another worker has published it.
    #[error("the attempt may not be published: {0}")]
    Fenced(Fence),
    /// The event log is unavailable.
    #[error("the event log is unavailable")]
    Log(#[from] VideoStoreError),
    /// Object storage failed.
    #[error("storage failed during publication")]
    Storage(#[from] StorageError),
}

/// Tries per stable key when it keeps changing concurrently.
const MAX_TRIES: u32 = 5;

/// Part size of server-side copies. S3 allows 5 GiB; smaller parts complete within the request timeout.
const COPY_BYTES: u64 = 512 * 1024 * 1024;

/// Writes the stable keys, then records `video.ready`. Idempotent, also with concurrent workers.
pub async fn publish(attempt: &Attempt, storage: &dyn Storage) -> Result<(), PublishError> {
    let outputs = publishable(attempt).await?;
    for object in stable_objects(attempt.job(), &outputs) {
        write(attempt, storage, &object).await?;
    }
    attempt.ready().await?.map_err(PublishError::Fenced)
}

/// A stable key and the object to copy to it.
struct StableObject {
    stable: Location,
    source: Location,
    headers: ObjectHeaders,
    /// Whether to copy on the server side instead of through this process.
    large: bool,
}

/// The objects to publish. The master playlist is last, so that everything it refers to exists before it.
fn stable_objects(job: &Job, outputs: &Outputs) -> Vec<StableObject> {
    let at = |key: String| Location { bucket: job.processed_bucket.clone(), key };
    let prefix = job.s3_key.processed().attempt_prefix(job.generation, job.attempt);
    let object = |stable: &str, name: &str, content_type, large| StableObject {
        stable: at(stable.to_owned()),
        source: at(format!("{prefix}{name}")),
        headers: ObjectHeaders::stable(content_type),
        large,
    };
    let has_video = outputs.renditions.iter().any(|rendition| rendition.width.is_some());
    let content_type = if has_video { "video/mp4" } else { "audio/mp4" };
    let mut objects = vec![object(outputs.mp4_key.as_str(), PROGRESSIVE, content_type, true)];
    if let Some(poster) = &outputs.poster_key {
        objects.push(object(poster.as_str(), POSTER, "image/jpeg", false));
    }
    objects.push(object(outputs.hls_key.as_str(), MASTER, PLAYLIST_TYPE, false));
    objects
}

async fn publishable(attempt: &Attempt) -> Result<Outputs, PublishError> {
    attempt.publishable().await?.map_err(PublishError::Fenced)
}

async fn write(attempt: &Attempt, storage: &dyn Storage, object: &StableObject) -> Result<(), PublishError> {
    for _ in 0..MAX_TRIES {
        let observed = storage.head(&object.stable).await?;
        publishable(attempt).await?;
        let result = copy(storage, object, Condition::unchanged_since(observed.as_ref())).await;
        match result {
            Ok(()) => return Ok(()),
            // S3 responds 404 to `If-Match` if the object no longer exists.
            Err(
                StorageError::PreconditionFailed { .. }
                | StorageError::NotFound { operation: "PutObject" | "CompleteMultipartUpload" },
            ) => tracing::info!("a stable key was changed concurrently; trying again"),
            Err(error) => {
                // Another worker may have published the attempt and removed the source of the copy.
                publishable(attempt).await?;
                return Err(error.into());
            }
        }
    }
    Err(StorageError::PreconditionFailed { operation: "PutObject" }.into())
}

async fn copy(
    storage: &dyn Storage,
    object: &StableObject,
    condition: Condition,
) -> Result<(), StorageError> {
    let source = storage.head(&object.source).await?;
    let source = source.ok_or(StorageError::NotFound { operation: "HeadObject" })?;
    if !object.large {
        let bytes = storage.read(&object.source, &source.etag, 0..source.bytes).await?;
        return storage.put(&object.stable, Content::Bytes(bytes), object.headers, condition).await;
    }
    let upload = storage.begin(&object.stable, object.headers).await?;
    let parts = async {
        let mut parts: Vec<Part> = Vec::new();
        let mut start = 0;
        while start < source.bytes {
            let end = (start + COPY_BYTES).min(source.bytes);
            let number = u16::try_from(parts.len() + 1).unwrap_or(u16::MAX);
            parts.push(storage.copy_part(&upload, number, &object.source, start..end).await?);
            start = end;
        }
        storage.complete(&upload, &parts, condition).await
    };
    let result = parts.await;
    if result.is_err()
        && let Err(error) = storage.abort(&upload).await
    {
        tracing::warn!(error = &error as &dyn std::error::Error, "cannot abort a multipart upload");
    }
    result
}

/// Deletes the files of earlier attempts and this attempt's copy of the MP4, which is now at its stable key. Called after
/// `video.ready`. Leftover files only cost money.
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
    let to_delete: Vec<String> = earlier.into_iter().chain([own]).collect();
    storage.delete(&job.processed_bucket, &to_delete).await
}

/// Deletes the stable keys that nothing that is published has, and that this worker may have written: the video was deleted, or replaced
/// by sound without a poster, during its publication, and the objects may have been removed before this worker wrote them. Objects that a
/// later generation wrote to the same keys stay, because each deletion is conditional.
pub async fn retract(attempt: &Attempt, storage: &dyn Storage) -> Result<(), PublishError> {
    let job = attempt.job();
    let processed = job.s3_key.processed();
    let mut observed = Vec::new();
    for key in [processed.hls_master(), processed.clone(), processed.poster()] {
        let stable = Location { bucket: job.processed_bucket.clone(), key: key.to_string() };
        observed.extend(storage.head(&stable).await?.map(|info| (stable, info.etag)));
    }
    let video = attempt.video().await?;
    let unused = video.unused_stable_keys();
    for (stable, etag) in
        observed.iter().filter(|(stable, _)| unused.iter().any(|key| key.as_str() == stable.key))
    {
        storage.delete_if(stable, etag).await?;
    }
    if video.deleted.is_some_and(|deletion| deletion.generation >= job.generation) {
        discard(job, storage).await?;
    }
    Ok(())
}

/// Deletes all files of an attempt that will never be published.
pub async fn discard(job: &Job, storage: &dyn Storage) -> Result<(), StorageError> {
    let prefix = job.s3_key.processed().attempt_prefix(job.generation, job.attempt);
    let keys = storage.list(&job.processed_bucket, &prefix).await?;
    if keys.is_empty() { Ok(()) } else { storage.delete(&job.processed_bucket, &keys).await }
}
