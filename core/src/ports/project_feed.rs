//! The ports that write and read a project's feed: the commits of all its streams, in one order.
//!
//! The log orders streams, not projects. A commit gets its position in the feed when it is projected, always after every
//! position that was assigned before, so that a reader that continues from a position misses nothing.

use async_trait::async_trait;
use streamio_events::cloud_event::CloudEvent;
use streamio_events::commit::Commit;
use streamio_events::id::ProjectId;
use streamio_events::log::ReadError;
use streamio_events::retryable::Retryable;
use streamio_events::timestamp::Timestamp;

use crate::ports::AdapterError;

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
    /// Whether the feed may already have settled events after this page.
    pub more: bool,
}

/// Reads project feeds.
#[async_trait]
pub trait ProjectFeed: Send + Sync {
    /// Returns at most `limit` (at least 1) of a project's events after the cursor `after`, up to the last position that is
    /// settled at `now`: an event that was just recorded may appear a moment later.
    async fn page(
        &self,
        project_id: &ProjectId,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> Result<FeedPage, ProjectFeedError>;
}

/// Why a commit was not added to the feed.
#[derive(Debug, thiserror::Error)]
pub enum FeedWriteError {
    /// The store is unavailable; the commit may have been added. Retry.
    #[error("the feed is not available")]
    Unavailable(#[source] AdapterError),
    /// Earlier commits of the stream, which have to be added first, cannot be read.
    #[error("the commits before this one cannot be read")]
    Before(#[from] ReadError),
}

impl Retryable for FeedWriteError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::Before(error) => error.is_retryable(),
        }
    }
}

/// Adds commits to feeds, and counts their [usage](streamio_events::usage) in the same write.
#[async_trait]
pub trait FeedWriter: Send + Sync {
    /// Adds `commit`, which is in the log, to its project's feed and counts its usage. Both happen once, even if the commits of a
    /// stream are passed repeatedly and in any order. Earlier commits of the stream that are not in the feed yet are read
    /// from the log and added first. Returns whether this call added the commit.
    ///
    /// `now` must be read at the call, because the position is derived from it: with an earlier time, such as that of a
    /// whole batch, readers could pass the position before the commit is there.
    async fn project(&self, commit: &Commit, now: Timestamp) -> Result<bool, FeedWriteError>;
}

/// Gives commits their places in feeds.
#[async_trait]
pub trait FeedPlaces: Send + Sync {
    /// Returns the place of `commit`, which is in the log, in its project's feed: the commits of a project have the places 0, 1, 2, …
    /// without gaps.
    async fn place(&self, commit: &Commit) -> Result<u64, FeedWriteError>;
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

    /// Returns the place after the last commit that was recorded before `time`; 0 if there is none.
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
