use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use async_trait::async_trait;
use streamio_events::api_key::KeyHash;
use streamio_events::clock::Clock;
use streamio_events::cloud_event::CloudEvent;
use streamio_events::commit::NewCommit;
use streamio_events::day::Day;
use streamio_events::event::RecordedEvent;
use streamio_events::fact::Fact;
use streamio_events::home::{
    AuditCall, AuditResult, Commanded, FeedPage, Home, HomeCall, HomeError, HomeResult, MAX_PAGE_ITEMS, Page,
    Recorded, ReplyError, VideoFilter, WebhookCall, WebhookOutcome,
};
use streamio_events::id::{CommitId, ProjectId, VideoId};
use streamio_events::metadata::MetadataPatch;
use streamio_events::stream::StreamId;
use streamio_events::tenant::Tenant;
use streamio_events::timestamp::Timestamp;
use streamio_events::usage::UsageReport;
use streamio_events::video::VideoStatus;

use super::calls::{CallError, Calls};
use super::config::{HomeConfig, InvalidHomeConfig};
use super::error::HomeClientError;
use super::statuses::Statuses;
use crate::ports::outbound::Outbound;

/// The home region by signed calls over HTTP. Retries, caching and isolation are described in the [module](super).
pub struct HomeClient {
    calls: Calls,
    clock: Arc<dyn Clock>,
    statuses: Statuses,
}

impl HomeClient {
    /// A client of the home region that `config` describes.
    pub fn new(
        config: HomeConfig,
        outbound: Arc<dyn Outbound>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, InvalidHomeConfig> {
        let capacity = NonZeroUsize::new(config.most_statuses).ok_or(InvalidHomeConfig::MostStatuses);
        let statuses_for = config.statuses_for;
        let calls = Calls::new(config, outbound, Arc::clone(&clock))?;
        Ok(Self { calls, clock, statuses: Statuses::new(capacity?, statuses_for) })
    }

    async fn status(
        &self,
        call: HomeCall,
        project_id: &ProjectId,
        video_id: &VideoId,
    ) -> Result<Option<VideoStatus>, HomeError> {
        let result = self.calls.call(&call).await?;
        let HomeResult::Video(status) = result else { return Err(unexpected(&result)) };
        if status.as_ref().is_some_and(|status| !is_of(status, project_id, video_id)) {
            return Err(foreign());
        }
        Ok(status)
    }

    async fn command(
        &self,
        call: HomeCall,
        project_id: &ProjectId,
        video_id: &VideoId,
    ) -> Result<Commanded, HomeError> {
        let now = self.clock.now();
        // Before the call, because a request can be dropped at any time and its code after the call then never runs.
        self.statuses.invalidate(project_id, video_id);
        match self.calls.call(&call).await {
            Ok(HomeResult::Command(Commanded { status, repeated }))
                if is_of(&status, project_id, video_id) =>
            {
                Ok(Commanded { status: self.statuses.insert(status, now), repeated })
            }
            Ok(HomeResult::Command(_)) => Err(foreign()),
            Ok(other) => Err(unexpected(&other)),
            Err(CallError::Replied(ReplyError::NotFound)) => Err(HomeError::NotFound),
            Err(CallError::Replied(ReplyError::Conflict { text })) => Err(HomeError::Conflict { text }),
            Err(CallError::Replied(ReplyError::KeyReused)) => Err(HomeError::KeyReused),
            Err(other) => Err(other.into()),
        }
    }

    /// Makes a call that returns a page.
    async fn page(&self, call: HomeCall) -> Result<HomeResult, HomeError> {
        self.calls.call(&call).await.map_err(|error| match error {
            CallError::Replied(ReplyError::InvalidCursor) => HomeError::InvalidCursor,
            other => other.into(),
        })
    }
}

#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
impl Home for HomeClient {
    async fn tenant(&self, key: &KeyHash) -> Result<Option<Tenant>, HomeError> {
        match self.calls.call_once(&HomeCall::Tenant { key: *key }).await? {
            HomeResult::Tenant(tenant) => Ok(tenant),
            other => Err(unexpected(&other)),
        }
    }

