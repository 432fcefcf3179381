//! A home region without videos.

use async_trait::async_trait;
use streamio_events::api_key::KeyHash;
use streamio_events::cloud_event::CloudEvent;
use streamio_events::commit::NewCommit;
use streamio_events::day::Day;
use streamio_events::event::RecordedEvent;
use streamio_events::home::{
    AuditCall, AuditResult, Commanded, FeedPage, Home, HomeError, Page, Recorded, VideoFilter, WebhookCall,
    WebhookOutcome,
};
use streamio_events::id::{CommitId, ProjectId, VideoId};
use streamio_events::limits::ProjectLimits;
use streamio_events::metadata::MetadataPatch;
use streamio_events::stream::StreamId;
use streamio_events::tenant::Tenant;
use streamio_events::timestamp::Timestamp;
use streamio_events::usage::{Usage, UsageReport};
use streamio_events::video::VideoStatus;

/// The home region.
pub(super) struct Empty;

#[async_trait]
impl Home for Empty {
    async fn tenant(&self, _: &KeyHash) -> Result<Option<Tenant>, HomeError> {
        Ok(None)
    }

    async fn video(&self, _: &ProjectId, _: &VideoId) -> Result<Option<VideoStatus>, HomeError> {
        Ok(None)
    }

    async fn video_as_of(
        &self,
        _: &ProjectId,
        _: &VideoId,
        _: Timestamp,
    ) -> Result<Option<VideoStatus>, HomeError> {
        Ok(None)
    }

    async fn list_videos(
        &self,
        _: &ProjectId,
        _: &VideoFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<VideoStatus>, HomeError> {
        check_page(after, limit)?;
        Ok(Page { data: Vec::new(), next: None })
    }

    async fn video_events(
        &self,
        _: &ProjectId,
        _: &VideoId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Option<Page<CloudEvent>>, HomeError> {
        check_page(after, limit)?;
        Ok(None)
    }

    async fn feed(&self, _: &ProjectId, after: Option<&str>, limit: usize) -> Result<FeedPage, HomeError> {
        check_page(after, limit)?;
        Ok(FeedPage { data: Vec::new(), position: None, more: false })
    }

    async fn usage(&self, _: &ProjectId, first: Day, last: Day) -> Result<UsageReport, HomeError> {
        assert!(first <= last);
        Ok(UsageReport { usage: Usage::of(&[], first, last), limits: ProjectLimits::UNLIMITED })
    }

    async fn delete_video(&self, _: &ProjectId, _: &VideoId, _: &CommitId) -> Result<Commanded, HomeError> {
        Err(HomeError::NotFound)
    }

    async fn update_video(
        &self,
        _: &ProjectId,
        _: &VideoId,
        _: &CommitId,
        _: &MetadataPatch,
    ) -> Result<Commanded, HomeError> {
        Err(HomeError::NotFound)
    }

    async fn reprocess_video(
        &self,
        _: &ProjectId,
        _: &VideoId,
        _: &CommitId,
    ) -> Result<Commanded, HomeError> {
        Err(HomeError::NotFound)
    }

    async fn webhooks(&self, _: &ProjectId, _: &WebhookCall) -> Result<WebhookOutcome, HomeError> {
        Err(HomeError::NotFound)
    }

    async fn audit(&self, _: &ProjectId, call: &AuditCall) -> Result<AuditResult, HomeError> {
        match call {
            AuditCall::VideoProof { after, limit, .. } => {
                check_page(after.as_deref(), usize::from(*limit))?;
                Err(HomeError::NotFound)
            }
            AuditCall::Tile { path } => {
                assert!(path.starts_with("tile/"));
                Err(HomeError::NotFound)
            }
            AuditCall::Checkpoint | AuditCall::PublicKey => Err(HomeError::NotFound),
        }
    }

    async fn record(&self, _: &StreamId, _: NewCommit) -> Result<Recorded, HomeError> {
        Ok(Recorded::New)
    }

    async fn recall(&self, _: &StreamId, _: &CommitId) -> Result<Option<RecordedEvent>, HomeError> {
        Ok(None)
    }
}

/// The API asks for bounded pages only, and for cursors that this home region does not have.
fn check_page(after: Option<&str>, limit: usize) -> Result<(), HomeError> {
    assert!((1..=100).contains(&limit));
    match after {
        None => Ok(()),
        Some(cursor) => {
            assert!((1..=512).contains(&cursor.len()) && cursor.is_ascii());
            Err(HomeError::InvalidCursor)
        }
    }
}
