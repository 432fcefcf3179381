//! Decisions about a video: pure functions from its state to the events that follow.
//!
//! Every decision is appended with [`Expected::Exactly`](crate::log::Expected) the version that it was made at; on a
//! conflict the stream is read and the decision made anew. Its commit id is derived from what caused it, so that two
//! who decide the same append it once.

use super::{Phase, Policy, Video, backoff, sequencer_order};
use crate::event::{
    EventBody, ProcessingCompleted, ProcessingDispatched, ProcessingExpired, ProcessingFailed,
    ProcessingInterrupted, ProcessingRequested, ProcessingStarted, UploadCompleted, UploadExpired,
    UploadRejected, VideoDeleted, VideoErrored, VideoReady,
};
use crate::id::CommitId;
use crate::job::Job;
use crate::media::{MediaSource, Outputs, VideoError};
use crate::object_key::SourceKey;
use crate::timestamp::Timestamp;
use std::cmp::Ordering;
use std::time::Duration;

/// Events to be appended at the version that they were decided at.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Derived from the cause.
    pub commit_id: CommitId,
    /// One or more.
    pub events: Vec<EventBody>,
}

impl Decision {
    fn new(video: &Video, cause: &[&str], event: impl Into<EventBody>) -> Self {
        let stream = video.stream().to_string();
        let cause: Vec<&str> = cause.iter().copied().chain([stream.as_str()]).collect();
        Self { commit_id: CommitId::derived_from(&cause), events: vec![event.into()] }
    }

    fn of_attempt(video: &Video, what: &str, event: impl Into<EventBody>) -> Self {
        Self::new(video, &[what, &video.generation.to_string(), &video.attempt.to_string()], event)
    }
}

/// An object that S3 says was created in RAW.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectCreated {
    /// The object's key.
    pub s3_key: SourceKey,
    /// Its size.
    pub bytes: u64,
    /// Its entity tag, without quotes.
    pub etag: String,
    /// S3's order among events of one key.
    pub sequencer: String,
    /// When it was created, as S3 says.
    pub created_at: Timestamp,
}

/// An object that stands in RAW, as a look at the bucket shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectFound {
    /// The object's key.
    pub s3_key: SourceKey,
    /// Its size.
    pub bytes: u64,
    /// Its entity tag, without quotes.
    pub etag: String,
    /// When it was created, as S3 says: to the second, and for an upload in parts when that was begun.
    pub created_at: Timestamp,
}

/// What S3's clock and ours may differ by, and how long a look into the bucket may take.
const CLOCKS_DIFFER: Duration = Duration::from_mins(1);

/// What follows from an object's arrival; nothing when this or a later event of the key has been seen, or the object has
/// been found: notices come at least once and in any order. Where [`must_look`] says so, ask only about an object that
/// still stands in the bucket.
pub fn object_created(video: &Video, object: ObjectCreated) -> Option<Decision> {
    if seen(video, &object) {
        return None;
    }
    let cause = ["object created", &object.etag.clone(), &object.sequencer.clone()];
    let completed = UploadCompleted {
        generation: video.generation + 1,
        s3_key: object.s3_key,
        bytes: object.bytes,
        etag: object.etag,
        sequencer: object.sequencer,
        found: false,
    };
    Some(Decision::new(video, &cause, completed))
}

/// What follows from the arrival of an object that is refused for `error`; otherwise as [`object_created`].
pub fn object_rejected(video: &Video, object: ObjectCreated, error: VideoError) -> Option<Decision> {
    if seen(video, &object) {
        return None;
    }
    let cause = ["object rejected", &object.etag.clone(), &object.sequencer.clone()];
    let rejected = UploadRejected {
        s3_key: object.s3_key,
        bytes: object.bytes,
        etag: object.etag,
        sequencer: object.sequencer,
        error,
        found: false,
    };
    Some(Decision::new(video, &cause, rejected))
}

