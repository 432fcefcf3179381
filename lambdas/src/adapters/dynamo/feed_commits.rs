//! The commits of a project by their places in its feed.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use streamio_core::ports::AdapterError;
use streamio_events::commit::Commit;
use streamio_events::id::ProjectId;

use super::DynamoViews;
use super::feed::{CONCURRENT_READS, Progress};
use super::item::number_of;
use super::places::{NEXT, next_pk};

impl DynamoViews {
    /// Returns the place that the next commit of the project will have.
    pub async fn feed_end(&self, project_id: &ProjectId) -> Result<u64, AdapterError> {
        let item = self.item(next_pk(project_id)).await?;
        Ok(item.map_or(Ok(0), |item| number_of(&item, NEXT))?)
    }

    /// Returns commits at the places from `from` on, in order and without gaps, with at least `events` events unless the feed ends before;
    /// `None` in place of a commit that is damaged. None are returned if the feed ends at `from`.
    pub async fn feed_commits(
        &self,
        project_id: &ProjectId,
        from: u64,
        events: usize,
    ) -> Result<Vec<Option<Commit>>, AdapterError> {
        let entries = self.feed_entries(project_id, Some(&Progress { place: from, done: 0 }), events).await?;
        let reads: Vec<_> = entries.iter().map(|entry| self.fed_commit(entry)).collect();
        stream::iter(reads).buffered(CONCURRENT_READS).try_collect().await
    }
}
