//! The commits of a project by their places in its feed, and places by time.

use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use streamio_core::ports::AdapterError;
use streamio_core::ports::project_feed::{FeedCommits, FeedReadError};
use streamio_events::commit::Commit;
use streamio_events::id::ProjectId;
use streamio_events::timestamp::Timestamp;

use super::DynamoViews;
use super::feed::{CONCURRENT_READS, Entry, Progress};
use super::item::{Item, key, number_of, text, time_of};
use super::places::{LATEST, NEXT, RECORDED_AT, feed_pk, next_pk, sortable};

/// How much later the commits before it may be recorded for a commit to be found by [`FeedCommits::end_before`]. Places follow the ledger's
/// stream, usually within a second.
const LATENESS: Duration = Duration::from_hours(1);

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

    /// See [`FeedCommits::first_since`]: by bisection, because the latest time up to a place rises along the feed. It reaches `time` first at
    /// the first commit that was recorded then or later.
    async fn first_place_since(&self, project_id: &ProjectId, time: Timestamp) -> Result<u64, AdapterError> {
        let (mut low, mut high) = (0, self.feed_end(project_id).await?);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.is_before(project_id, middle, time).await? {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// Whether all commits up to this place were recorded before `time`. Of an entry of an earlier release only its own commit is known, and
    /// if that is damaged, it counts as a later one.
    async fn is_before(
        &self,
        project_id: &ProjectId,
        place: u64,
        time: Timestamp,
    ) -> Result<bool, AdapterError> {
        let key = key(feed_pk(project_id), sortable(place));
        let request = self.client.get_item().table_name(&*self.table).set_key(Some(key));
        let item: Option<Item> = request.consistent_read(true).send().await?.item;
        let item = item.ok_or_else(|| format!("the feed of {project_id} has no place {place}"))?;
        let latest = match time_of(&item, LATEST) {
            Some(latest) => Some(latest),
            None => self.fed_commit(&Entry::of(&item)?).await?.map(|commit| commit.recorded_at),
        };
        Ok(latest.is_some_and(|latest| latest < time))
    }

    /// See [`FeedCommits::end_before`]. An entry of an earlier release, which does not state its time, counts as an earlier one.
    async fn end_place_before(&self, project_id: &ProjectId, time: Timestamp) -> Result<u64, AdapterError> {
        let first = self.first_place_since(project_id, time).await?;
        let bound = self.first_place_since(project_id, time.plus(LATENESS)).await?;
        if first == bound {
            return Ok(first);
        }
        let mut earlier = self
            .client
            .query()
            .table_name(&*self.table)
            .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
            .filter_expression("#recorded < :time OR attribute_not_exists(#recorded)")
            .expression_attribute_names("#recorded", RECORDED_AT)
            .expression_attribute_values(":pk", text(feed_pk(project_id)))
            .expression_attribute_values(":first", text(sortable(first)))
            .expression_attribute_values(":last", text(sortable(bound - 1)))
            .expression_attribute_values(":time", text(time.to_string()))
            .scan_index_forward(false)
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        match earlier.next().await.transpose()? {
            Some(last) => Ok(Entry::of(&last)?.place + 1),
            None => Ok(first),
        }
    }
}

#[async_trait]
impl FeedCommits for DynamoViews {
    async fn end(&self, project_id: &ProjectId) -> Result<u64, FeedReadError> {
        self.feed_end(project_id).await.map_err(FeedReadError)
    }

    async fn first_since(&self, project_id: &ProjectId, time: Timestamp) -> Result<u64, FeedReadError> {
        self.first_place_since(project_id, time).await.map_err(FeedReadError)
    }

    async fn end_before(&self, project_id: &ProjectId, time: Timestamp) -> Result<u64, FeedReadError> {
        self.end_place_before(project_id, time).await.map_err(FeedReadError)
    }

    /// Each commit has an event, so that those with `limit` events are at most `limit`.
    async fn commits(
        &self,
        project_id: &ProjectId,
        from: u64,
        limit: usize,
    ) -> Result<Vec<Option<Commit>>, FeedReadError> {
        self.feed_commits(project_id, from, limit.max(1)).await.map_err(FeedReadError)
    }
}
