use super::decide::Decision;
use super::{Deletion, Phase, Video};
use crate::commit::NewCommit;
use crate::event::UnreadableEvent;
use crate::id::{ProjectId, VideoId};
use crate::log::{AppendError, EventLog, EventLogExt, Expected, ReadError};
use crate::object_key::ProcessedKey;
use crate::retryable::Retryable;
use crate::stream::StreamId;
use crate::timestamp::Timestamp;

/// How often a decision is made anew when others append to the same stream in between. Appends to one video are few;
/// whoever loses this often has found a fault.
const MOST_CONFLICTS: u32 = 32;

/// Why a video could not be read or decided upon.
#[derive(Debug, thiserror::Error)]
pub enum VideoStoreError {
    /// Reading failed.
    #[error("the video's events cannot be read")]
    Read(#[from] ReadError),
    /// Appending failed.
    #[error("the decision cannot be recorded")]
    Append(#[from] AppendError),
    /// An event of the stream is damaged or foreign: the stream is to be quarantined.
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

/// What came of [`decide_and_append`].
#[derive(Debug, Clone, PartialEq)]
pub struct Decided {
    /// The video after the decision.
    pub video: Video,
    /// Whether this call appended it; otherwise there was nothing to do, or the same decision was there already.
    pub appended: bool,
}

/// The video as its stream tells it now; at version 0 when nothing has happened to it.
pub async fn load(
    log: &(impl EventLog + ?Sized),
    project_id: &ProjectId,
    video_id: &VideoId,
) -> Result<Video, VideoStoreError> {
    let stream = StreamId::Video(project_id.clone(), video_id.clone());
    let commits = log.read_to_end(&stream, 1).await?;
    Ok(Video::fold(project_id.clone(), video_id.clone(), &commits)?)
}

/// Reads the video, decides, and appends the decision at the version that it was made at; on a conflict all over again.
/// `Ok(Err(refusal))` is the decider's own refusal; a decision of `None` appends nothing.
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
        let commit = NewCommit::new(decision.commit_id, now, decision.events);
        match log.append(&stream, Expected::Exactly(video.version), commit).await {
            Ok(appended) => {
                catch_up(log, &mut video).await?;
                return Ok(Ok(Decided { video, appended: !appended.repeated }));
            }
            Err(AppendError::Conflict { .. }) if conflicts < MOST_CONFLICTS => {
                conflicts += 1;
                catch_up(log, &mut video).await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Applies what the log has of this video beyond its version.
pub async fn catch_up(log: &(impl EventLog + ?Sized), video: &mut Video) -> Result<(), VideoStoreError> {
    for commit in log.read_to_end(&video.stream(), video.version + 1).await? {
        video.apply_commit(&commit)?;
    }
    Ok(())
}

impl Video {
    /// The stable keys that hold nothing but what was deleted: nothing newer is published under them, nor about to be.
    pub fn deleted_stable_keys(&self) -> Vec<ProcessedKey> {
        let Some(s3_key) = self.s3_key.as_ref().filter(|_| self.deleted.is_some()) else { return Vec::new() };
        let stable = s3_key.processed();
        match (&self.phase, &self.outputs) {
            (Phase::Completed { .. }, _) => Vec::new(),
            // Of sound alone there is no poster.
            (_, Some(outputs)) if outputs.poster_key.is_none() => vec![stable.poster()],
            (_, Some(_)) => Vec::new(),
            (_, None) => vec![stable.hls_master(), stable.poster(), stable],
        }
    }

    /// The deletion that is to remove the object in RAW, unless that was put there since: nothing was uploaded anew, and no
    /// grant is open with which that could happen at any moment.
    pub fn deletion_of_source(&self) -> Option<&Deletion> {
        self.deleted.as_ref().filter(|_| self.upload.is_none() && self.open_grants.is_empty())
    }

    /// The worker that has the current attempt.
    pub fn worker(&self) -> Option<&str> {
        match &self.phase {
            Phase::Started { task, .. } => Some(task),
            _ => None,
        }
    }
}
