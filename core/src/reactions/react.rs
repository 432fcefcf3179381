//! Reacts to changes of a video: appends the next decision, launches workers, removes deleted objects.

use std::borrow::Cow;
use std::convert::Infallible;

use streamio_events::commit::Commit;
use streamio_events::event::EventBody;
use streamio_events::id::{ProjectId, VideoId};
use streamio_events::job::Job;
use streamio_events::log::{EventLog, EventLogExt as _, ReadError};
use streamio_events::project::Project;
use streamio_events::retryable::Retryable;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::decide::{
    Decision, Step, grants_expired, next_step, step_of_uploads, versions_removed,
};
use streamio_events::video::{Policy, Video, VideoStoreError, catch_up, decide_and_append, load};

use crate::ports::object_store::ObjectStore;
use crate::ports::task_launcher::{LaunchError, Launched, TaskLauncher};
use crate::reactions::cleanup::{self, CleanupError};
use crate::uploads::{self, UploadError};

/// The maximum number of steps of attempts in one call. More mean that a decision does not change the state from which it was made.
const MAX_STEPS: u32 = 16;

/// The maximum number of decisions about objects in one call. The sweep continues.
const MAX_OBJECTS: u32 = 256;

/// How many workers of one job may have ended before they started their work. Failed attempts are recorded by
/// [`tasks`](crate::reactions::tasks) and are followed by attempts with other tokens.
const MAX_ENDED_WORKERS: u32 = 8;

/// The ports of a reaction.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// The log.
    pub log: &'a dyn EventLog,
    /// Launches workers.
    pub launcher: &'a dyn TaskLauncher,
    /// The object store.
    pub objects: &'a dyn ObjectStore,
    /// Buckets, limits, timeouts and retry pauses.
    pub policy: &'a Policy,
}

impl<'a> Ports<'a> {
    /// The ports for upload ingestion.
    pub fn uploads(self) -> uploads::Ports<'a> {
        uploads::Ports { log: self.log, objects: self.objects, policy: self.policy }
    }
}

/// Whether a reaction to `commit` may have something to do. `false` for progress, starts and quarantine.
pub fn calls_for_action(commit: &Commit) -> bool {
    !commit.events.iter().all(|event| {
        matches!(event.kind.as_str(), "processing.progressed" | "processing.started" | "stream.quarantined")
    })
}

/// Why a reaction failed.
#[derive(Debug, thiserror::Error)]
pub enum ReactError {
    /// The video's stream cannot be read, understood or appended to.
    #[error(transparent)]
    Video(#[from] VideoStoreError),
    /// The settings of the video's project cannot be read at present.
    #[error("the project's events cannot be read")]
    Project(#[source] ReadError),
    /// The worker cannot be launched.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// The objects of a deleted video cannot be removed.
    #[error(transparent)]
    Cleanup(#[from] CleanupError),
    /// The bucket cannot be checked for an upload without an event notification.
    #[error(transparent)]
    BucketCheck(#[from] UploadError),
    /// A decision changes nothing: a fault in the decisions.
    #[error("the decisions about video {0} do not end")]
    Endless(VideoId),
}

impl Retryable for ReactError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Video(error) => error.is_retryable(),
            Self::Project(error) => error.is_retryable(),
            Self::Launch(error) => error.is_retryable(),
            Self::BucketCheck(error) => error.is_retryable(),
            Self::Cleanup(error) => error.is_retryable(),
            Self::Endless(_) => false,
        }
    }
}

/// Applies the next step of a video until it is idle at `now`. Returns the video's state afterwards.
///
/// Steps that were recorded before a crash are not repeated; a launch may be repeated with the same job.
pub async fn react(
    ports: Ports<'_>,
    now: Timestamp,
    project_id: &ProjectId,
    video_id: &VideoId,
) -> Result<Video, ReactError> {
    let mut video = load(ports.log, project_id, video_id).await?;
    for _ in 0..MAX_STEPS {
        match next_step(&video, now, ports.policy) {
            Step::Append(decision) => {
                let policy = policy_of(ports, project_id, &decision).await?;
                let decided = decide_and_append(ports.log, project_id, video_id, now, |video| {
                    Ok::<_, Infallible>(match next_step(video, now, &policy) {
                        Step::Append(decision) => Some(decision),
                        _ => None,
                    })
                })
                .await?;
                let Ok(decided) = decided;
                video = decided.video;
            }
            Step::Launch(job) => {
                if launch(ports, now, &mut video, job).await? == Outcome::Present {
                    handle_uploads(ports, now, &mut video).await?;
                    cleanup::remove_deleted(ports, &mut video).await?;
                    return Ok(video);
                }
            }
            Step::DecideObject(_) | Step::CheckBucket(_) | Step::RemoveVersions(..) => {
                let before = video.version;
                handle_uploads(ports, now, &mut video).await?;
                if video.version == before {
                    return Ok(video);
                }
            }
            Step::Wait(_) | Step::Idle => {
                cleanup::remove_deleted(ports, &mut video).await?;
                return Ok(video);
            }
        }
    }
    Err(ReactError::Endless(video_id.clone()))
}

/// The policy for a decision about a video of this project. An attempt gets the limits of its project, which only a dispatch needs.
///
/// A project whose events cannot be understood has the deployment's limits: an accepted upload is processed nevertheless.
async fn policy_of<'a>(
    ports: Ports<'a>,
    project_id: &ProjectId,
    decision: &Decision,
) -> Result<Cow<'a, Policy>, ReactError> {
    if !decision.events.iter().any(|event| matches!(event, EventBody::ProcessingDispatched(_))) {
        return Ok(Cow::Borrowed(ports.policy));
    }
    let folded = match ports.log.read_to_end(&StreamId::Project(project_id.clone()), 1).await {
        Ok(commits) => Project::fold(project_id.clone(), &commits).map_err(|error| error.to_string()),
        Err(error) if error.is_retryable() => return Err(ReactError::Project(error)),
        Err(error) => Err(error.to_string()),
    };
    match folded {
        Ok(project) => {
            let limits = project.limits(&ports.policy.limits);
            Ok(Cow::Owned(Policy { limits, ..ports.policy.clone() }))
        }
        Err(error) => {
            tracing::warn!(%project_id, error, "the project's settings cannot be understood; those of the deployment are used");
            Ok(Cow::Borrowed(ports.policy))
        }
    }
}