    async fn video(
        &self,
        project_id: &ProjectId,
        video_id: &VideoId,
    ) -> Result<Option<VideoStatus>, HomeError> {
        let now = self.clock.now();
        if let Some(status) = self.statuses.fresh(project_id, video_id, now) {
            return Ok(Some(status));
        }
        let call = HomeCall::Video { project_id: project_id.clone(), video_id: video_id.clone() };
        let status = self.status(call, project_id, video_id).await?;
        Ok(status.map(|status| self.statuses.insert(status, now)))
    }

    async fn video_as_of(
        &self,
        project_id: &ProjectId,
        video_id: &VideoId,
        at: Timestamp,
    ) -> Result<Option<VideoStatus>, HomeError> {
        let call = HomeCall::VideoAsOf { project_id: project_id.clone(), video_id: video_id.clone(), at };
        self.status(call, project_id, video_id).await
    }

    async fn list_videos(
        &self,
        project_id: &ProjectId,
        filter: &VideoFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<VideoStatus>, HomeError> {
        let call = HomeCall::ListVideos {
            project_id: project_id.clone(),
            state: filter.state,
            prefix: filter.prefix.clone(),
            metadata: filter.metadata.clone(),
            after: after.map(str::to_owned),
            limit: wire_limit(limit),
        };
        let result = self.page(call).await?;
        let HomeResult::Videos(page) = result else { return Err(unexpected(&result)) };
        if page.data.iter().any(|video| video.project_id != *project_id) {
            return Err(foreign());
        }
        Ok(page)
    }

    async fn video_events(
        &self,
        project_id: &ProjectId,
        video_id: &VideoId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Option<Page<CloudEvent>>, HomeError> {
        let call = HomeCall::VideoEvents {
            project_id: project_id.clone(),
            video_id: video_id.clone(),
            after: after.map(str::to_owned),
            limit: wire_limit(limit),
        };
        let result = self.page(call).await?;
        let HomeResult::VideoEvents(page) = result else { return Err(unexpected(&result)) };
        let Some(page) = page else { return Ok(None) };
        let stream = format!("{}/", StreamId::Video(project_id.clone(), video_id.clone()));
        if page.data.iter().any(|event| !event.id.starts_with(&stream)) {
            return Err(foreign());
        }
        only_of(project_id, &page.data)?;
        Ok(Some(page))
    }

    async fn feed(
        &self,
        project_id: &ProjectId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<FeedPage, HomeError> {
        let call = HomeCall::Feed {
            project_id: project_id.clone(),
            after: after.map(str::to_owned),
            limit: wire_limit(limit),
        };
        let result = self.page(call).await?;
        let HomeResult::Feed(page) = result else { return Err(unexpected(&result)) };
        only_of(project_id, &page.data)?;
        Ok(page)
    }

    async fn usage(&self, project_id: &ProjectId, first: Day, last: Day) -> Result<UsageReport, HomeError> {
        match self.calls.call(&HomeCall::Usage { project_id: project_id.clone(), first, last }).await? {
            HomeResult::Usage(report) => Ok(report),
            other => Err(unexpected(&other)),
        }
    }

    async fn delete_video(
        &self,
        project_id: &ProjectId,
        video_id: &VideoId,
        commit_id: &CommitId,
    ) -> Result<Commanded, HomeError> {
        let call = HomeCall::DeleteVideo {
            project_id: project_id.clone(),
            video_id: video_id.clone(),
            commit_id: commit_id.clone(),
        };
        self.command(call, project_id, video_id).await
    }

    async fn update_video(
        &self,
        project_id: &ProjectId,
        video_id: &VideoId,
        commit_id: &CommitId,
        metadata: &MetadataPatch,
    ) -> Result<Commanded, HomeError> {
        let call = HomeCall::UpdateVideo {
            project_id: project_id.clone(),
            video_id: video_id.clone(),
            commit_id: commit_id.clone(),
            metadata: metadata.clone(),
        };
        self.command(call, project_id, video_id).await
    }

    async fn reprocess_video(
        &self,
        project_id: &ProjectId,
        video_id: &VideoId,
        commit_id: &CommitId,
    ) -> Result<Commanded, HomeError> {
        let call = HomeCall::ReprocessVideo {
            project_id: project_id.clone(),
            video_id: video_id.clone(),
            commit_id: commit_id.clone(),
        };
        self.command(call, project_id, video_id).await
    }

    async fn webhooks(
        &self,
        project_id: &ProjectId,
        call: &WebhookCall,
    ) -> Result<WebhookOutcome, HomeError> {
        let call = HomeCall::Webhooks { project_id: project_id.clone(), request: call.clone() };
        let result = self.calls.call(&call).await.map_err(|error| match error {
            CallError::Replied(ReplyError::InvalidCursor) => HomeError::InvalidCursor,
            CallError::Replied(ReplyError::NotFound) => HomeError::NotFound,
            CallError::Replied(ReplyError::Conflict { text }) => HomeError::Conflict { text },
            CallError::Replied(ReplyError::KeyReused) => HomeError::KeyReused,
            CallError::Replied(ReplyError::Invalid { field, text }) => HomeError::Invalid { field, text },
            other => other.into(),
        })?;
        match result {
            HomeResult::Webhooks(outcome) if outcome.result.is_of(project_id) => Ok(outcome),
            HomeResult::Webhooks(_) => Err(foreign()),
            other => Err(unexpected(&other)),
        }
    }

    async fn audit(&self, project_id: &ProjectId, call: &AuditCall) -> Result<AuditResult, HomeError> {
        let call = HomeCall::Audit { project_id: project_id.clone(), request: call.clone() };
        let result = self.calls.call(&call).await.map_err(|error| match error {
            CallError::Replied(ReplyError::InvalidCursor) => HomeError::InvalidCursor,
            CallError::Replied(ReplyError::NotFound) => HomeError::NotFound,
            CallError::Replied(ReplyError::Conflict { text }) => HomeError::Conflict { text },
            other => other.into(),
        })?;
        match result {
            HomeResult::Audit(result) if result.is_of(project_id) => Ok(result),
            HomeResult::Audit(_) => Err(foreign()),
            other => Err(unexpected(&other)),
        }
    }

    async fn record(&self, stream: &StreamId, commit: NewCommit) -> Result<Recorded, HomeError> {
        let fact = Fact::new(stream.clone(), commit)
            .map_err(|error| HomeError::because_of(HomeClientError::Fact(error)))?;
        match self.calls.call(&HomeCall::Record { fact }).await? {
            HomeResult::Recorded(earlier) => Ok(earlier.into()),
            other => Err(unexpected(&other)),
        }
    }

    async fn recall(
        &self,
        stream: &StreamId,
        commit_id: &CommitId,
    ) -> Result<Option<RecordedEvent>, HomeError> {
        let call = HomeCall::Recall { stream: stream.clone(), commit_id: commit_id.clone() };
        match self.calls.call(&call).await? {
            HomeResult::Recalled(event) => Ok(event),
            other => Err(unexpected(&other)),
        }
    }
}

impl fmt::Debug for HomeClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("HomeClient").field("origin", &self.calls.origin()).finish_non_exhaustive()
    }
}

fn wire_limit(limit: usize) -> u16 {
    u16::try_from(limit).unwrap_or(u16::MAX).clamp(1, MAX_PAGE_ITEMS)
}

fn is_of(status: &VideoStatus, project_id: &ProjectId, video_id: &VideoId) -> bool {
    status.project_id == *project_id && status.video_id == *video_id
}

/// Fails unless all `events` are the project's.
fn only_of(project_id: &ProjectId, events: &[CloudEvent]) -> Result<(), HomeError> {
    let source = format!("/projects/{project_id}");
    if events.iter().any(|event| event.source != source) {
        return Err(foreign());
    }
    Ok(())
}

/// The result of another kind of call.
fn unexpected(result: &HomeResult) -> HomeError {
    malformed(format!("`{}` is the result of another call", result.name()))
}

fn foreign() -> HomeError {
    malformed("it is about another project or video than requested".to_owned())
}

fn malformed(reason: String) -> HomeError {
    HomeError::because_of(HomeClientError::Malformed { reason })
}
