//! The home region: the service that the edge calls for statuses, histories, the feed, API keys and commands. Implements [`Home`] on the
//! log and the views.
//!
//! An edge in the same process calls [`HomeRegion`] directly; edges elsewhere send [`HomeCall`](streamio_events::home::HomeCall)s,
//! which [`handle_call`] serves for any [`Home`].

mod audit;
mod video_events;
mod webhooks;
mod wire;

use std::sync::Arc;

use async_trait::async_trait;
use streamio_events::api_key::KeyHash;
use streamio_events::clock::Clock;
use streamio_events::cloud_event::CloudEvent;
use streamio_events::commit::{Commit, NewCommit};
use streamio_events::day::Day;
use streamio_events::event::{EventBody, RecordedEvent, VideoUpdated};
use streamio_events::home::{
    AuditCall, AuditResult, Commanded, FeedPage, Home, HomeError, Page, Recorded, VideoFilter, WebhookCall,
    WebhookOutcome,
};
use streamio_events::id::{CommitId, ProjectId, VideoId};
use streamio_events::log::{EventLog, EventLogExt as _};
use streamio_events::metadata::MetadataPatch;
use streamio_events::stream::StreamId;
use streamio_events::tenant::Tenant;
use streamio_events::timestamp::Timestamp;
use streamio_events::usage::UsageReport;
use streamio_events::video::decide::{self, Decision, Refusal};
use streamio_events::video::{Policy, Video, VideoStatus, decide_and_append, fold_as_of};

pub use self::audit::AuditPorts;
pub use self::webhooks::{WebhookPorts, serve as serve_webhooks};
pub use self::wire::handle_call;
use crate::fold_cache::{ProjectCache, ReplayCache};
use crate::intake::{FactOutcome, Intake};
use crate::ports::project_feed::{ProjectFeed, ProjectFeedError};
use crate::ports::tenant_store::TenantStore;
use crate::ports::usage_store::UsageStore;
use crate::ports::view_store::{ViewStore, ViewStoreError};
use crate::views::status;

/// The ports of the home region.
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
    /// What projects used.
    pub usage: Arc<dyn UsageStore>,
    /// Webhooks.
    pub webhooks: WebhookPorts,
    /// The transparency logs; `None` where the platform has none.
    pub audit: Option<AuditPorts>,
    /// The deployment's retry and timeout policy.
    pub policy: Policy,
    /// Returns the time at which facts and decisions are recorded.
    pub clock: Arc<dyn Clock>,
}

/// The home region on a log and its views.
///
/// A video's status is brought up to date with its stream before it is returned, so it reflects every write that
/// completed before the call. Lists and the feed follow their stores.
pub struct HomeRegion {
    ports: HomePorts,
    intake: Intake,
    projects: ProjectCache,
    replays: ReplayCache,
}

impl HomeRegion {
    /// Returns the home region on these ports.
    pub fn new(ports: HomePorts) -> Self {
        let intake = Intake::new(Arc::clone(&ports.log));
        Self { ports, intake, projects: ProjectCache::default(), replays: ReplayCache::default() }
    }

    fn log(&self) -> &dyn EventLog {
        &*self.ports.log
    }

    async fn command(
        &self,
        project_id: &ProjectId,
        video_id: &VideoId,
        commit_id: &CommitId,
        is_same: impl Fn(&Commit) -> bool + Send + Sync,
        decide: impl Fn(&Video) -> Result<Option<Decision>, Refusal> + Send + Sync,
    ) -> Result<Commanded, HomeError> {
        let stream = StreamId::Video(project_id.clone(), video_id.clone());
        let commits = self.log().read_to_end(&stream, 1).await.map_err(HomeError::because_of)?;
        // A repeated command succeeds even if the video's present state would refuse it.
        let (video, repeated) = if let Some(recorded) = commits.iter().find(|commit| commit.id == *commit_id)
        {
            if !is_same(recorded) {
                return Err(HomeError::KeyReused);
            }
            (Video::fold(project_id.clone(), video_id.clone(), &commits).map_err(failed)?, true)
        } else {
            let decided =
                decide_and_append(self.log(), project_id, video_id, self.ports.clock.now(), |video| {
                    Ok(decide(video)?.map(|decision| Decision { commit_id: commit_id.clone(), ..decision }))
                })
                .await
                .map_err(HomeError::because_of)?
                .map_err(|refusal| match refusal {
                    Refusal::NotFound => HomeError::NotFound,
                    Refusal::Conflict(text) => HomeError::Conflict { text },
                })?;
            (decided.video, false)
        };
        let status = video.status().ok_or(HomeError::NotFound)?;
        Ok(Commanded { status, repeated })
    }
}

#[async_trait]
impl Home for HomeRegion {
    async fn tenant(&self, key: &KeyHash) -> Result<Option<Tenant>, HomeError> {
        self.ports.tenants.get(key).await.map_err(unavailable)
    }

    async fn video(
        &self,
        project_id: &ProjectId,
        video_id: &VideoId,
    ) -> Result<Option<VideoStatus>, HomeError> {
        let HomePorts { views, policy, .. } = &self.ports;
        let row = status::refresh(self.log(), &**views, policy, project_id, video_id).await;
        Ok(row.map_err(HomeError::because_of)?.status)
    }