/// Whether only the bucket tells if `object` is newer than the latest upload. That one was found without S3's event, so
/// its place in the order of the key's events is not known: the notice may be of the object that it replaced, or of one
/// that replaced it. An object that no longer stands has been replaced, and its successor has a notice of its own. Look
/// after reading the video, and append at the version that was read.
pub fn must_look(video: &Video, object: &ObjectCreated) -> bool {
    !seen(video, object) && video.latest.as_ref().is_some_and(|latest| latest.found)
}

fn seen(video: &Video, object: &ObjectCreated) -> bool {
    let known = |last: &str| sequencer_order(&object.sequencer, last) != Ordering::Greater;
    let found = video.latest.as_ref().is_some_and(|latest| latest.found);
    (found && is_latest(video, &object.etag, object.created_at))
        || video.sequencer.as_deref().is_some_and(known)
}

/// Whether the object with this entity tag is the latest of which the log tells. The same bytes have the same entity tag; put
/// there again after the log had learned of them, or after they were deleted, they are another upload. What was created in
/// parts may bear the time when that was begun: begun before and completed after, it is taken for the latest.
fn is_latest(video: &Video, etag: &str, created_at: Timestamp) -> bool {
    video.latest.as_ref().filter(|latest| latest.etag == etag).is_some_and(|latest| {
        let deleted_at = video.deleted.as_ref().map(|deletion| deletion.at).filter(|at| *at >= latest.at);
        created_at <= deleted_at.unwrap_or_else(|| latest.at.plus(CLOCKS_DIFFER))
    })
}

/// What follows from finding `object` in the bucket, which is refused for the reason `refused` if there is one; nothing
/// when it is the latest object of which the log tells. Whoever has read the video, then looked, and appends at the
/// version that was read, has not missed an event: what stands there is at least as new as all that the log tells of.
pub fn object_found(video: &Video, object: ObjectFound, refused: Option<VideoError>) -> Option<Decision> {
    let ObjectFound { s3_key, bytes, etag, created_at } = object;
    if is_latest(video, &etag, created_at) {
        return None;
    }
    let cause = ["object found", &etag.clone(), &video.version.to_string()];
    let sequencer = video.sequencer.clone().unwrap_or_default();
    let event: EventBody = match refused {
        None => {
            let generation = video.generation + 1;
            UploadCompleted { generation, s3_key, bytes, etag, sequencer, found: true }.into()
        }
        Some(error) => UploadRejected { s3_key, bytes, etag, sequencer, error, found: true }.into(),
    };
    Some(Decision::new(video, &cause, event))
}

/// What follows when grants are over and nothing new stands in the bucket; nothing when none is over at `now`.
pub fn grants_expired(video: &Video, now: Timestamp, policy: &Policy) -> Option<Decision> {
    let over = video.open_grants.iter().filter(|(_, expiry)| over_at(**expiry, policy) <= now);
    let grant_ids: Vec<_> = over.map(|(grant_id, _)| grant_id.clone()).collect();
    let last = grant_ids.last()?.to_string();
    Some(Decision::new(video, &["grants expired", &last], UploadExpired { grant_ids }))
}

/// What the system does next about a video.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Append this.
    Append(Decision),
    /// Launch a worker with exactly this job; launching it again does no harm.
    Launch(Job),
    /// A grant is over and no upload was heard of. Look whether one stands in RAW under this key, since S3's event of it
    /// may be lost; append what [`object_found`] says, or else [`grants_expired`], at the version that was read before.
    Look(SourceKey),
    /// Nothing until then.
    Wait(Timestamp),
    /// Nothing until an event.
    Rest,
}

/// What the system does next about `video` at `now`.
pub fn next_step(video: &Video, now: Timestamp, policy: &Policy) -> Step {
    let step = step_of_phase(video, now, policy);
    // Whatever the current generation needs comes first: it needs no look into the bucket.
    let (Step::Wait(_) | Step::Rest) = step else { return step };
    match (step, grant_over_at(video, policy), &video.s3_key) {
        (_, Some(over_at), Some(s3_key)) if over_at <= now => Step::Look(s3_key.clone()),
        (Step::Wait(until), Some(over_at), _) => Step::Wait(until.min(over_at)),
        (_, Some(over_at), _) => Step::Wait(over_at),
        (step, None, _) => step,
    }
}

