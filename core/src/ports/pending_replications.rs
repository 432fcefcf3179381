//! The port to the list of projects whose API keys are not yet replicated to the edge.

use async_trait::async_trait;
use streamio_events::id::ProjectId;

use crate::ports::AdapterError;

/// The list is unavailable. Retry.
#[derive(Debug, thiserror::Error)]
#[error("the list of pending replications is not available")]
pub struct PendingReplicationError(#[source] pub AdapterError);

/// Stores the list of pending projects.
#[async_trait]
pub trait PendingReplications: Send + Sync {
    /// Adds `project_id`: the edge does not have its keys as of `version` of its stream. Keeps a higher version that is already
    /// stored.
    async fn add(&self, project_id: &ProjectId, version: u64) -> Result<(), PendingReplicationError>;

    /// Returns at most `limit` pending projects, in any order.
    async fn pending(&self, limit: usize) -> Result<Vec<ProjectId>, PendingReplicationError>;

    /// Removes `project_id`: the edge has its keys as of `version`. Keeps the entry if a higher version is stored.
    async fn remove(&self, project_id: &ProjectId, version: u64) -> Result<(), PendingReplicationError>;
}