/// Decides about objects, grants and versions until nothing is due at `now`, or no decision could be made.
async fn handle_uploads(ports: Ports<'_>, now: Timestamp, video: &mut Video) -> Result<(), ReactError> {
    for _ in 0..MAX_OBJECTS {
        let before = video.version;
        match step_of_uploads(video, now, ports.policy) {
            Step::DecideObject(object) => uploads::decide_known(ports.uploads(), now, video, object).await?,
            Step::CheckBucket(s3_key) => {
                uploads::check_bucket(ports.uploads(), now, video, &s3_key).await?;
                if let Some(decision) = grants_expired(video, now, ports.policy) {
                    // On a conflict the next iteration decides from the new state.
                    uploads::append_decision(ports.log, now, video, decision).await?;
                }
                catch_up(ports.log, video).await?;
            }
            Step::RemoveVersions(s3_key, removals) => {
                for removal in &removals {
                    let (bucket, version_id) = (&ports.policy.raw_bucket, &removal.version_id);
                    let removed = ports.objects.delete_version(bucket, s3_key.as_str(), version_id).await;
                    removed.map_err(CleanupError::from)?;
                }
                if let Some(decision) = versions_removed(video, &removals) {
                    uploads::append_decision(ports.log, now, video, decision).await?;
                }
                catch_up(ports.log, video).await?;
            }
            Step::Append(_) | Step::Launch(_) | Step::Wait(_) | Step::Idle => return Ok(()),
        }
        if video.version == before {
            return Ok(());
        }
    }
    Ok(())
}

#[derive(PartialEq)]
enum Outcome {
    /// The job has a worker.
    Present,
    /// According to the log, the job is no longer the next step.
    Superseded,
}

/// Launches a worker for `wanted`, unless it has one.
///
/// If the response of an earlier launch was lost, its worker may have ended meanwhile. The log, read again, then states whether
/// that worker finished or another one must follow it.
async fn launch(
    ports: Ports<'_>,
    now: Timestamp,
    video: &mut Video,
    wanted: Job,
) -> Result<Outcome, ReactError> {
    let mut job = wanted.clone();
    for _ in 0..MAX_ENDED_WORKERS {
        let Launched::Ended { task } = ports.launcher.launch(&job).await? else {
            return Ok(Outcome::Present);
        };
        catch_up(ports.log, video).await?;
        if !matches!(next_step(video, now, ports.policy), Step::Launch(job) if job == wanted) {
            return Ok(Outcome::Superseded);
        }
        job = job.following(&task);
    }
    Err(LaunchError::Unavailable(
        format!("{MAX_ENDED_WORKERS} workers of this job ended before they started").into(),
    )
    .into())
}
