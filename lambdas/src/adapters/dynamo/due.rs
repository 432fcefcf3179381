//! The index of due videos.
//!
//! It is spread over [`DUE_SHARDS`] partitions for each urgency: `worker#{shard}`, `due#{shard}` and `later#{shard}`. Builds with four
//! partitions wrote all due videos to `due#0` to `due#3`; such an item is found there and gets its new place when it is written next.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures::stream::{self, TryStreamExt as _};
use streamio_core::ports::AdapterError;
use streamio_core::ports::view_store::{Urgency, VideoRow};
use streamio_events::log::Part;
use streamio_events::timestamp::Timestamp;

use super::DynamoViews;
use super::item::{Item, text, text_of};
use super::table::{BY_DUE, DUE, DUE_SHARD};

/// How many partitions due videos of one urgency are spread over: each takes 1,000 writes a second
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html>), and a change of a due time is
/// two. `docs/scale.md` states how many uploads a second that is. It may be raised: what was written with fewer is found.
pub(super) const DUE_SHARDS: u32 = 64;

/// How many partitions are read at the same time.
const CONCURRENT_QUERIES: usize = 32;

/// The entries of a partition that were read, in order, and the key after which there may be more.
struct Shard {
    partition: String,
    entries: Vec<Item>,
    next: Option<Item>,
}

impl Shard {
    /// Whether entries that were not read may be due before `bound`. `None`: any entry.
    fn may_have_before(&self, bound: Option<&str>) -> bool {
        let last = self.entries.last().and_then(due_text);
        self.next.is_some() && bound.is_none_or(|bound| last.is_none_or(|last| last < bound))
    }
}

impl DynamoViews {
    /// At most `limit` items of `part` that are due at `now`, the longest overdue first.
    pub(super) async fn due_items(
        &self,
        part: Part,
        urgency: Urgency,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Item>, AdapterError> {
        let bound = due_bound(now);
        let mut shards: Vec<Shard> = (0..DUE_SHARDS)
            .filter(|shard| part.holds(*shard))
            .map(|shard| Shard { partition: partition(urgency, shard), entries: Vec::new(), next: None })
            .collect();
        // Twice the even share: most partitions are read once.
        let page = limit.saturating_mul(2).div_ceil(shards.len().max(1)).max(1).min(limit);
        let mut to_read: Vec<&mut Shard> = shards.iter_mut().collect();
        let mut found: Vec<Item>;
        loop {
            self.read_shards(to_read, &bound, page).await?;
            found = shards.iter().flat_map(|shard| &shard.entries).cloned().collect();
            found.sort_by(|a, b| due_text(a).cmp(&due_text(b)));
            found.truncate(limit);
            let last = found.last().filter(|_| found.len() == limit).and_then(due_text);
            to_read = shards.iter_mut().filter(|shard| shard.may_have_before(last)).collect();
            if to_read.is_empty() {
                break;
            }
        }
        let mut pks: Vec<String> =
            found.iter().map(|entry| text_of(entry, "pk").map(str::to_owned)).collect::<Result<_, _>>()?;
        // An outdated index may list an item under both of its times, and a batch must not contain a key twice.
        pks.sort_unstable();
        pks.dedup();
        let mut items = self.items(&pks).await?;
        // An outdated index may list an item that is no longer due.
        items.retain(|item| due_text(item).is_some_and(|due| *due < *bound));
        items.sort_by(|a, b| due_text(a).cmp(&due_text(b)));
        Ok(items)
    }

    /// Adds a page of at most `limit` entries due before `bound` to each of `shards`.
    async fn read_shards(
        &self,
        shards: Vec<&mut Shard>,
        bound: &str,
        limit: usize,
    ) -> Result<(), AdapterError> {
        stream::iter(shards.into_iter().map(Ok))
            .try_for_each_concurrent(CONCURRENT_QUERIES, |shard| async move {
                let query = self
                    .client
                    .query()
                    .table_name(&*self.table)
                    .index_name(BY_DUE)
                    .key_condition_expression("#shard = :shard AND #due < :bound")
                    .expression_attribute_names("#shard", DUE_SHARD)
                    .expression_attribute_names("#due", DUE)
                    .expression_attribute_values(":shard", text(&shard.partition))
                    .expression_attribute_values(":bound", text(bound))
                    .limit(i32::try_from(limit).unwrap_or(i32::MAX))
                    .set_exclusive_start_key(shard.next.take());
                let response = query.send().await?;
                shard.entries.extend(response.items.unwrap_or_default());
                shard.next = response.last_evaluated_key;
                Ok::<_, AdapterError>(())
            })
            .await
    }
}

fn partition(urgency: Urgency, shard: u32) -> String {
    match urgency {
        Urgency::Worker => format!("worker#{shard}"),
        Urgency::Dispatch => format!("due#{shard}"),
        Urgency::Deferrable => format!("later#{shard}"),
    }
}

/// Sorts after everything that is due at `now`: the text of the next millisecond.
pub(super) fn due_bound(now: Timestamp) -> String {
    now.plus(Duration::from_millis(1)).to_string()
}

fn due_text(item: &Item) -> Option<&str> {
    text_of(item, DUE).ok()
}

/// When the item is due.
pub(super) fn due_of(item: &Item) -> Option<Timestamp> {
    due_text(item)?.split_once('#')?.0.parse().ok()
}

/// The keys in the index of a row that is due at `at`.
pub(super) fn due_keys(row: &VideoRow, at: Timestamp) -> [(&'static str, AttributeValue); 2] {
    let video = &row.video;
    let shard = Part::slot(&video.stream()) % DUE_SHARDS;
    let due = format!("{at}#{}#{}", video.project_id, video.video_id);
    [(DUE_SHARD, text(partition(Urgency::of(video), shard))), (DUE, text(due))]
}
