use async_trait::async_trait;
use streamio_edge::commands::{CommandError, Commands};
use streamio_edge::port::Cause;
use streamio_events::id::{CommitId, ProjectId, VideoId};
use streamio_events::log::EventLog as _;
use streamio_events::sqlite::SqliteLog;
use streamio_events::video::decide::{self, Decision, Refusal};
use streamio_events::video::{Video, VideoStatus, decide_and_append, load};

use crate::clock;

/// Decides on the log itself.
pub(crate) struct LogCommands(pub(crate) SqliteLog);

impl LogCommands {
    async fn command(
        &self,
        project: &ProjectId,
        video: &VideoId,
        commit: &CommitId,
        decide: impl Fn(&Video) -> Result<Option<Decision>, Refusal> + Send + Sync,
    ) -> Result<VideoStatus, CommandError> {
        let unavailable = |error: Cause| CommandError::Unavailable(error);
        let current = load(&self.0, project, video).await.map_err(|error| unavailable(error.into()))?;
        // The same command once more: its commit is there, and what it would decide now is no longer the question.
        let known =
            self.0.find(&current.stream(), commit).await.map_err(|error| unavailable(error.into()))?;
        let video = if known.is_some() {
            current
        } else {
            decide_and_append(&self.0, project, video, clock::now(), |video| {
                Ok(decide(video)?.map(|decision| Decision { commit_id: commit.clone(), ..decision }))
            })
            .await
            .map_err(|error| unavailable(error.into()))?
            .map_err(|refusal| match refusal {
                Refusal::NotFound => CommandError::NotFound,
                Refusal::Conflict(reason) => CommandError::Conflict(reason),
            })?
            .video
        };
        video.status().ok_or(CommandError::NotFound)
    }
}

#[async_trait]
impl Commands for LogCommands {
    async fn delete(
        &self,
        project: &ProjectId,
        video: &VideoId,
        commit: &CommitId,
    ) -> Result<VideoStatus, CommandError> {
        self.command(project, video, commit, decide::delete).await
    }

    async fn reprocess(
        &self,
        project: &ProjectId,
        video: &VideoId,
        commit: &CommitId,
    ) -> Result<VideoStatus, CommandError> {
        self.command(project, video, commit, |video| decide::reprocess(video).map(Some)).await
    }
}
