//! The system's next action on a video: dispatch, launch, expire, retry or give up.

use std::time::Duration;

use super::decision::Decision;
use super::removal::{Removal, due_removals, removal_at, unused_removal_at};
use super::upload::{next_grant_end, undecided, undecided_from};
use crate::event::{ProcessingDispatched, ProcessingExpired, ProcessingInterrupted, VideoErrored};
use crate::job::Job;
use crate::media::VideoError;
use crate::object_key::SourceKey;
use crate::timestamp::Timestamp;
use crate::video::{Phase, Policy, SourceObject, Video, backoff};

/// The next action of the system on a video.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Append this decision.
    Append(Decision),
    /// Launch a worker with exactly this job. Launching it again is harmless.
    Launch(Job),
    /// Decide about this object with [`object_arrived`](super::object_arrived): its grant has been recorded, or is no
    /// longer awaited.
    DecideObject(SourceObject),
    /// A grant has expired or closes, and no upload with its URL, or no further one, is recorded. S3's event may be lost: check whether RAW has objects under
    /// this key that the log does not know. Decide about them with [`object_arrived`], or else append the decision of
    /// [`grants_expired`], at the version that was read before the check.
    ///
    /// [`object_arrived`]: super::object_arrived
    /// [`grants_expired`]: super::grants_expired
    CheckBucket(SourceKey),
    /// Remove the objects that nothing needs: the outputs of a deleted video and, in a bucket without versions, its source, or what a
    /// replaced one left under [stable keys](Video::unused_stable_keys). When none is left, append the decision of
    /// [`unused_removed`](super::unused_removed) at the version that was read before.
    RemoveUnused,
    /// Remove these versions of the source, then append the decision of [`versions_removed`](super::versions_removed).
    RemoveVersions(SourceKey, Vec<Removal>),
    /// Nothing until this time.
    Wait(Timestamp),
    /// Nothing until the next event.
    Idle,
}

/// Returns the next action on `video` at `now`: objects first, then its attempts, then versions and grants, which need the bucket.
///
/// Each of the three may also be asked for by itself, so that one that fails stops no other: [`undecided`], [`step_of_attempt`], and
/// [`due_removals`] and [`bucket_check`].
pub fn next_step(video: &Video, now: Timestamp, policy: &Policy) -> Step {
    if let Some(object) = undecided(video, now, policy) {
        return Step::DecideObject(object);
    }
    let step = step_of_attempt(video, now, policy);
    let (Step::Wait(_) | Step::Idle) = step else { return step };
    match (step, step_of_uploads(video, now, policy)) {
        (Step::Wait(a), Step::Wait(b)) => Step::Wait(a.min(b)),
        (step, Step::Idle) | (_, step) => step,
    }
}

fn step_of_uploads(video: &Video, now: Timestamp, policy: &Policy) -> Step {
    let Some(s3_key) = &video.s3_key else { return Step::Idle };
    if unused_removal_at(video).is_some_and(|at| at <= now) {
        return Step::RemoveUnused;
    }
    let removals = due_removals(video, now, policy);
    if !removals.is_empty() {
        return Step::RemoveVersions(s3_key.clone(), removals);
    }
    if let Some(s3_key) = bucket_check(video, now, policy) {
        return Step::CheckBucket(s3_key);
    }
    // A rejected object that is about to be removed is not decided about again, whatever was due.
    uploads_due(video, policy).filter(|due| *due > now).min().map_or(Step::Idle, Step::Wait)
}

/// The key whose bucket must be checked at `now`, see [`Step::CheckBucket`].
pub fn bucket_check(video: &Video, now: Timestamp, policy: &Policy) -> Option<SourceKey> {
    let is_due = next_grant_end(video, policy).is_some_and(|end| end <= now);
    video.s3_key.clone().filter(|_| is_due)
}

/// When actions on objects and grants are due.
fn uploads_due(video: &Video, policy: &Policy) -> impl Iterator<Item = Timestamp> {
    let objects = video.objects.iter().flat_map(|known| {
        [undecided_from(video, known, policy), removal_at(known, policy)].into_iter().flatten()
    });
    objects.chain(next_grant_end(video, policy)).chain(unused_removal_at(video))
}

