//! The port through which a project's feed is kept and read: its commits, of all its streams, in one list.
//!
//! The log orders a stream, not a project. The feed gives each commit a place when it is projected: behind all places that
//! were given before, so that who reads on from a place misses nothing.

use async_trait::async_trait;
use streamio_events::cloud_event::CloudEvent;
use streamio_events::commit::Commit;
use streamio_events::id::ProjectId;
use streamio_events::log::ReadError;
use streamio_events::retryable::Retryable;
use streamio_events::timestamp::Timestamp;

use crate::ports::AdapterError;

/// Why no feed was read.
#[derive(Debug, thiserror::Error)]
pub enum ProjectFeedError {
    /// The store or the log did not answer. Retry.
    #[error("the feed is not available")]
    Unavailable(#[source] AdapterError),
    /// A cursor that this feed did not give.
    #[error("not a cursor of this feed")]
    InvalidCursor,
}

/// Some of a project's events.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedPage {
    /// The events; those of one stream are in its order.
    pub events: Vec<CloudEvent>,
    /// Where to read on, also when nothing is there yet; `None` only for an empty page from the beginning.
    pub next: Option<String>,
}

/// Reads feeds.
#[async_trait]
pub trait ProjectFeed: Send + Sync {
    /// At most `limit` (at least 1) of a project's events after the cursor `after`, as far as their places are settled at
    /// `now`: an event that was recorded moments ago may be shown moments later.
    async fn page(
        &self,
        project_id: &ProjectId,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> Result<FeedPage, ProjectFeedError>;
}

/// Why a commit was not given its place.
#[derive(Debug, thiserror::Error)]
pub enum FeedWriteError {
    /// The store did not do it, or did not say so. Give it its place again.
    #[error("the feed is not available")]
    Unavailable(#[source] AdapterError),
    /// Commits of the stream that are still to get their places cannot be read.
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

/// Gives commits their places, and counts their [usage](crate::views::usage) with that.
#[async_trait]
pub trait FeedWriter: Send + Sync {
    /// Gives `commit`, which is in the log, its place and counts what it uses: both once, however often and in whatever
    /// order the commits of a stream are given. Those before it that have no place yet get theirs first, from the log.
    /// Answers whether this call gave it.
    ///
    /// `now` is the clock at the call: the place is derived from it, so an earlier reading (one for a whole batch, say)
    /// would let readers pass the place before the commit is there.
    async fn project(&self, commit: &Commit, now: Timestamp) -> Result<bool, FeedWriteError>;
}
