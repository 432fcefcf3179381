//! Loads a video from its stream, and appends decisions.

use super::Video;
use super::decide::Decision;
use crate::commit::NewCommit;
use crate::event::UnreadableEvent;
use crate::id::{ProjectId, VideoId};
use crate::log::{AppendError, EventLog, EventLogExt, Expected, ReadError};
use crate::retryable::Retryable;
use crate::stream::StreamId;
use crate::timestamp::Timestamp;

/// How often a decision is made again after a conflict. Appends to one video are rare, so that more conflicts than this
/// indicate a defect.
const MAX_CONFLICTS: u32 = 32;

/// Why a video could not be read or decided upon.
#[derive(Debug, thiserror::Error)]
pub enum VideoStoreError {
    /// Reading failed.
    #[error("the video's events cannot be read")]
    Read(#[from] ReadError),
    /// Appending failed.
    #[error("the decision cannot be recorded")]
    Append(#[from] AppendError),
    /// An event of the stream is damaged or foreign: the stream must be quarantined.
    #[error("the video's events cannot be understood")]
    Unreadable(#[from] UnreadableEvent),
}

impl Retryable for VideoStoreError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Read(error) => error.is_retryable(),
            Self::Append(error) => error.is_retryable() || matches!(error, AppendError::Conflict { .. }),
            Self::Unreadable(_) => false,
        }
    }
}

/// The result of [`decide_and_append`].
#[derive(Debug, Clone, PartialEq)]
pub struct Decided {
    /// The video after the decision.
    pub video: Video,
    /// Whether this call appended the decision; `false` if there was nothing to do or the same decision was already
    /// recorded.
    pub appended: bool,
}

/// Reads and folds the video; at version 0 if it has no events.
pub async fn load(
    log: &(impl EventLog + ?Sized),
    project_id: &ProjectId,
    video_id: &VideoId,
) -> Result<Video, VideoStoreError> {
    let stream = StreamId::Video(project_id.clone(), video_id.clone());
    let commits = log.read_to_end(&stream, 1).await?;
    Ok(Video::fold(project_id.clone(), video_id.clone(), &commits)?)
}

/// Reads the video, calls `decide`, and appends the decision at the version that was read; starts over after a
/// conflict. `Ok(Err(refusal))` is the refusal of `decide`; a decision of `None` appends nothing.
pub async fn decide_and_append<R>(
    log: &(impl EventLog + ?Sized),
    project_id: &ProjectId,
    video_id: &VideoId,
    now: Timestamp,
    mut decide: impl FnMut(&Video) -> Result<Option<Decision>, R> + Send,
) -> Result<Result<Decided, R>, VideoStoreError>
where
    R: Send,
{
    let mut video = load(log, project_id, video_id).await?;
    let stream = video.stream();
    let mut conflicts = 0;
    loop {
        let decision = match decide(&video) {
            Ok(Some(decision)) => decision,
            Ok(None) => return Ok(Ok(Decided { video, appended: false })),
            Err(refusal) => return Ok(Err(refusal)),
        };
        let commit_id = decision.commit_id.clone();
        let commit = NewCommit::new(decision.commit_id, now, decision.events);
        match log.append(&stream, Expected::Exactly(video.version), commit).await {
            Ok(appended) => {
                // Others may have reacted to it already.
                for commit in log.read_to_end(&stream, video.version + 1).await? {
                    video.apply_commit(&commit)?;
                    if commit.id == commit_id {
                        break;
                    }
                }
                return Ok(Ok(Decided { video, appended: !appended.repeated }));
            }
            Err(AppendError::Conflict { .. }) if conflicts < MAX_CONFLICTS => {
                conflicts += 1;
                catch_up(log, &mut video).await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Applies all commits of the log beyond the video's version.
pub async fn catch_up(log: &(impl EventLog + ?Sized), video: &mut Video) -> Result<(), VideoStoreError> {
    for commit in log.read_to_end(&video.stream(), video.version + 1).await? {
        video.apply_commit(&commit)?;
    }
    Ok(())
}