/// Returns the next action on the current attempt of `video`, or on its next one, at `now`. Never one on objects or grants.
pub fn step_of_attempt(video: &Video, now: Timestamp, policy: &Policy) -> Step {
    match &video.phase {
        Phase::Dispatched { at } if at.plus(policy.start_within) <= now => {
            interrupt(video, format!("no worker started it within {}", seconds(policy.start_within)))
        }
        Phase::Dispatched { .. } => launch(video),
        Phase::Started { last_heartbeat_at, .. } => {
            let times_out_at = last_heartbeat_at.plus(policy.heartbeat_timeout);
            if times_out_at <= now {
                expire(
                    video,
                    format!("its worker sent no heartbeat for {}", seconds(policy.heartbeat_timeout)),
                )
            } else {
                Step::Wait(times_out_at)
            }
        }
        Phase::Completed { at, .. } => {
            let publish_at = at.plus(policy.publish_within);
            if at.plus(policy.publish_deadline) <= now {
                interrupt(video, format!("it was not published within {}", seconds(policy.publish_deadline)))
            } else if publish_at <= now {
                video.job.as_ref().map_or(Step::Idle, |job| launch_publisher(job, now.since(*at), policy))
            } else {
                Step::Wait(publish_at)
            }
        }
        Phase::Failed { at, error } => {
            if !error.retryable || video.failures >= policy.max_failures {
                return give_up(video, error.clone());
            }
            dispatch_after(*at, video.failures, video, now, policy)
        }
        // However often: only a fault of the file ends a video.
        Phase::Interrupted { at, stopped: false } => {
            // The first interruption is retried immediately. After further ones the platform may not work for a while.
            match video.attempt.saturating_sub(video.failures).saturating_sub(video.stops) {
                0 | 1 => dispatch(video, policy),
                interruptions => dispatch_after(*at, interruptions - 1, video, now, policy),
            }
        }
        // A worker that was stopped says nothing about whether the platform works, however often that happens.
        Phase::Uploaded { .. } | Phase::Interrupted { stopped: true, .. } => dispatch(video, policy),
        Phase::Waiting | Phase::Expired | Phase::Ready | Phase::Errored { .. } | Phase::Deleted => {
            match video.publication_to_continue() {
                Some(earlier) => launch_publisher(&earlier.job, now.since(earlier.at), policy),
                None => Step::Idle,
            }
        }
    }
}

/// When [`next_step`] is due even if no event arrives before. Sweeps select videos by it. `None` if only an event can
/// make a step due.
pub fn due_at(video: &Video, policy: &Policy) -> Option<Timestamp> {
    let of_phase = match &video.phase {
        Phase::Uploaded { at } => Some(*at),
        Phase::Dispatched { at } => Some(at.plus(policy.relaunch_after.min(policy.start_within))),
        Phase::Started { last_heartbeat_at, .. } => Some(last_heartbeat_at.plus(policy.heartbeat_timeout)),
        Phase::Completed { at, .. } => Some(at.plus(policy.publish_within)),
        Phase::Failed { at, .. } | Phase::Interrupted { at, .. } => match step_of_attempt(video, *at, policy)
        {
            Step::Wait(retry_at) => Some(retry_at),
            _ => Some(*at),
        },
        Phase::Waiting | Phase::Expired | Phase::Ready | Phase::Errored { .. } | Phase::Deleted => {
            video.publication_to_continue().map(|earlier| earlier.at.plus(policy.publish_within))
        }
    };
    of_phase.into_iter().chain(uploads_due(video, policy)).min()
}

/// Dispatches the next attempt after a pause that grows with `setbacks`.
fn dispatch_after(at: Timestamp, setbacks: u32, video: &Video, now: Timestamp, policy: &Policy) -> Step {
    let pause = backoff::pause(policy, &video.video_id, video.generation, video.attempt, setbacks);
    let retry_at = at.plus(pause);
    if retry_at <= now { dispatch(video, policy) } else { Step::Wait(retry_at) }
}

fn dispatch(video: &Video, policy: &Policy) -> Step {
    let Some(s3_key) = video.s3_key.clone() else { return Step::Idle };
    let attempt = video.attempt + 1;
    let job = Job {
        project_id: video.project_id.clone(),
        video_id: video.video_id.clone(),
        s3_key,
        version_id: video.upload.as_ref().and_then(|upload| upload.version_id.clone()),
        etag: video.upload.as_ref().map(|upload| upload.etag.clone()),
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
    video.job.clone().map_or(Step::Idle, Step::Launch)
}

/// Launches another worker for an attempt that was completed `waited` ago. The job's own client token was used by the
/// worker that completed it, and a launcher may return that worker for a while after its end. So each doubling of the
/// waiting time gets a new token. Several workers that publish at the same time do the same and are harmless.
fn launch_publisher(job: &Job, waited: Duration, policy: &Policy) -> Step {
    let times = waited.as_millis() / policy.publish_within.as_millis().max(1);
    let client_token =
        Job::publisher_token_of(&job.video_id, job.generation, job.attempt, times.max(1).ilog2());
    Step::Launch(Job { client_token, ..job.clone() })
}

/// Ends an attempt whose worker is silent, which the file may have caused.
fn expire(video: &Video, reason: String) -> Step {
    let event = ProcessingExpired { generation: video.generation, attempt: video.attempt, reason };
    Step::Append(Decision::of_attempt(video, "expire", event))
}

/// Ends an attempt that the platform did not start or finish in time. The file is not at fault.
fn interrupt(video: &Video, reason: String) -> Step {
    let Video { generation, attempt, .. } = *video;
    let event = ProcessingInterrupted { generation, attempt, reason, stopped: false };
    Step::Append(Decision::of_attempt(video, "interrupt", event))
}

fn give_up(video: &Video, error: VideoError) -> Step {
    Step::Append(Decision::of_attempt(video, "give up", VideoErrored { generation: video.generation, error }))
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs())
}