fn step_of_phase(video: &Video, now: Timestamp, policy: &Policy) -> Step {
    match &video.phase {
        Phase::Dispatched { at } if at.plus(policy.start_within) <= now => {
            expire(video, format!("no worker started it within {}", spoken(policy.start_within)))
        }
        Phase::Dispatched { .. } => launch(video),
        Phase::Started { heard_at, .. } => {
            let silent_at = heard_at.plus(policy.silence);
            if silent_at <= now {
                expire(video, format!("its worker was silent for {}", spoken(policy.silence)))
            } else {
                Step::Wait(silent_at)
            }
        }
        Phase::Completed { at, .. } => {
            let publish_at = at.plus(policy.publish_within);
            if at.plus(policy.publish_deadline) <= now {
                expire(video, format!("it was not published within {}", spoken(policy.publish_deadline)))
            } else if publish_at <= now {
                launch_publisher(video, now.since(*at), policy)
            } else {
                Step::Wait(publish_at)
            }
        }
        Phase::Failed { at, error } => {
            if !error.retryable
                || video.failures >= policy.max_failures
                || video.attempt >= policy.max_attempts
            {
                return give_up(video, error.clone());
            }
            dispatch_after(*at, video.failures, video, now, policy)
        }
        Phase::Interrupted { .. } if video.attempt >= policy.max_attempts => {
            let message =
                format!("processing was interrupted too often: {} attempts were made", video.attempt);
            give_up(video, VideoError::retryable("interrupted_too_often", message))
        }
        Phase::Interrupted { at } => {
            // The first is made up for at once. When there are more, there may be no capacity for a while.
            match video.attempt.saturating_sub(video.failures) {
                0 | 1 => dispatch(video, policy),
                interruptions => dispatch_after(*at, interruptions - 1, video, now, policy),
            }
        }
        Phase::Uploaded { .. } => dispatch(video, policy),
        Phase::Waiting | Phase::Ready | Phase::Errored { .. } | Phase::Deleted => Step::Rest,
    }
}

/// From when on [`next_step`] is worth asking if no event comes: what a sweep looks for. `None`: only after an event.
pub fn due_at(video: &Video, policy: &Policy) -> Option<Timestamp> {
    let of_phase = match &video.phase {
        Phase::Uploaded { at } => Some(*at),
        Phase::Dispatched { at } => Some(at.plus(policy.relaunch_after.min(policy.start_within))),
        Phase::Started { heard_at, .. } => Some(heard_at.plus(policy.silence)),
        Phase::Completed { at, .. } => Some(at.plus(policy.publish_within)),
        Phase::Failed { at, .. } | Phase::Interrupted { at } => match step_of_phase(video, *at, policy) {
            Step::Wait(retry_at) => Some(retry_at),
            _ => Some(*at),
        },
        Phase::Waiting | Phase::Ready | Phase::Errored { .. } | Phase::Deleted => None,
    };
    of_phase.into_iter().chain(grant_over_at(video, policy)).min()
}

/// When the first grant is over. An upload may still be lost while others are open, and new ones may be given for ever.
fn grant_over_at(video: &Video, policy: &Policy) -> Option<Timestamp> {
    video.open_grants.values().min().map(|expiry| over_at(*expiry, policy))
}

fn over_at(expiry: Timestamp, policy: &Policy) -> Timestamp {
    expiry.plus(policy.grant_grace)
}

/// The next attempt, after a pause that grows with the number of `setbacks` so far.
fn dispatch_after(at: Timestamp, setbacks: u32, video: &Video, now: Timestamp, policy: &Policy) -> Step {
    let pause = backoff::pause(policy, &video.video_id, video.generation, video.attempt, setbacks);
    let retry_at = at.plus(pause);
    if retry_at <= now { dispatch(video, policy) } else { Step::Wait(retry_at) }
}

