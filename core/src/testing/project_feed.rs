//! Project feeds on a log in memory.

use async_trait::async_trait;
use streamio_events::commit::Commit;
use streamio_events::id::ProjectId;
use streamio_events::memory::MemoryLog;
use streamio_events::timestamp::Timestamp;

use crate::ports::project_feed::{FeedCommits, FeedPlaces, FeedReadError, PlaceError};

/// The feeds of the projects of a log in memory.
#[derive(Clone)]
pub struct MemoryFeed(pub MemoryLog);

impl MemoryFeed {
    async fn all(&self, project_id: &ProjectId) -> Vec<Commit> {
        let changes = self.0.changes_after(0, usize::MAX).await.unwrap();
        let commits = changes.into_iter().map(|(_, commit)| commit);
        commits.filter(|commit| commit.stream.project_id() == project_id).collect()
    }
}

#[async_trait]
impl FeedPlaces for MemoryFeed {
    async fn place(&self, commit: &Commit) -> Result<u64, PlaceError> {
        let all = self.all(commit.stream.project_id()).await;
        Ok(all.iter().position(|it| it == commit).unwrap() as u64)
    }
}

#[async_trait]
impl FeedCommits for MemoryFeed {
    async fn end(&self, project_id: &ProjectId) -> Result<u64, FeedReadError> {
        Ok(self.all(project_id).await.len() as u64)
    }

    async fn first_since(&self, project_id: &ProjectId, time: Timestamp) -> Result<u64, FeedReadError> {
        let all = self.all(project_id).await;
        Ok(all.iter().position(|it| it.recorded_at >= time).unwrap_or(all.len()) as u64)
    }

    async fn end_before(&self, project_id: &ProjectId, time: Timestamp) -> Result<u64, FeedReadError> {
        let all = self.all(project_id).await;
        Ok(all.iter().rposition(|it| it.recorded_at < time).map_or(0, |last| last + 1) as u64)
    }

    async fn commits(
        &self,
        project_id: &ProjectId,
        from: u64,
        limit: usize,
    ) -> Result<Vec<Option<Commit>>, FeedReadError> {
        let from = usize::try_from(from).unwrap();
        Ok(self.all(project_id).await.into_iter().skip(from).take(limit).map(Some).collect())
    }
}
