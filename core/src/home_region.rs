//! The home region: what edges ask of the log and the views, and order of them.
//!
//! [`HomeRegion`] has a method for each [call](streamio_events::home), for an edge in the same process, and
//! [`answer`](HomeRegion::answer) for edges that are far: the JSON of a call in, a status and the JSON of a reply out.
//!
//! What was just recorded is seen: a video's status is brought up to date with its stream before it is answered. Lists and
//! the feed follow their stores.

mod answer;
mod events;

use std::sync::Arc;

use streamio_events::api_key::KeyHash;
use streamio_events::cloud_event::CloudEvent;
use streamio_events::commit::NewCommit;
use streamio_events::event::{RecordedEvent, UnreadableEvent};
use streamio_events::home::{HomeError, HomePage};
use streamio_events::id::{CommitId, ProjectId, VideoId};
use streamio_events::log::{EventLog, EventLogExt as _, ReadError};
use streamio_events::stream::StreamId;
use streamio_events::tenant::Tenant;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::decide::{self, Decision, Refusal};
use streamio_events::video::{
    Policy, Video, VideoState, VideoStatus, VideoStoreError, decide_and_append, fold_as_of,
};

use crate::intake::{Intake, TakeInError, Taken};
use crate::ports::project_feed::{ProjectFeed, ProjectFeedError};
use crate::ports::tenant_store::{TenantStore, TenantStoreError};
use crate::ports::view_store::{ViewStore, ViewStoreError};
use crate::views::status::{self, ViewError};

/// What calls are answered from.
#[derive(Clone)]
pub struct HomePorts {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// Status views.
    pub views: Arc<dyn ViewStore>,
    /// The projects' feeds.
    pub feed: Arc<dyn ProjectFeed>,
    /// The directory of API keys.
    pub tenants: Arc<dyn TenantStore>,
    /// The same for the whole deployment.
    pub policy: Policy,
}

