//! What the system does next about a video, done: decisions are appended, workers launched.

use std::convert::Infallible;

use streamio_events::id::{ProjectId, VideoId};
use streamio_events::log::EventLog;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::decide::{Step, next_step};
use streamio_events::video::{Phase, Policy, Video, VideoStoreError, decide_and_append, load};

use crate::cleanup::{self, CleanupError, ObjectStore};
use crate::launcher::{LaunchError, TaskLauncher};

/// More steps than this in one go mean that a decision does not change what it is decided from.
const MOST_STEPS: u32 = 16;

/// What reactions need.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// The log.
    pub log: &'a dyn EventLog,
    /// Launches workers.
    pub launcher: &'a dyn TaskLauncher,
    /// Removes objects.
    pub objects: &'a dyn ObjectStore,
    /// How patient the system is.
    pub policy: &'a Policy,
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
    /// A decision that changes nothing: a fault in the decisions.
    #[error("decisions about video {0} do not come to an end")]
    Endless(VideoId),
}

impl ReactError {
    /// Whether the same reaction may succeed when it is tried again.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Video(error) => error.is_retryable(),
            Self::Launch(LaunchError::Unavailable(_)) | Self::Cleanup(_) => true,
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
                ports.launcher.launch(&job).await?;
                return Ok(video);
            }
            Step::Wait(_) => return Ok(video),
            Step::Rest => {
                if matches!(video.phase, Phase::Deleted) {
                    cleanup::remove_deleted(ports, &video).await?;
                }
                return Ok(video);
            }
        }
    }
    Err(ReactError::Endless(video_id.clone()))
}