fn dispatch(video: &Video, policy: &Policy) -> Step {
    let Some(s3_key) = video.s3_key.clone() else { return Step::Rest };
    let attempt = video.attempt + 1;
    let job = Job {
        project_id: video.project_id.clone(),
        video_id: video.video_id.clone(),
        s3_key,
        generation: video.generation,
        attempt,
        client_token: Job::client_token_of(&video.video_id, video.generation, attempt),
        raw_bucket: policy.raw_bucket.clone(),
        processed_bucket: policy.processed_bucket.clone(),
        limits: policy.limits.clone(),
    };
    let cause = ["dispatch", &video.generation.to_string(), &attempt.to_string()];
    Step::Append(Decision::new(video, &cause, ProcessingDispatched { job }))
}

fn launch(video: &Video) -> Step {
    video.job.clone().map_or(Step::Rest, Step::Launch)
}

/// Another worker for what has been complete for `waited`. The job's own token is used up by the worker that completed it:
/// a launcher may answer it with that one for a while after it has ended. So there is a token for each doubling of the
/// time; of several workers that publish at the same time each does the same.
fn launch_publisher(video: &Video, waited: Duration, policy: &Policy) -> Step {
    let Some(job) = video.job.clone() else { return Step::Rest };
    let times = waited.as_millis() / policy.publish_within.as_millis().max(1);
    let client_token =
        Job::publisher_token_of(&job.video_id, job.generation, job.attempt, times.max(1).ilog2());
    Step::Launch(Job { client_token, ..job })
}

fn expire(video: &Video, reason: String) -> Step {
    let event = ProcessingExpired { generation: video.generation, attempt: video.attempt, reason };
    Step::Append(Decision::of_attempt(video, "expire", event))
}

fn give_up(video: &Video, error: VideoError) -> Step {
    Step::Append(Decision::of_attempt(video, "give up", VideoErrored { generation: video.generation, error }))
}

fn spoken(duration: Duration) -> String {
    format!("{} s", duration.as_secs())
}

/// Why a worker must stop: another one or nobody may go on with the video.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fence {
    /// Another attempt is the current one.
    #[error("attempt {attempt} of generation {generation} is the current one")]
    NotCurrent {
        /// The current generation.
        generation: u32,
        /// The current attempt.
        attempt: u32,
    },
    /// Another worker has the attempt.
    #[error("the worker {0} has the attempt")]
    Taken(String),
    /// The attempt is over.
    #[error("the attempt is over")]
    Over,
}

/// What a worker does that was launched for an attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Start {
    /// Append this and, when that succeeds, make the attempt.
    Run(Decision),
    /// The attempt is made: publish it.
    Publish,
    /// Do nothing.
    Stop(Fence),
}

/// What the worker `task` does that was launched with `job`.
pub fn start(video: &Video, job: &Job, task: &str) -> Start {
    if let Err(fence) = check_current(video, job) {
        return Start::Stop(fence);
    }
    match &video.phase {
        Phase::Started { task: other, .. } if other != task => Start::Stop(Fence::Taken(other.clone())),
        Phase::Dispatched { .. } | Phase::Started { .. } => {
            let event =
                ProcessingStarted { generation: job.generation, attempt: job.attempt, task: task.to_owned() };
            let cause = ["start", &job.generation.to_string(), &job.attempt.to_string(), task];
            Start::Run(Decision::new(video, &cause, event))
        }
        Phase::Completed { .. } => Start::Publish,
        _ => Start::Stop(Fence::Over),
    }
}

/// All files of the attempt that `task` has are stored.
pub fn complete(
    video: &Video,
    job: &Job,
    task: &str,
    source: MediaSource,
    outputs: Outputs,
) -> Result<Decision, Fence> {
    check_has(video, job, task)?;
    let event = ProcessingCompleted { generation: job.generation, attempt: job.attempt, source, outputs };
    Ok(Decision::of_attempt(video, "complete", event))
}

/// The attempt that `task` has failed.
pub fn fail(video: &Video, job: &Job, task: &str, error: VideoError) -> Result<Decision, Fence> {
    check_has(video, job, task)?;
    let event = ProcessingFailed { generation: job.generation, attempt: job.attempt, error };
    Ok(Decision::of_attempt(video, "fail", event))
}

