//! Publication, modelled after `worker/src/publish.rs`.

use streamio_core::ports::object_store::ObjectStore as _;
use streamio_events::job::Job;
use streamio_events::media::Outputs;
use streamio_events::object_key::ProcessedKey;
use streamio_events::video::decide;

use super::attempt::Worker;
use crate::engine::MINUTE;
use crate::faults::Fault;
use crate::world::{Condition, WriteError};

/// Why a completed attempt was not published.
pub(super) enum PublishError {
    /// It may no longer be published, or another worker has published it.
    Fenced,
    /// The log or the object store is unavailable.
    Unavailable,
}

/// Tries per stable key when it keeps changing.
const TRIES: u32 = 5;

/// A file of an attempt that is published.
pub(super) struct File {
    /// Its name under the attempt's prefix.
    pub(super) name: &'static str,
    pub(super) etag: String,
    stable: String,
}

/// The files of an attempt that are published, the master playlist last. The same source gives the same MP4.
pub(super) fn files(worker: &Worker) -> Vec<File> {
    let job = &worker.job;
    let source = job.etag.clone().unwrap_or_default();
    let Outputs { mp4_key, hls_key, poster_key, .. } = worker.outputs();
    let file = |name, etag, stable: ProcessedKey| File { name, etag, stable: stable.to_string() };
    let mut files = vec![file("progressive.mp4", format!("mp4-{source}"), mp4_key)];
    files.extend(poster_key.map(|key| file("poster.jpg", format!("poster-{source}"), key)));
    let etag = format!("master-{source}-{}-{}", job.generation, job.attempt);
    files.push(file("master.m3u8", etag, hls_key));
    files
}

/// All stable keys of the job's video.
fn stable_keys(job: &Job) -> [String; 3] {
    let processed = job.s3_key.processed();
    [processed.to_string(), processed.poster().to_string(), processed.hls_master().to_string()]
}

/// Writes the stable keys, then records `video.ready`.
pub(super) async fn publish(worker: &Worker) -> Result<(), PublishError> {
    check_publishable(worker).await?;
    let prefix = worker.job.s3_key.processed().attempt_prefix(worker.job.generation, worker.job.attempt);
    for File { name, etag, stable } in files(worker) {
        write(worker, &stable, &format!("{prefix}{name}"), &etag).await?;
    }
    let ready = worker.decide(|video| decide::ready(video, &worker.job)).await;
    match ready {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(PublishError::Fenced),
        Err(_) => Err(PublishError::Unavailable),
    }
}

async fn check_publishable(worker: &Worker) -> Result<(), PublishError> {
    let video = worker.video().await.map_err(|_| PublishError::Unavailable)?;
    video.publishable(&worker.job).map(|_| ()).ok_or(PublishError::Fenced)
}

async fn write(worker: &Worker, stable: &str, source: &str, etag: &str) -> Result<(), PublishError> {
    for _ in 0..TRIES {
        let observed = worker.objects.read(stable).await.map_err(|_| PublishError::Unavailable)?;
        check_publishable(worker).await?;
        let copied = worker.objects.read(source).await.map_err(|_| PublishError::Unavailable)?;
        if copied.is_none() {
            // Another worker may have published the attempt and removed the source of the copy.
            check_publishable(worker).await?;
            return Err(PublishError::Unavailable);
        }
        let condition = Condition::UnchangedSince(observed.map(|stored| stored.info.etag));
        // A worker that pauses here goes on when another one has published, or the video is deleted.
        if worker.actor.meets(Fault::PausedWorker) {
            worker.actor.sleep(MINUTE + worker.actor.below(10 * MINUTE)).await;
        }
        match worker.objects.write(stable, etag, worker.content(), condition).await {
            Ok(()) => return Ok(()),
            Err(WriteError::PreconditionFailed) => {}
            Err(WriteError::Unavailable) => return Err(PublishError::Unavailable),
        }
    }
    Err(PublishError::Unavailable)
}

/// Deletes the files of earlier attempts and this attempt's copy of the MP4. What stays only costs money.
pub(super) async fn clean_up(worker: &Worker) {
    let job = &worker.job;
    let processed = job.s3_key.processed();
    let Ok(keys) = worker.objects.list(&processed.hls_prefix()).await else { return };
    let is_earlier = |key: &String| {
        processed.attempt_of(key).is_some_and(|attempt| attempt < (job.generation, job.attempt))
    };
    let own = format!("{}progressive.mp4", processed.attempt_prefix(job.generation, job.attempt));
    for key in keys.into_iter().filter(is_earlier).chain([own]) {
        if worker.objects.delete_prefix(&job.processed_bucket, &key).await.is_err() {
            return;
        }
    }
}

/// Deletes the stable keys that nothing that is published has: the video was deleted, or replaced by sound, during this publication.
pub(super) async fn retract(worker: &Worker) {
    let job = &worker.job;
    let mut observed = Vec::new();
    for stable in stable_keys(job) {
        match worker.objects.read(&stable).await {
            Ok(found) => observed.extend(found.map(|stored| (stable, stored.info.etag))),
            Err(_) => return,
        }
    }
    let Ok(video) = worker.video().await else { return };
    let unused = video.unused_stable_keys();
    for (stable, etag) in
        observed.iter().filter(|(stable, _)| unused.iter().any(|key| key.as_str() == stable))
    {
        if worker.objects.delete(&job.processed_bucket, stable, etag).await.is_err() {
            return;
        }
    }
    if video.deleted.is_some_and(|deletion| deletion.generation >= job.generation) {
        discard(worker).await;
    }
}

/// Deletes all files of an attempt that will never be published.
pub(super) async fn discard(worker: &Worker) {
    let job = &worker.job;
    let prefix = job.s3_key.processed().attempt_prefix(job.generation, job.attempt);
    // What stays only costs money.
    let _ = worker.objects.delete_prefix(&job.processed_bucket, &prefix).await;
}
