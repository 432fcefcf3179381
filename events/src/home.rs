//! The home region, which has the log and the views: the port [`Home`] of the edge, and the form of its calls on the wire.
//!
//! Two implementations: the home region itself (`streamio-core`), for an edge in the same process, and the client that
//! calls it over HTTP (`streamio-edge`).
//!
//! # On the wire
//!
//! Each call is a `POST` to [`PATH`] with a [`HomeCall`] as JSON, signed with AWS Signature Version 4 in its headers
//! (service `lambda` for a function URL with `AWS_IAM`, `execute-api` behind an API Gateway). The response body is a
//! [`HomeReply`]:
//!
//! | status | body | means |
//! |---|---|---|
//! | 200 | `{"ok": {"tenant": …}}`, the field named after the kind of result | done |
//! | 200 | `{"error": {"kind": "invalidCursor" \| "notFound" \| "conflict" \| "keyReused" \| "invalid"}}` | understood and refused |
//! | 400, 403, 404, 405, 413 | `{"error": {"kind": "refused", "text": …}}` | not a call, or not signed correctly: the same call will be refused again |
//! | 503 | `{"error": {"kind": "unavailable"}}` | the log or a view is unavailable; the same call may be made again |
//!
//! A call with an unknown name or field is refused, because ignoring a field could change the call's meaning. Unknown fields in
//! responses are ignored, so the home region is deployed before the edge.

mod audit;
mod call;
mod error;
mod reply;
mod webhooks;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub use audit::{AuditCall, AuditResult, CommitProof};
pub use call::HomeCall;
pub use error::HomeError;
pub use reply::{HomeReply, HomeResult, ReplyError};
pub use webhooks::{DeliveryFilter, EndpointWithSecret, WebhookCall, WebhookOutcome, WebhookResult};

use crate::api_key::KeyHash;
use crate::cloud_event::CloudEvent;
use crate::commit::NewCommit;
use crate::day::Day;
use crate::event::RecordedEvent;
use crate::id::{CommitId, ProjectId, VideoId};
use crate::metadata::{Metadata, MetadataPatch};
use crate::stream::StreamId;
use crate::tenant::Tenant;
use crate::thread_safe::ThreadSafe;
use crate::timestamp::Timestamp;
use crate::usage::UsageReport;
use crate::video::{VideoState, VideoStatus};

/// The path of every call, appended to the path of the home region's base URL.
pub const PATH: &str = "/home";

/// The maximum size of a call in bytes. The largest holds a [`Fact`](crate::fact::Fact).
pub const MAX_CALL_BYTES: usize = 160 * 1024;

/// The maximum size of a response body in bytes. A page that would be larger is shortened and gets a cursor to the rest.
pub const MAX_REPLY_BYTES: usize = 512 * 1024;

/// The maximum number of items of a page that a call may request.
pub const MAX_PAGE_ITEMS: u16 = 100;

/// The longest cursor, in bytes.
pub const MAX_CURSOR_BYTES: usize = 512;

/// The operations of the home region that the edge uses: tenants, statuses, events, commands and the record of grants.
///
/// # Contract
///
/// **Isolation.** Every method that takes a project reads and changes only what belongs to that project. Another
/// project's video is [`None`] or [`HomeError::NotFound`].
///
/// **Repetition.** Every call may be repeated. The methods that write take a commit id, which the log accepts once per
/// stream: a repeated call changes nothing and succeeds.
///
/// **Failure.** After [`HomeError::Unavailable`] a write may or may not have happened; repeat it with the same commit id.
/// The same holds for a call whose future was dropped.
///
/// **Freshness.** Within one implementation a status reflects what that implementation recorded or decided before. For
/// writes from elsewhere an implementation may cache statuses for a stated time; it never returns an earlier version
/// than one it returned before and still holds. Lists and the feed follow their stores.
///
/// **Pages.** `limit` is at least 1; more than [`MAX_PAGE_ITEMS`] may count as that. A page may be shorter than its limit
/// although more follows; only [`Page::next`] states that. Cursors are opaque: up to [`MAX_CURSOR_BYTES`] letters, digits and
/// `-._~`. One that the list did not return is [`HomeError::InvalidCursor`].
///
/// **Time.** What is recorded is recorded at the home region's clock. Events carry the time at which they happened.
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
pub trait Home: ThreadSafe {
    /// The tenant whose API key has the SHA-256 `key`; `None` for a key that was never created. A revoked key is returned
    /// with [`Tenant::revoked`].
    async fn tenant(&self, key: &KeyHash) -> Result<Option<Tenant>, HomeError>;

    /// The status of a video; `None` when the project has no such video. Waiting videos (URL granted, nothing uploaded)
    /// and deleted ones have a status too.
    async fn video(
        &self,
        project_id: &ProjectId,
        video_id: &VideoId,
    ) -> Result<Option<VideoStatus>, HomeError>;

    /// The status after all events that were recorded up to and including `at`; `None` when there were none.
    async fn video_as_of(
        &self,
        project_id: &ProjectId,
        video_id: &VideoId,
        at: Timestamp,
    ) -> Result<Option<VideoStatus>, HomeError>;

