//! The ports that the home region is behind.

use async_trait::async_trait;
use streamio_events::cloud_event::CloudEvent;
use streamio_events::commit::NewCommit;
use streamio_events::event::RecordedEvent;
use streamio_events::fact::Fact;
use streamio_events::home::{HomeAnswer, HomeCall, HomeError, HomePage, MAX_PAGE_ITEMS};
use streamio_events::id::{CommitId, ProjectId, VideoId};
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::VideoStatus;

use super::HomeClient;
use super::client::{Undone, failed, unexpected};
use super::error::HomeClientError;
use crate::commands::{CommandError, Commands};
use crate::journal::{Journal, JournalError, Recorded};
use crate::views::{Page, VideoFilter, ViewError, Views};

#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
impl Views for HomeClient {
    async fn video(&self, project: &ProjectId, id: &VideoId) -> Result<Option<VideoStatus>, ViewError> {
        let now = self.clock.now();
        if let Some(status) = self.statuses.fresh(project, id, now) {
            return Ok(Some(status));
        }
        let call = HomeCall::Video { project_id: project.clone(), video_id: id.clone() };
        let status = self.status(call, project, id).await?;
        Ok(status.map(|status| self.statuses.remember(status, now)))
    }

    async fn video_as_of(
        &self,
        project: &ProjectId,
        id: &VideoId,
        at: Timestamp,
    ) -> Result<Option<VideoStatus>, ViewError> {
        let call = HomeCall::VideoAsOf { project_id: project.clone(), video_id: id.clone(), at };
        self.status(call, project, id).await
    }

