//! The port to the list of projects whose API keys the edge may lack.

use async_trait::async_trait;
use streamio_events::id::ProjectId;
use streamio_events::timestamp::Timestamp;

use crate::ports::AdapterError;

#[cfg(feature = "testing")]
pub mod contract;

/// The list is unavailable; the operation may have taken effect. Retry.
#[derive(Debug, thiserror::Error)]
#[error("the list of pending replications is not available")]
pub struct PendingReplicationError(#[source] pub AdapterError);

/// The id of an entry. The adapter assigns it, and no other entry ever has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PendingId(pub String);

/// An entry: the edge may lack the newest records of this project's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingReplication {
    /// The id.
    pub id: PendingId,
    /// The project.
    pub project_id: ProjectId,
}

/// Stores the list. A project may have any number of entries, each of which is removed separately, so that no process removes an entry
/// that another process needs.
#[async_trait]
pub trait PendingReplications: Send + Sync {
    /// Adds an entry for `project_id` that is due at `due_at`, and returns its id. After an error the list may have the entry.
    async fn add(
        &self,
        project_id: &ProjectId,
        due_at: Timestamp,
    ) -> Result<PendingId, PendingReplicationError>;

    /// Returns at most `limit` entries that are due at `now`, in the order of the times at which they are due. Contains every entry
    /// that was added before the call, as far as the limit allows.
    async fn due(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<PendingReplication>, PendingReplicationError>;

    /// Removes an entry, if it is there.
    async fn remove(&self, id: &PendingId) -> Result<(), PendingReplicationError>;
}