    /// At most `limit` of a project's videos that pass `filter`, newest first, after the cursor `after`. A page may have fewer
    /// videos than `limit`, even none, before the end of the list.
    async fn list_videos(
        &self,
        project_id: &ProjectId,
        filter: &VideoFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<VideoStatus>, HomeError>;

    /// At most `limit` events of a video, the first event first, after the cursor `after`; `None` when the project has no
    /// such video.
    async fn video_events(
        &self,
        project_id: &ProjectId,
        video_id: &VideoId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Option<Page<CloudEvent>>, HomeError>;

    /// At most `limit` events of a project, in an order that does not change, after the cursor `after`.
    async fn feed(
        &self,
        project_id: &ProjectId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<FeedPage, HomeError>;

    /// What a project used from the day `first` to the day `last`, and what it may use.
    async fn usage(&self, project_id: &ProjectId, first: Day, last: Day) -> Result<UsageReport, HomeError>;

    /// Deletes a video: `video.deleted`, recorded as `commit_id`. The removal of its objects follows. Returns the status
    /// afterwards. Deleting a deleted video succeeds and changes nothing.
    async fn delete_video(
        &self,
        project_id: &ProjectId,
        video_id: &VideoId,
        commit_id: &CommitId,
    ) -> Result<Commanded, HomeError>;

    /// Changes the metadata of a video: `video.updated`, recorded as `commit_id`. Returns the status afterwards. A change to
    /// what is there succeeds and records nothing.
    async fn update_video(
        &self,
        project_id: &ProjectId,
        video_id: &VideoId,
        commit_id: &CommitId,
        metadata: &MetadataPatch,
    ) -> Result<Commanded, HomeError>;

    /// Processes a video's stored source again, as a new generation: `processing.requested`, recorded as `commit_id`.
    /// Returns the status afterwards.
    async fn reprocess_video(
        &self,
        project_id: &ProjectId,
        video_id: &VideoId,
        commit_id: &CommitId,
    ) -> Result<Commanded, HomeError>;

    /// Does what `call` states about the webhooks of a project. What does not exist is [`HomeError::NotFound`], and what is not valid is
    /// [`HomeError::Invalid`].
    async fn webhooks(&self, project_id: &ProjectId, call: &WebhookCall)
    -> Result<WebhookOutcome, HomeError>;

    /// Does what `call` states about the transparency log of a project. What does not exist is [`HomeError::NotFound`]; where there is no
    /// log or no checkpoint yet, [`HomeError::Conflict`].
    async fn audit(&self, project_id: &ProjectId, call: &AuditCall) -> Result<AuditResult, HomeError>;

    /// Appends a fact to `stream` at any version. After `Ok` it is in the log.
    async fn record(&self, stream: &StreamId, commit: NewCommit) -> Result<Recorded, HomeError>;

    /// The first event that the commit or fact `commit_id` stated, as it was put; `None` when `stream` has no such
    /// commit.
    async fn recall(
        &self,
        stream: &StreamId,
        commit_id: &CommitId,
    ) -> Result<Option<RecordedEvent>, HomeError>;
}

/// Which videos of a project to list: those that pass all of these conditions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VideoFilter {
    /// Only videos in this state; `None`: all but expired and deleted ones.
    pub state: Option<VideoState>,
    /// Only videos whose source key continues with this text after `projects/{project_id}/`.
    pub prefix: Option<String>,
    /// Only videos whose metadata has all of these entries.
    pub metadata: Metadata,
}

impl VideoFilter {
    /// Only videos in this state; `None`: all but expired and deleted ones.
    pub fn by_state(state: Option<VideoState>) -> Self {
        Self { state, ..Self::default() }
    }

    /// Whether a store cannot find the videos by their state alone.
    pub fn is_selective(&self) -> bool {
        self.prefix.is_some() || !self.metadata.is_empty()
    }

    /// Whether the video passes.
    pub fn passes(&self, status: &VideoStatus) -> bool {
        let has_state = match self.state {
            Some(state) => status.state == state,
            None => status.state.is_listed(),
        };
        let has_prefix =
            self.prefix.as_ref().is_none_or(|prefix| status.s3_key.rest().starts_with(prefix.as_str()));
        has_state
            && has_prefix
            && self.metadata.iter().all(|(name, value)| status.metadata.get(name) == Some(value))
    }
}

/// A part of a longer list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The items, in the list's order.
    pub data: Vec<T>,
    /// The cursor of the next page; `None` at the end.
    pub next: Option<String>,
}

/// A part of a project's feed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeedPage {
    /// The events, in the feed's order.
    pub data: Vec<CloudEvent>,
    /// The cursor after the last event of the page, or the one that was given if the page is empty; `None` only on an empty page
    /// from the beginning.
    #[serde(rename = "next")]
    pub position: Option<String>,
    /// Whether there may be more events already.
    #[serde(default)]
    pub more: bool,
}

/// The outcome of a command about a video.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Commanded {
    /// The status afterwards.
    #[serde(flatten)]
    pub status: VideoStatus,
    /// Whether the command was recorded before, under the same id.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeated: bool,
}

/// The outcome of recording a commit.
#[derive(Debug, Clone, PartialEq)]
pub enum Recorded {
    /// It was appended, or the recorder has no memory (a queue before the log) and the log drops it if it is a repetition.
    New,
    /// A commit with this id existed before; nothing was appended. This is its first event.
    Repeated(RecordedEvent),
}

impl From<Option<RecordedEvent>> for Recorded {
    fn from(earlier: Option<RecordedEvent>) -> Self {
        earlier.map_or(Self::New, Self::Repeated)
    }
}

impl From<Recorded> for Option<RecordedEvent> {
    fn from(recorded: Recorded) -> Self {
        match recorded {
            Recorded::New => None,
            Recorded::Repeated(event) => Some(event),
        }
    }
}
