//! The port to the list of projects whose keys the edge's store has not taken yet.

use async_trait::async_trait;
use streamio_events::id::ProjectId;

use crate::ports::AdapterError;

/// The list did not answer. Retry.
#[derive(Debug, thiserror::Error)]
#[error("the list of pending replications is not available")]
pub struct PendingReplicationError(#[source] pub AdapterError);

/// Keeps the list.
#[async_trait]
pub trait PendingReplications: Send + Sync {
    /// Notes that the edge lacks what `project_id` says up to `version` of its stream. A higher version that is noted
    /// stays.
    async fn note(&self, project_id: &ProjectId, version: u64) -> Result<(), PendingReplicationError>;

    /// At most `limit` of the projects, in any order.
    async fn pending(&self, limit: usize) -> Result<Vec<ProjectId>, PendingReplicationError>;

    /// Strikes `project_id` off: the edge has what it says up to `version`. It stays when a higher version was noted.
    async fn done(&self, project_id: &ProjectId, version: u64) -> Result<(), PendingReplicationError>;
}
