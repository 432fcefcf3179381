use std::sync::Arc;

use async_trait::async_trait;
use streamio_core::home_region::{self, HomeRegion, HomeRegionError};
use streamio_edge::commands::{CommandError, Commands};
use streamio_edge::directory::{Directory, DirectoryError, Known, Tolerance};
use streamio_edge::journal::{Journal, JournalError, Recorded};
use streamio_edge::views::{Page, VideoFilter, ViewError, Views};
use streamio_events::api_key::KeyHash;
use streamio_events::cloud_event::CloudEvent;
use streamio_events::commit::NewCommit;
use streamio_events::event::RecordedEvent;
use streamio_events::home::HomePage;
use streamio_events::id::{CommitId, ProjectId, VideoId};
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::VideoStatus;

use crate::clock;

/// An edge in the same process as its home region: every port is a call without a wire.
#[derive(Clone)]
pub(crate) struct AtHome(pub(crate) Arc<HomeRegion>);

fn not_viewed(error: HomeRegionError) -> ViewError {
    match error {
        HomeRegionError::InvalidCursor => ViewError::InvalidCursor,
        other => ViewError::Unavailable(other.into()),
    }
}

fn not_commanded(error: HomeRegionError) -> CommandError {
    match error {
        HomeRegionError::NotFound => CommandError::NotFound,
        HomeRegionError::Conflict(text) => CommandError::Conflict(text),
        other => CommandError::Unavailable(other.into()),
    }
}

fn paged<T>(HomePage { data, next }: HomePage<T>) -> Page<T> {
    Page { data, next }
}

#[async_trait]
impl Directory for AtHome {
    async fn lookup(
        &self,
        key: &KeyHash,
        _: Timestamp,
        _: Tolerance,
    ) -> Result<Option<Known>, DirectoryError> {
        let tenant = self.0.tenant(key).await.map_err(|error| DirectoryError(error.into()))?;
        Ok(tenant.map(Known::from))
    }
}

#[async_trait]
impl Journal for AtHome {
    async fn record(&self, stream: &StreamId, commit: NewCommit) -> Result<Recorded, JournalError> {
        // On one machine what is stated is recorded at once.
        let now = commit.recorded_at;
        match self.0.record(stream, &commit, now).await.map_err(|error| JournalError(error.into()))? {
            home_region::Recorded::New => Ok(Recorded::New),
            home_region::Recorded::Repeated(event) => Ok(Recorded::Repeated(event)),
        }
    }

    async fn recall(&self, stream: &StreamId, id: &CommitId) -> Result<Option<RecordedEvent>, JournalError> {
        self.0.recall(stream, id).await.map_err(|error| JournalError(error.into()))
    }
}

#[async_trait]
impl Views for AtHome {
    async fn video(&self, project: &ProjectId, id: &VideoId) -> Result<Option<VideoStatus>, ViewError> {
        self.0.video(project, id).await.map_err(not_viewed)
    }

    async fn video_as_of(
        &self,
        project: &ProjectId,
        id: &VideoId,
        at: Timestamp,
    ) -> Result<Option<VideoStatus>, ViewError> {
        self.0.video_as_of(project, id, at).await.map_err(not_viewed)
    }

    async fn list(
        &self,
        project: &ProjectId,
        filter: &VideoFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<VideoStatus>, ViewError> {
        self.0.list_videos(project, filter.state, after, limit).await.map(paged).map_err(not_viewed)
    }

    async fn video_events(
        &self,
        project: &ProjectId,
        id: &VideoId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Option<Page<CloudEvent>>, ViewError> {
        let page = self.0.video_events(project, id, after, limit).await;
        page.map(|page| page.map(paged)).map_err(not_viewed)
    }

    async fn feed(
        &self,
        project: &ProjectId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<CloudEvent>, ViewError> {
        self.0.feed(project, after, limit, clock::now()).await.map(paged).map_err(not_viewed)
    }
}

#[async_trait]
impl Commands for AtHome {
    async fn delete(
        &self,
        project: &ProjectId,
        video: &VideoId,
        commit: &CommitId,
    ) -> Result<VideoStatus, CommandError> {
        self.0.delete_video(project, video, commit, clock::now()).await.map_err(not_commanded)
    }

    async fn reprocess(
        &self,
        project: &ProjectId,
        video: &VideoId,
        commit: &CommitId,
    ) -> Result<VideoStatus, CommandError> {
        self.0.reprocess_video(project, video, commit, clock::now()).await.map_err(not_commanded)
    }
}