/// Why a call was not done.
#[derive(Debug, thiserror::Error)]
pub enum HomeRegionError {
    /// `after` is no cursor that this list gave.
    #[error("not a cursor of this list")]
    InvalidCursor,
    /// The project has no such video.
    #[error("the project has no such video")]
    NotFound,
    /// The video's state does not allow it. The text is for the tenant: what is in the way and what to do.
    #[error("{0}")]
    Conflict(String),
    /// The log or a view did not answer, or holds what cannot be understood.
    #[error("the log or a view did not answer")]
    Unavailable(#[source] Cause),
}

/// What is behind it, for operators.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// A status view.
    #[error(transparent)]
    View(#[from] ViewError),
    /// A list.
    #[error(transparent)]
    Store(#[from] ViewStoreError),
    /// A feed.
    #[error(transparent)]
    Feed(#[from] ProjectFeedError),
    /// The directory.
    #[error(transparent)]
    Tenants(#[from] TenantStoreError),
    /// A video's stream.
    #[error(transparent)]
    Video(#[from] VideoStoreError),
    /// A stream.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What a stream holds.
    #[error(transparent)]
    Unreadable(#[from] UnreadableEvent),
    /// A fact.
    #[error(transparent)]
    Fact(#[from] TakeInError),
    /// An answer that cannot be made any smaller.
    #[error("an answer of {bytes} bytes, more than {most}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// What is allowed.
        most: usize,
    },
}

impl<E: Into<Cause>> From<E> for HomeRegionError {
    fn from(cause: E) -> Self {
        Self::Unavailable(cause.into())
    }
}

impl HomeRegionError {
    /// What the caller is told.
    pub fn to_wire(&self) -> HomeError {
        match self {
            Self::InvalidCursor => HomeError::InvalidCursor,
            Self::NotFound => HomeError::NotFound,
            Self::Conflict(text) => HomeError::Conflict { text: text.clone() },
            Self::Unavailable(_) => HomeError::Unavailable,
        }
    }
}

/// What became of a fact.
#[derive(Debug, Clone, PartialEq)]
pub enum Recorded {
    /// It was appended.
    New,
    /// It was in the log before. This is its first event as it stands there.
    Repeated(RecordedEvent),
}

/// Answers calls.
pub struct HomeRegion {
    ports: HomePorts,
    intake: Intake,
}

impl HomeRegion {
    /// The home region on these ports.
    pub fn new(ports: HomePorts) -> Self {
        let intake = Intake::new(Arc::clone(&ports.log));
        Self { ports, intake }
    }

    fn log(&self) -> &dyn EventLog {
        &*self.ports.log
    }

    /// Whose an API key is; `None` for one that was never made.
    pub async fn tenant(&self, key: &KeyHash) -> Result<Option<Tenant>, HomeRegionError> {
        Ok(self.ports.tenants.get(key).await?)
    }

    /// The status of a video; `None` when the project has no such video.
    pub async fn video(
        &self,
        project_id: &ProjectId,
        video_id: &VideoId,
    ) -> Result<Option<VideoStatus>, HomeRegionError> {
        let HomePorts { views, policy, .. } = &self.ports;
        Ok(status::refresh(self.log(), &**views, policy, project_id, video_id).await?.status)
    }

    /// The status as it followed from all that was recorded up to and including `at`.
    pub async fn video_as_of(
        &self,
        project_id: &ProjectId,
        video_id: &VideoId,
        at: Timestamp,
    ) -> Result<Option<VideoStatus>, HomeRegionError> {
        let stream = StreamId::Video(project_id.clone(), video_id.clone());
        let commits = self.log().read_to_end(&stream, 1).await?;
        let video = fold_as_of(project_id.clone(), video_id.clone(), &commits, at)?;
        Ok(video.and_then(|video| video.status()))
    }

    /// At most `limit` of a project's videos, those created last first; only those in `state` if one is given.
    pub async fn list_videos(
        &self,
        project_id: &ProjectId,
        state: Option<VideoState>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<HomePage<VideoStatus>, HomeRegionError> {
        match self.ports.views.list(project_id, state, after, limit).await {
            Ok(page) => Ok(HomePage { data: page.videos, next: page.next }),
            Err(ViewStoreError::InvalidCursor) => Err(HomeRegionError::InvalidCursor),
            Err(error) => Err(error.into()),
        }
    }

    /// At most `limit` of a video's events, the first one first; `None` when the project has no such video.
    pub async fn video_events(
        &self,
        project_id: &ProjectId,
        video_id: &VideoId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Option<HomePage<CloudEvent>>, HomeRegionError> {
        let stream = StreamId::Video(project_id.clone(), video_id.clone());
        events::page(self.log(), &stream, after, limit).await
    }

    /// At most `limit` of a project's events, as far as their places are settled at `now`.
    pub async fn feed(
        &self,
        project_id: &ProjectId,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> Result<HomePage<CloudEvent>, HomeRegionError> {
        match self.ports.feed.page(project_id, after, limit, now).await {
            Ok(page) => Ok(HomePage { data: page.events, next: page.next }),
            Err(ProjectFeedError::InvalidCursor) => Err(HomeRegionError::InvalidCursor),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes a video. The removal of its objects follows.
    pub async fn delete_video(
        &self,
        project_id: &ProjectId,
        video_id: &VideoId,
        commit_id: &CommitId,
        now: Timestamp,
    ) -> Result<VideoStatus, HomeRegionError> {
        self.command(project_id, video_id, commit_id, now, decide::delete).await
    }

    /// Processes a video's source once more.
    pub async fn reprocess_video(
        &self,
        project_id: &ProjectId,
        video_id: &VideoId,
        commit_id: &CommitId,
        now: Timestamp,
    ) -> Result<VideoStatus, HomeRegionError> {
        self.command(project_id, video_id, commit_id, now, |video| decide::reprocess(video).map(Some)).await
    }

    async fn command(
        &self,
        project_id: &ProjectId,
        video_id: &VideoId,
        commit_id: &CommitId,
        now: Timestamp,
        decide: impl Fn(&Video) -> Result<Option<Decision>, Refusal> + Send + Sync,
    ) -> Result<VideoStatus, HomeRegionError> {
        let stream = StreamId::Video(project_id.clone(), video_id.clone());
        let commits = self.log().read_to_end(&stream, 1).await?;
        // The same command once more: its commit is there, and what it would decide now is no longer the question.
        let video = if commits.iter().any(|commit| commit.id == *commit_id) {
            Video::fold(project_id.clone(), video_id.clone(), &commits)?
        } else {
            decide_and_append(self.log(), project_id, video_id, now, |video| {
                Ok(decide(video)?.map(|decision| Decision { commit_id: commit_id.clone(), ..decision }))
            })
            .await?
            .map_err(|refusal| match refusal {
                Refusal::NotFound => HomeRegionError::NotFound,
                Refusal::Conflict(reason) => HomeRegionError::Conflict(reason),
            })?
            .video
        };
        video.status().ok_or(HomeRegionError::NotFound)
    }

    /// Takes `fact` into the log at `now`, once.
    pub async fn record(
        &self,
        stream: &StreamId,
        fact: &NewCommit,
        now: Timestamp,
    ) -> Result<Recorded, HomeRegionError> {
        let taken = self.intake.take_in(stream, &[fact], now).await;
        if let Some(error) = taken.failure {
            return Err(error.into());
        }
        if taken.taken == [Taken::New] {
            return Ok(Recorded::New);
        }
        let first = self.recall(stream, &fact.id).await?;
        Ok(first.map_or(Recorded::New, Recorded::Repeated))
    }

    /// The first event that the commit, or the fact, with this id stated; `None` when the stream has none.
    pub async fn recall(
        &self,
        stream: &StreamId,
        id: &CommitId,
    ) -> Result<Option<RecordedEvent>, HomeRegionError> {
        let commit = self.log().find(stream, id).await?;
        let first = commit.as_ref().and_then(|commit| commit.stated_by(id).next());
        // As it was stated: whether it was merged with others is the log's business.
        Ok(first.map(|(_, event)| RecordedEvent { fact: None, ..event.clone() }))
    }
}