/// The attempt that `task` has is stopped from outside.
pub fn interrupt(video: &Video, job: &Job, task: &str, reason: impl Into<String>) -> Result<Decision, Fence> {
    check_has(video, job, task)?;
    let event =
        ProcessingInterrupted { generation: job.generation, attempt: job.attempt, reason: reason.into() };
    Ok(Decision::of_attempt(video, "interrupt", event))
}

/// All pointers to the completed attempt are written.
pub fn ready(video: &Video, job: &Job) -> Result<Decision, Fence> {
    check_current(video, job)?;
    match &video.phase {
        Phase::Completed { source, outputs, .. } => {
            let event = VideoReady {
                generation: job.generation,
                attempt: job.attempt,
                source: source.clone(),
                outputs: outputs.clone(),
            };
            Ok(Decision::of_attempt(video, "ready", event))
        }
        _ => Err(Fence::Over),
    }
}

/// How a worker's process came to its end, as whoever runs workers sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerEnd {
    /// It was stopped from outside, for a reason for people: no fault of the video.
    Stopped(String),
    /// It ended by itself without saying how its attempt went, described for the operator.
    Crashed(String),
}

/// What follows from the end of a worker that was launched with `job`; nothing when the attempt's end is known or
/// another worker has the attempt. An attempt that is completed is left to be published by the next worker.
pub fn worker_ended(video: &Video, job: &Job, task: &str, end: WorkerEnd) -> Option<Decision> {
    match &video.phase {
        Phase::Dispatched { .. } => check_current(video, job).ok()?,
        _ => check_has(video, job, task).ok()?,
    }
    let (generation, attempt) = (job.generation, job.attempt);
    Some(match end {
        WorkerEnd::Stopped(reason) => {
            Decision::of_attempt(video, "interrupt", ProcessingInterrupted { generation, attempt, reason })
        }
        WorkerEnd::Crashed(how) => {
            let error =
                VideoError::retryable("worker_crashed", format!("the worker ended unexpectedly: {how}"));
            Decision::of_attempt(video, "fail", ProcessingFailed { generation, attempt, error })
        }
    })
}

fn check_current(video: &Video, job: &Job) -> Result<(), Fence> {
    if video.is_current(job.generation, job.attempt) {
        Ok(())
    } else {
        Err(Fence::NotCurrent { generation: video.generation, attempt: video.attempt })
    }
}

fn check_has(video: &Video, job: &Job, task: &str) -> Result<(), Fence> {
    check_current(video, job)?;
    match &video.phase {
        Phase::Started { task: holder, .. } if holder == task => Ok(()),
        Phase::Started { task: holder, .. } => Err(Fence::Taken(holder.clone())),
        _ => Err(Fence::Over),
    }
}

/// Why a tenant's command is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such video.
    #[error("there is no such video")]
    NotFound,
    /// The video is not in a state in which that is possible.
    #[error("{0}")]
    Conflict(String),
}

/// Deletes the video, whatever it is at; nothing when it is deleted already.
pub fn delete(video: &Video) -> Result<Option<Decision>, Refusal> {
    match video.phase {
        _ if video.s3_key.is_none() => Err(Refusal::NotFound),
        Phase::Deleted => Ok(None),
        _ => {
            let cause = ["delete", &video.version.to_string()];
            Ok(Some(Decision::new(video, &cause, VideoDeleted { generation: video.generation })))
        }
    }
}

/// Processes the same source again.
pub fn reprocess(video: &Video) -> Result<Decision, Refusal> {
    let conflict = |reason: &str| Err(Refusal::Conflict(reason.to_owned()));
    if video.s3_key.is_none() {
        return Err(Refusal::NotFound);
    }
    match video.phase {
        Phase::Ready | Phase::Errored { .. } if video.upload.is_some() => {
            let cause = ["reprocess", &video.version.to_string()];
            Ok(Decision::new(video, &cause, ProcessingRequested { generation: video.generation + 1 }))
        }
        Phase::Deleted => conflict("the video is deleted; upload it again"),
        Phase::Waiting | Phase::Errored { .. } => conflict("no source has been uploaded yet"),
        _ => conflict("the video is being processed; wait until it is ready or errored"),
    }
}

#[cfg(test)]
mod tests;
