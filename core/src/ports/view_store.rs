//! The port that stores status views.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use streamio_events::home::VideoFilter;
use streamio_events::id::{ProjectId, VideoId};
use streamio_events::log::Part;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::{Phase, Policy, Video, VideoStatus, decide};

use crate::ports::AdapterError;

#[cfg(feature = "testing")]
pub mod contract;

/// One video's row: its folded state, and the status that tenants see.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VideoRow {
    /// The folded state. Its version is the version of the row.
    pub video: Video,
    /// What tenants see; `None` until a grant or an upload states the object key.
    pub status: Option<VideoStatus>,
    /// From when on the sweep handles the video.
    pub due_at: Option<Timestamp>,
}

impl VideoRow {
    /// Returns the row of `video`.
    pub fn of(video: Video, policy: &Policy) -> Self {
        Self { status: video.status(), due_at: decide::due_at(&video, policy), video }
    }
}

/// How soon due work must be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Urgency {
    /// An attempt has a worker that is silent, or that did not publish.
    Worker,
    /// A video stands still until its next attempt is dispatched: its upload was accepted, or the pause after an attempt has ended.
    Dispatch,
    /// All else: attempts that wait for capacity, grants that ended, objects to remove. There may be very many.
    Deferrable,
}

impl Urgency {
    /// All, the most urgent first.
    pub const ALL: [Self; 3] = [Self::Worker, Self::Dispatch, Self::Deferrable];

    /// The urgency of what is due of `video`.
    pub fn of(video: &Video) -> Self {
        match video.phase {
            Phase::Started { .. } | Phase::Completed { .. } => Self::Worker,
            Phase::Uploaded { .. } | Phase::Failed { .. } | Phase::Interrupted { .. } => Self::Dispatch,
            Phase::Dispatched { .. }
            | Phase::Waiting
            | Phase::Expired
            | Phase::Ready
            | Phase::Errored { .. }
            | Phase::Deleted => Self::Deferrable,
        }
    }
}

/// Why a store operation failed.
#[derive(Debug, thiserror::Error)]
pub enum ViewStoreError {
    /// The store is unavailable. Retry.
    #[error("the view store is not available")]
    Unavailable(#[source] AdapterError),
    /// The cursor is not one of this list.
    #[error("not a cursor of this list")]
    InvalidCursor,
}

/// A page of a project's videos.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoPage {
    /// The videos, newest first.
    pub videos: Vec<VideoStatus>,
    /// The cursor of the next page; `None` at the end.
    pub next: Option<String>,
}

/// Stores status views. They can be deleted and rebuilt from the log at any time.
#[async_trait]
pub trait ViewStore: Send + Sync {
    /// Returns the row of one video.
    async fn get(
        &self,
        project_id: &ProjectId,
        video_id: &VideoId,
    ) -> Result<Option<VideoRow>, ViewStoreError>;

    /// Writes `row` if the store has no row of that video or one with a lower version. Returns whether it was written.
    async fn put(&self, row: &VideoRow) -> Result<bool, ViewStoreError>;

    /// Returns at most `limit` of a project's videos that have a status, newest first (by creation, then by id), after the
    /// cursor `after`: those that pass `filter`. A video keeps its position in the list, so reading page by page returns no
    /// video twice and omits none that existed at the first page and passed the filter all the time. If the filter is
    /// [selective](VideoFilter::is_selective), a store examines a bounded number of videos for a page, which may therefore
    /// have fewer than `limit`, even none, before the end of the list.
    async fn list(
        &self,
        project_id: &ProjectId,
        filter: &VideoFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<VideoPage, ViewStoreError>;

    /// Returns at most `limit` videos of `part` that are due at `now`, longest overdue first: those of one [urgency](Urgency::of), so
    /// that no amount of other work delays them. The parts of a division are disjoint and have all videos. A row that an earlier
    /// version stored may be returned for another urgency.
    async fn due(
        &self,
        part: Part,
        urgency: Urgency,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<VideoRow>, ViewStoreError>;

    /// Excludes `row` from [`Self::due`] until the time `until` (`None`: until its next version), if the stored row still has
    /// the same version.
    async fn defer(&self, row: &VideoRow, until: Option<Timestamp>) -> Result<(), ViewStoreError>;
}