    async fn video_as_of(
        &self,
        project_id: &ProjectId,
        video_id: &VideoId,
        at: Timestamp,
    ) -> Result<Option<VideoStatus>, HomeError> {
        let stream = StreamId::Video(project_id.clone(), video_id.clone());
        let commits = self.log().read_to_end(&stream, 1).await.map_err(HomeError::because_of)?;
        let video = fold_as_of(project_id.clone(), video_id.clone(), &commits, at).map_err(failed)?;
        Ok(video.and_then(|video| video.status()))
    }

    async fn list_videos(
        &self,
        project_id: &ProjectId,
        filter: &VideoFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<VideoStatus>, HomeError> {
        match self.ports.views.list(project_id, filter, after, limit).await {
            Ok(page) => Ok(Page { data: page.videos, next: page.next }),
            Err(ViewStoreError::InvalidCursor) => Err(HomeError::InvalidCursor),
            Err(error @ ViewStoreError::Unavailable(_)) => Err(unavailable(error)),
        }
    }

    async fn video_events(
        &self,
        project_id: &ProjectId,
        video_id: &VideoId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Option<Page<CloudEvent>>, HomeError> {
        let stream = StreamId::Video(project_id.clone(), video_id.clone());
        video_events::page(self.log(), &stream, after, limit).await
    }

    async fn feed(
        &self,
        project_id: &ProjectId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<FeedPage, HomeError> {
        match self.ports.feed.page(project_id, after, limit).await {
            Ok(page) => Ok(FeedPage { data: page.events, position: page.next, more: page.more }),
            Err(ProjectFeedError::InvalidCursor) => Err(HomeError::InvalidCursor),
            Err(error @ ProjectFeedError::Unavailable(_)) => Err(unavailable(error)),
        }
    }

    async fn usage(&self, project_id: &ProjectId, first: Day, last: Day) -> Result<UsageReport, HomeError> {
        let HomePorts { usage, policy, .. } = &self.ports;
        let project = self.projects.current(self.log(), project_id).await.map_err(HomeError::because_of)?;
        let usage = usage.usage(project_id, first, last).await.map_err(unavailable)?;
        Ok(UsageReport { usage, limits: policy.project_limits.with(&project.limits) })
    }

    async fn delete_video(
        &self,
        project_id: &ProjectId,
        video_id: &VideoId,
        commit_id: &CommitId,
    ) -> Result<Commanded, HomeError> {
        self.command(project_id, video_id, commit_id, |_| true, decide::delete).await
    }

    async fn update_video(
        &self,
        project_id: &ProjectId,
        video_id: &VideoId,
        commit_id: &CommitId,
        metadata: &MetadataPatch,
    ) -> Result<Commanded, HomeError> {
        let same = EventBody::from(VideoUpdated { metadata: metadata.clone() });
        let is_same = |commit: &Commit| {
            commit.events.first().is_some_and(|event| event.body().is_ok_and(|body| body == same))
        };
        self.command(project_id, video_id, commit_id, is_same, |video| decide::update(video, metadata)).await
    }

    async fn reprocess_video(
        &self,
        project_id: &ProjectId,
        video_id: &VideoId,
        commit_id: &CommitId,
    ) -> Result<Commanded, HomeError> {
        self.command(project_id, video_id, commit_id, |_| true, |video| decide::reprocess(video).map(Some))
            .await
    }

    async fn webhooks(
        &self,
        project_id: &ProjectId,
        call: &WebhookCall,
    ) -> Result<WebhookOutcome, HomeError> {
        let HomePorts { webhooks: ports, clock, .. } = &self.ports;
        let (log, replays) = (self.log(), &self.replays);
        webhooks::Webhooks { log, ports, replays, project_id, now: clock.now() }.serve(call).await
    }

    async fn audit(&self, project_id: &ProjectId, call: &AuditCall) -> Result<AuditResult, HomeError> {
        let Some(ports) = &self.ports.audit else {
            let text = "This deployment has no audit log yet.".to_owned();
            return Err(HomeError::Conflict { text });
        };
        audit::Audit { log: self.log(), ports, project_id }.serve(call).await
    }

    async fn record(&self, stream: &StreamId, commit: NewCommit) -> Result<Recorded, HomeError> {
        let recorded = self.intake.record_facts(stream, &[&commit], self.ports.clock.now()).await;
        if let Some(error) = recorded.failure {
            return Err(HomeError::because_of(error));
        }
        if recorded.outcomes == [FactOutcome::Appended] {
            return Ok(Recorded::New);
        }
        Ok(self.recall(stream, &commit.id).await?.into())
    }

    async fn recall(
        &self,
        stream: &StreamId,
        commit_id: &CommitId,
    ) -> Result<Option<RecordedEvent>, HomeError> {
        let commit = self.log().find(stream, commit_id).await.map_err(HomeError::because_of)?;
        let first = commit.as_ref().and_then(|commit| commit.events_of(commit_id).next());
        // Without the id of a merged fact: callers get the event as it was put.
        Ok(first.map(|(_, event)| RecordedEvent { fact: None, ..event.clone() }))
    }
}

/// Returns a retryable error. All errors of the stores are retryable.
fn unavailable(source: impl std::error::Error + Send + Sync + 'static) -> HomeError {
    HomeError::Unavailable { source: source.into() }
}

/// Returns an error that is not retryable: this build cannot read the event.
fn failed(source: streamio_events::event::UnreadableEvent) -> HomeError {
    HomeError::Failed { source: source.into() }
}