    async fn list(
        &self,
        project: &ProjectId,
        filter: &VideoFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<VideoStatus>, ViewError> {
        let call = HomeCall::ListVideos {
            project_id: project.clone(),
            state: filter.state,
            after: after.map(str::to_owned),
            limit: wire_limit(limit),
        };
        let answer = self.call(&call).await.map_err(not_viewed)?;
        let HomeAnswer::Videos(page) = answer else { return Err(malformed(unexpected(&answer))) };
        if page.data.iter().any(|video| video.project_id != *project) {
            return Err(malformed(foreign()));
        }
        Ok(paged(page))
    }

    async fn video_events(
        &self,
        project: &ProjectId,
        id: &VideoId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Option<Page<CloudEvent>>, ViewError> {
        let call = HomeCall::VideoEvents {
            project_id: project.clone(),
            video_id: id.clone(),
            after: after.map(str::to_owned),
            limit: wire_limit(limit),
        };
        let answer = self.call(&call).await.map_err(not_viewed)?;
        let HomeAnswer::VideoEvents(page) = answer else { return Err(malformed(unexpected(&answer))) };
        let Some(page) = page else { return Ok(None) };
        let stream = format!("{}/", StreamId::Video(project.clone(), id.clone()));
        if page.data.iter().any(|event| !event.id.starts_with(&stream)) {
            return Err(malformed(foreign()));
        }
        events_of(project, page).map(Some)
    }

    async fn feed(
        &self,
        project: &ProjectId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<CloudEvent>, ViewError> {
        let call = HomeCall::Feed {
            project_id: project.clone(),
            after: after.map(str::to_owned),
            limit: wire_limit(limit),
        };
        let answer = self.call(&call).await.map_err(not_viewed)?;
        let HomeAnswer::Feed(page) = answer else { return Err(malformed(unexpected(&answer))) };
        events_of(project, page)
    }
}

#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
impl Commands for HomeClient {
    async fn delete(
        &self,
        project: &ProjectId,
        video: &VideoId,
        commit: &CommitId,
    ) -> Result<VideoStatus, CommandError> {
        let (project_id, video_id, commit_id) = (project.clone(), video.clone(), commit.clone());
        self.command(HomeCall::DeleteVideo { project_id, video_id, commit_id }, project, video).await
    }

    async fn reprocess(
        &self,
        project: &ProjectId,
        video: &VideoId,
        commit: &CommitId,
    ) -> Result<VideoStatus, CommandError> {
        let (project_id, video_id, commit_id) = (project.clone(), video.clone(), commit.clone());
        self.command(HomeCall::ReprocessVideo { project_id, video_id, commit_id }, project, video).await
    }
}

#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
impl Journal for HomeClient {
    async fn record(&self, stream: &StreamId, commit: NewCommit) -> Result<Recorded, JournalError> {
        let fact = Fact::new(stream.clone(), commit)
            .map_err(|error| JournalError(HomeClientError::Fact(error).into()))?;
        match self.call(&HomeCall::Record { fact }).await.map_err(not_journalled)? {
            HomeAnswer::Recorded(None) => Ok(Recorded::New),
            HomeAnswer::Recorded(Some(event)) => Ok(Recorded::Repeated(event)),
            other => Err(JournalError(unexpected(&other).into())),
        }
    }

    async fn recall(&self, stream: &StreamId, id: &CommitId) -> Result<Option<RecordedEvent>, JournalError> {
        let call = HomeCall::Recall { stream: stream.clone(), commit_id: id.clone() };
        match self.call(&call).await.map_err(not_journalled)? {
            HomeAnswer::Recalled(event) => Ok(event),
            other => Err(JournalError(unexpected(&other).into())),
        }
    }
}

impl HomeClient {
    async fn status(
        &self,
        call: HomeCall,
        project: &ProjectId,
        video: &VideoId,
    ) -> Result<Option<VideoStatus>, ViewError> {
        let answer = self.call(&call).await.map_err(not_viewed)?;
        let HomeAnswer::Video(status) = answer else { return Err(malformed(unexpected(&answer))) };
        if status.as_ref().is_some_and(|status| !is_of(status, project, video)) {
            return Err(malformed(foreign()));
        }
        Ok(status)
    }

    async fn command(
        &self,
        call: HomeCall,
        project: &ProjectId,
        video: &VideoId,
    ) -> Result<VideoStatus, CommandError> {
        let now = self.clock.now();
        // Before the call, because nobody may be left to do it after: a request can be dropped at any time.
        self.statuses.doubt(project, video);
        let unavailable = |error: HomeClientError| CommandError::Unavailable(error.into());
        match self.call(&call).await {
            Ok(HomeAnswer::Command(status)) if is_of(&status, project, video) => {
                Ok(self.statuses.remember(status, now))
            }
            Ok(HomeAnswer::Command(_)) => Err(unavailable(foreign())),
            Ok(other) => Err(unavailable(unexpected(&other))),
            Err(Undone::Said(HomeError::NotFound)) => Err(CommandError::NotFound),
            Err(Undone::Said(HomeError::Conflict { text })) => Err(CommandError::Conflict(text)),
            Err(undone) => Err(unavailable(failed(undone))),
        }
    }
}

fn wire_limit(limit: usize) -> u16 {
    u16::try_from(limit).unwrap_or(u16::MAX).clamp(1, MAX_PAGE_ITEMS)
}

fn is_of(status: &VideoStatus, project: &ProjectId, video: &VideoId) -> bool {
    status.project_id == *project && status.video_id == *video
}

fn foreign() -> HomeClientError {
    HomeClientError::Malformed {
        reason: "it is about another project or video than was asked for".to_owned(),
    }
}

fn paged<T>(HomePage { data, next }: HomePage<T>) -> Page<T> {
    Page { data, next }
}

fn events_of(project: &ProjectId, page: HomePage<CloudEvent>) -> Result<Page<CloudEvent>, ViewError> {
    let source = format!("/projects/{project}");
    if page.data.iter().any(|event| event.source != source) {
        return Err(malformed(foreign()));
    }
    Ok(paged(page))
}

fn not_viewed(undone: Undone) -> ViewError {
    match undone {
        Undone::Said(HomeError::InvalidCursor) => ViewError::InvalidCursor,
        undone => malformed(failed(undone)),
    }
}

fn malformed(error: HomeClientError) -> ViewError {
    ViewError::Unavailable(error.into())
}

fn not_journalled(undone: Undone) -> JournalError {
    JournalError(failed(undone).into())
}
