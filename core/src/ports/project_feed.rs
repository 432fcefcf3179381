//! The ports of a project's feed: the commits of all its streams, in one order.
//!
//! The log orders streams, not projects. A commit has one place in the feed, which never changes: 0, 1, 2, … without gaps, so that a reader that
//! continues from a place misses nothing, and knows it.

use async_trait::async_trait;
use streamio_events::cloud_event::CloudEvent;
use streamio_events::commit::Commit;
use streamio_events::id::ProjectId;
use streamio_events::log::ReadError;
use streamio_events::retryable::Retryable;
use streamio_events::timestamp::Timestamp;

use crate::ports::AdapterError;

#[cfg(feature = "testing")]
pub mod contract;

/// Why a feed was not read.
#[derive(Debug, thiserror::Error)]
pub enum ProjectFeedError {
    /// The store or the log is unavailable. Retry.
    #[error("the feed is not available")]
    Unavailable(#[source] AdapterError),
    /// The cursor is not one of this feed.
    #[error("not a cursor of this feed")]
    InvalidCursor,
}

/// A page of a project's events.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedPage {
    /// The events. Events of one stream are in the order of the stream.
    pub events: Vec<CloudEvent>,
    /// The cursor after the last event of the page, also if there are no further events yet; `None` only for an empty page
    /// that was read from the beginning.
    pub next: Option<String>,
    /// Whether the feed may already have events after this page.
    pub more: bool,
}

/// Reads project feeds.
#[async_trait]
pub trait ProjectFeed: Send + Sync {
    /// Returns at most `limit` (at least 1) of a project's events after the cursor `after`. An event that was just recorded may appear a
    /// moment later.
    async fn page(
        &self,
        project_id: &ProjectId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<FeedPage, ProjectFeedError>;
}

/// Why the place of a commit is not known.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The store is unavailable; the commit may have got its place. Retry.
    #[error("the feed is not available")]
    Unavailable(#[source] AdapterError),
    /// Earlier commits of the stream, which have to get their places first, cannot be read.
    #[error("the commits before this one cannot be read")]
    Before(#[from] ReadError),
}

impl Retryable for PlaceError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::Before(error) => error.is_retryable(),
        }
    }
}

/// Gives commits their places in feeds.
#[async_trait]
pub trait FeedPlaces: Send + Sync {
    /// Returns the place of `commit`, which is in the log, in its project's feed: the commits of a project have the places 0, 1, 2, …
    /// without gaps, and the commits of a stream are in the order of the stream.
    ///
    /// Where the log itself does not give places, the first call for a commit does, and counts the commit's
    /// [usage](streamio_events::usage) in the same write: once, however often, from wherever and in whichever order the commits of a stream
    /// are passed. Earlier commits of the stream without a place are read from the log and get theirs first.
    async fn place(&self, commit: &Commit) -> Result<u64, PlaceError>;
}

/// Why the commits of a feed were not read. Retry.
#[derive(Debug, thiserror::Error)]
#[error("the project's feed cannot be read")]
pub struct FeedReadError(#[source] pub AdapterError);

impl Retryable for FeedReadError {
    fn is_retryable(&self) -> bool {
        true
    }
}

/// Reads the commits of a project by their [places](FeedPlaces) in its feed.
#[async_trait]
pub trait FeedCommits: Send + Sync {
    /// Returns the place that the next commit of the project will have.
    async fn end(&self, project_id: &ProjectId) -> Result<u64, FeedReadError>;

    /// Returns the place of the first commit that was recorded at `time` or later; [`Self::end`] if there is none.
    async fn first_since(&self, project_id: &ProjectId, time: Timestamp) -> Result<u64, FeedReadError>;

    /// Returns the place after the last commit that was recorded before `time`; 0 if there is none. One behind others that were recorded more
    /// than ten minutes later may be missed: its clock was set back, or it got its place late.
    async fn end_before(&self, project_id: &ProjectId, time: Timestamp) -> Result<u64, FeedReadError>;

    /// Returns at most `limit` (at least 1) commits at the places from `from` on, in order and without gaps; `None` in place of a commit
    /// that is damaged. No commits are returned if the feed ends at `from`.
    async fn commits(
        &self,
        project_id: &ProjectId,
        from: u64,
        limit: usize,
    ) -> Result<Vec<Option<Commit>>, FeedReadError>;
}
