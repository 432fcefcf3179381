//! The port through which the hashes of a project's commits are read, in the order of the feed.

use async_trait::async_trait;
use streamio_events::commit::CommitHash;

use crate::ports::AdapterError;

/// Reads the hashes of the commits of one project.
#[async_trait]
pub trait FeedHashes: Send + Sync {
    /// Returns the hashes of the commits at the places from `from` on, `limit` (at least 1) at most; fewer only if the feed ends there
    /// or the next place is damaged. A damaged or missing commit at `from` is an error. What was returned once stays as it is: the commits are durable.
    async fn hashes(&self, from: u64, limit: usize) -> Result<Vec<CommitHash>, AdapterError>;
}
