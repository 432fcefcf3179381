//! The port through which status views are kept.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use streamio_events::id::{ProjectId, VideoId};
use streamio_events::timestamp::Timestamp;
use streamio_events::video::{Policy, Video, VideoState, VideoStatus, decide};

use crate::ports::AdapterError;

#[cfg(feature = "testing")]
pub mod contract;

/// One video's view: its folded state, from which what tenants see is derived.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VideoRow {
    /// The folded state; its version is the view's.
    pub video: Video,
    /// What tenants see; `None` before a grant or an upload said which key it is about.
    pub status: Option<VideoStatus>,
    /// From when on a sweep looks at the video.
    pub due_at: Option<Timestamp>,
}

impl VideoRow {
    /// The row of `video`.
    pub fn of(video: Video, policy: &Policy) -> Self {
        Self { status: video.status(), due_at: decide::due_at(&video, policy), video }
    }
}

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum ViewStoreError {
    /// The store did not answer. Retry.
    #[error("the view store is not available")]
    Unavailable(#[source] AdapterError),
    /// A cursor that this store did not give.
    #[error("not a cursor of this list")]
    InvalidCursor,
}

/// Some of a project's videos.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoPage {
    /// The videos, newest first.
    pub videos: Vec<VideoStatus>,
    /// Where to go on; `None` at the end.
    pub next: Option<String>,
}

/// Keeps views. They can be thrown away and rebuilt from the log at any time.
#[async_trait]
pub trait ViewStore: Send + Sync {
    /// The row of one video.
    async fn get(
        &self,
        project_id: &ProjectId,
        video_id: &VideoId,
    ) -> Result<Option<VideoRow>, ViewStoreError>;

    /// Writes `row` if the store has none of that video or one of a lower version. Answers whether it was written.
    async fn put(&self, row: &VideoRow) -> Result<bool, ViewStoreError>;

    /// At most `limit` of a project's videos that have a status, newest first (by creation, then by id), after the cursor
    /// `after`, only those in `state` if one is given, otherwise all but deleted ones. A video keeps its place in the
    /// list, so a list that is read page by page shows no video twice and leaves none out that was there from the
    /// beginning and kept its state.
    async fn list(
        &self,
        project_id: &ProjectId,
        state: Option<VideoState>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<VideoPage, ViewStoreError>;

    /// At most `limit` videos that are due at `now`, longest overdue first.
    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<VideoRow>, ViewStoreError>;

    /// Takes `row` out of the sweep's sight `until` then (`None`: until its next version), if its version is still the
    /// one that is stored.
    async fn defer(&self, row: &VideoRow, until: Option<Timestamp>) -> Result<(), ViewStoreError>;
}
