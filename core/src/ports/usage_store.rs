//! The port that reads what projects used.

use async_trait::async_trait;
use streamio_events::day::Day;
use streamio_events::id::ProjectId;
use streamio_events::usage::Usage;

use crate::ports::AdapterError;

/// The store is unavailable. Retry.
#[derive(Debug, thiserror::Error)]
#[error("the usage of projects is not available")]
pub struct UsageStoreError(#[source] pub AdapterError);

/// Reads the usage of projects.
#[async_trait]
pub trait UsageStore: Send + Sync {
    /// Returns what a project used from the day `first` to the day `last`, and what it stores at present. Both may be some seconds
    /// behind the log.
    async fn usage(&self, project_id: &ProjectId, first: Day, last: Day) -> Result<Usage, UsageStoreError>;
}
