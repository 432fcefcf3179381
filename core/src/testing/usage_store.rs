//! The usage of projects, counted from the log at each call.

use async_trait::async_trait;
use streamio_events::day::Day;
use streamio_events::id::ProjectId;
use streamio_events::log::EventLogExt as _;
use streamio_events::memory::MemoryLog;
use streamio_events::usage::Usage;

use crate::ports::usage_store::{UsageStore, UsageStoreError};

/// Counts a log in memory.
pub struct CountedUsage(pub MemoryLog);

#[async_trait]
impl UsageStore for CountedUsage {
    async fn usage(&self, project_id: &ProjectId, first: Day, last: Day) -> Result<Usage, UsageStoreError> {
        let commits = self.0.scan_to_end().await.map_err(|error| UsageStoreError(error.into()))?;
        let of_project = commits.iter().filter(|commit| commit.stream.project_id() == project_id);
        Ok(Usage::of(of_project, first, last))
    }
}
