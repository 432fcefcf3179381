//! What the system does next about a video, done: decisions are appended, workers launched.

use std::convert::Infallible;

use streamio_events::commit::Commit;
use streamio_events::id::{ProjectId, VideoId};
use streamio_events::job::Job;
use streamio_events::log::EventLog;
use streamio_events::retryable::Retryable;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::decide::{Step, grants_expired, next_step};
use streamio_events::video::{Policy, Video, VideoStoreError, catch_up, decide_and_append, load};

use crate::ports::object_store::ObjectStore;
use crate::ports::task_launcher::{LaunchError, Launched, TaskLauncher};
use crate::reactions::cleanup::{self, CleanupError};
use crate::uploads::{self, UploadError};

/// More steps than this in one go mean that a decision does not change what it is decided from.
const MOST_STEPS: u32 = 16;

/// How many workers of one job may have ended without doing it. More are no accident; each attempt that fails is told of by
/// `tasks`, and has a successor with a token of its own.
const MOST_ENDED: u32 = 8;

/// What reactions need.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// The log.
    pub log: &'a dyn EventLog,
    /// Launches workers.
    pub launcher: &'a dyn TaskLauncher,
    /// Looks at objects and removes them.
    pub objects: &'a dyn ObjectStore,
    /// How patient the system is.
    pub policy: &'a Policy,
}

impl<'a> Ports<'a> {
    /// Those for uploads.
    pub fn uploads(self) -> uploads::Ports<'a> {
        uploads::Ports { log: self.log, objects: self.objects, policy: self.policy }
    }
}

/// Whether there may be something to do after `commit`. Progress is only seen, and a quarantine is for people.
pub fn calls_for_action(commit: &Commit) -> bool {
    !commit.events.iter().all(|event| {
        matches!(event.kind.as_str(), "processing.progressed" | "processing.started" | "stream.quarantined")
    })
}

/// Why a reaction was not finished.
#[derive(Debug, thiserror::Error)]
pub enum ReactError {
    /// The log, or what it holds.
    #[error(transparent)]
    Video(#[from] VideoStoreError),
    /// The launcher.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// The removal of objects.
    #[error(transparent)]
    Cleanup(#[from] CleanupError),
    /// The look for an upload whose notice did not come.
    #[error(transparent)]
    Look(#[from] UploadError),
    /// A decision that changes nothing: a fault in the decisions.
    #[error("decisions about video {0} do not come to an end")]
    Endless(VideoId),
}

impl Retryable for ReactError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Video(error) => error.is_retryable(),
            Self::Launch(error) => error.is_retryable(),
            Self::Look(error) => error.is_retryable(),
            Self::Cleanup(error) => error.is_retryable(),
            Self::Endless(_) => false,
        }
    }
}

/// Does what is to be done about a video until nothing is left to do at `now`. Answers the video as it is then. Whatever
/// was done before a crash is found done and not done again; a launch may be repeated, with the same job.
pub async fn react(
    ports: Ports<'_>,
    now: Timestamp,
    project_id: &ProjectId,
    video_id: &VideoId,
) -> Result<Video, ReactError> {
    let mut video = load(ports.log, project_id, video_id).await?;
    for _ in 0..MOST_STEPS {
        match next_step(&video, now, ports.policy) {
            Step::Append(_) => {
                let decided = decide_and_append(ports.log, project_id, video_id, now, |video| {
                    Ok::<_, Infallible>(match next_step(video, now, ports.policy) {
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
                    cleanup::remove_deleted(ports, &mut video).await?;
                    return Ok(video);
                }
            }
            Step::Look(s3_key) => {
                let found = uploads::find(ports.uploads(), &video, &s3_key).await?;
                if let Some(decision) = found.or_else(|| grants_expired(&video, now, ports.policy)) {
                    // Where others were faster, what follows is decided from what they did.
                    uploads::append(ports.log, now, &video, decision).await?;
                }
                catch_up(ports.log, &mut video).await?;
            }
            Step::Wait(_) | Step::Rest => {
                cleanup::remove_deleted(ports, &mut video).await?;
                return Ok(video);
            }
        }
    }
    Err(ReactError::Endless(video_id.clone()))
}

#[derive(PartialEq)]
enum Outcome {
    /// The job has its worker.
    Present,
    /// The log says otherwise by now.
    NotWanted,
}

/// Launches a worker for `wanted`, or finds that it has one. Who launches after a lost answer may find that the worker has
/// ended meanwhile: the log, read again, then says whether that one did its work, or whether another must follow it.
async fn launch(
    ports: Ports<'_>,
    now: Timestamp,
    video: &mut Video,
    wanted: Job,
) -> Result<Outcome, ReactError> {
    let mut job = wanted.clone();
    for _ in 0..MOST_ENDED {
        let Launched::Ended { task } = ports.launcher.launch(&job).await? else {
            return Ok(Outcome::Present);
        };
        catch_up(ports.log, video).await?;
        if !matches!(next_step(video, now, ports.policy), Step::Launch(job) if job == wanted) {
            return Ok(Outcome::NotWanted);
        }
        job = job.following(&task);
    }
    Err(LaunchError::Unavailable(format!("{MOST_ENDED} workers of this job ended without doing it").into())
        .into())
}
