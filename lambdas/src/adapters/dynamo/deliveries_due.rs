//! The index of due deliveries of webhooks.
//!
//! It is spread over [`SHARDS`] partitions, `delivery#{shard}`. The sort key begins with the endpoint, `{project}#{webhook}#{due}#{message}`, so
//! that the deliveries of an endpoint follow one another by due time, and a reader skips from one endpoint to the next: the backlog of an
//! endpoint that does not answer costs one page, however long it is.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use streamio_core::ports::AdapterError;
use streamio_core::ports::delivery_store::DeliveryKey;
use streamio_events::id::{ProjectId, WebhookId};
use streamio_events::timestamp::Timestamp;

use super::DynamoViews;
use super::endpoint_receiving::IdleEndpoints;
use super::item::{InvalidItem, Item, text, text_of};
use super::table::{BY_DUE, DUE, DUE_SHARD};

/// How many partitions the endpoints are spread over. Each takes 1,000 writes a second, and a delivery that succeeds at once is two:
/// `docs/scale.md` states how many deliveries a second that is. It may be raised: what was written with fewer is found.
const SHARDS: u32 = 16;

/// How many partitions are read at the same time.
const CONCURRENT_QUERIES: usize = 16;

/// How many entries are read at a time, some 150 bytes each.
const PAGE: usize = 100;

/// Sorts after every due time and every message.
const END: char = '~';

/// An entry of the index.
struct Entry {
    /// The value by which the partition is sorted.
    sort: String,
    key: DeliveryKey,
    due_at: Timestamp,
}

impl Entry {
    fn of(item: &Item) -> Result<Self, InvalidItem> {
        let sort = text_of(item, DUE)?;
        let parse = || {
            let mut parts = sort.split('#');
            let (project_id, webhook_id) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
            let (due_at, message_id) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
            let key = DeliveryKey { project_id, webhook_id, message_id };
            Some(Self { sort: sort.to_owned(), key, due_at })
        };
        parse().ok_or(InvalidItem(DUE))
    }

    /// What the sort keys of all entries of the endpoint begin with.
    fn endpoint(&self) -> String {
        endpoint_of(&self.key.project_id, &self.key.webhook_id)
    }

    /// A sort key after all entries of the endpoint.
    fn end_of_endpoint(&self) -> String {
        format!("{}{END}", self.endpoint())
    }
}

/// Entries of a partition that follow one another.
struct Page {
    entries: Vec<Entry>,
    /// The sort key of the last item, also if it cannot be read; `None` if there is none.
    last: Option<String>,
    /// Whether there may be more.
    more: bool,
}

/// The entry of an item; `None` if it cannot be read: it must not hide all others.
fn entry_of(item: &Item) -> Option<Entry> {
    let entry = Entry::of(item);
    entry
        .inspect_err(
            |error| tracing::error!(entry = text_of(item, DUE).unwrap_or_default(), %error, "a due delivery is left out: its item cannot be read"),
        )
        .ok()
}

/// The deliveries of the endpoints of a partition that are due, longest overdue first.
type DueByEndpoint = BTreeMap<String, Vec<(Timestamp, DeliveryKey)>>;

impl DynamoViews {
    /// See [`DeliveryStore::due_deliveries`](streamio_core::ports::delivery_store::DeliveryStore::due_deliveries). Of the endpoints' first
    /// deliveries the longest overdue comes first, and so on, so that a `limit` leaves out no endpoint for long.
    pub(super) async fn due_delivery_keys(
        &self,
        now: Timestamp,
        per_endpoint: usize,
        limit: usize,
    ) -> Result<Vec<DeliveryKey>, AdapterError> {
        let shards = stream::iter((0..SHARDS).map(|shard| self.due_of_shard(shard, now, per_endpoint)));
        let shards: Vec<DueByEndpoint> = shards.buffer_unordered(CONCURRENT_QUERIES).try_collect().await?;
        let mut ranked: Vec<(usize, Timestamp, DeliveryKey)> = shards
            .into_iter()
            .flat_map(BTreeMap::into_values)
            .flat_map(|due| due.into_iter().enumerate().map(|(rank, (due_at, key))| (rank, due_at, key)))
            .collect();
        ranked.sort();
        Ok(ranked.into_iter().take(limit).map(|(_, _, key)| key).collect())
    }

    async fn due_of_shard(
        &self,
        shard: u32,
        now: Timestamp,
        per_endpoint: usize,
    ) -> Result<DueByEndpoint, AdapterError> {
        let mut found = DueByEndpoint::new();
        let mut idle = IdleEndpoints::default();
        let mut from = String::from("#");
        loop {
            let Page { entries, last, more } = self.due_entries(shard, &from, PAGE).await?;
            let later = entries.iter().filter(|entry| entry.due_at > now).map(|entry| &entry.key);
            self.learn_idle(&mut idle, later).await?;
            for entry in &entries {
                let of_endpoint = found.entry(entry.endpoint()).or_default();
                let is_due = entry.due_at <= now || idle.contains(&entry.key);
                let is_needed = is_due && of_endpoint.len() < per_endpoint;
                if is_needed {
                    of_endpoint.push((entry.due_at, entry.key.clone()));
                }
                from = if is_needed { entry.sort.clone() } else { entry.end_of_endpoint() };
            }
            let Some(last) = last.filter(|_| more) else { return Ok(found) };
            if entries.is_empty() {
                from = last;
            }
        }
    }

    /// See [`DeliveryStore::next_due`](streamio_core::ports::delivery_store::DeliveryStore::next_due).
    pub(super) async fn next_due_delivery(&self, now: Timestamp) -> Result<Option<Timestamp>, AdapterError> {
        let shards = stream::iter((0..SHARDS).map(|shard| self.next_due_of_shard(shard, now)));
        let times: Vec<Option<Timestamp>> = shards.buffer_unordered(CONCURRENT_QUERIES).try_collect().await?;
        Ok(times.into_iter().flatten().min())
    }

    /// See [`DeliveryStore::due_count`](streamio_core::ports::delivery_store::DeliveryStore::due_count).
    pub(super) async fn count_due(
        &self,
        project_id: &ProjectId,
        webhook_id: &WebhookId,
        now: Timestamp,
        limit: usize,
    ) -> Result<usize, AdapterError> {
        let endpoint = endpoint_of(project_id, webhook_id);
        let mut from = endpoint.clone();
        let mut count = 0;
        while count < limit {
            let Page { entries, more, .. } =
                self.due_entries(shard_of(webhook_id), &from, PAGE.min(limit - count)).await?;
            let is_due = |entry: &&Entry| entry.sort.starts_with(&endpoint) && entry.due_at <= now;
            let due = entries.iter().take_while(is_due).count();
            count += due;
            match entries.last() {
                Some(last) if more && due == entries.len() => last.sort.clone_into(&mut from),
                _ => break,
            }
        }
        Ok(count)
    }

    /// See [`DeliveryStore::due_to_endpoint`](streamio_core::ports::delivery_store::DeliveryStore::due_to_endpoint).
    pub(super) async fn due_keys_of_endpoint(
        &self,
        project_id: &ProjectId,
        webhook_id: &WebhookId,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<DeliveryKey>, AdapterError> {
        let endpoint = endpoint_of(project_id, webhook_id);
        let (mut from, mut found, mut idle) = (endpoint.clone(), Vec::new(), IdleEndpoints::default());
        while found.len() < limit {
            let Page { entries, last, more } =
                self.due_entries(shard_of(webhook_id), &from, PAGE.min(limit - found.len())).await?;
            let of_endpoint: Vec<Entry> =
                entries.into_iter().take_while(|entry| entry.sort.starts_with(&endpoint)).collect();
            let later = of_endpoint.iter().filter(|entry| entry.due_at > now).map(|entry| &entry.key);
            self.learn_idle(&mut idle, later).await?;
            let due =
                of_endpoint.into_iter().filter(|entry| entry.due_at <= now || idle.contains(&entry.key));
            found.extend(due.map(|entry| entry.key));
            match last.filter(|last| more && last.starts_with(&endpoint)) {
                Some(last) => from = last,
                None => break,
            }
        }
        Ok(found)
    }

    async fn next_due_of_shard(&self, shard: u32, now: Timestamp) -> Result<Option<Timestamp>, AdapterError> {
        let mut next: Option<Timestamp> = None;
        let mut from = String::from("#");
        loop {
            let Page { entries, last, .. } = self.due_entries(shard, &from, 1).await?;
            let Some(last) = last else { return Ok(next) };
            let Some(entry) = entries.first() else {
                from = last;
                continue;
            };
            from = if entry.due_at > now {
                next = next.into_iter().chain([entry.due_at]).min();
                entry.end_of_endpoint()
            } else {
                format!("{}{now}#{END}", entry.endpoint())
            };
        }
    }

    /// The first `limit` entries of a partition after the sort key `from`.
    async fn due_entries(&self, shard: u32, from: &str, limit: usize) -> Result<Page, AdapterError> {
        let query = self
            .client
            .query()
            .table_name(&*self.table)
            .index_name(BY_DUE)
            .key_condition_expression("#shard = :shard AND #due > :from")
            .expression_attribute_names("#shard", DUE_SHARD)
            .expression_attribute_names("#due", DUE)
            .expression_attribute_values(":shard", text(partition(shard)))
            .expression_attribute_values(":from", text(from))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX));
        let response = query.send().await?;
        let entries = response.items.unwrap_or_default();
        let last = entries.last().and_then(|item| text_of(item, DUE).ok()).map(str::to_owned);
        let entries = entries.iter().filter_map(entry_of).collect();
        Ok(Page { entries, last, more: response.last_evaluated_key.is_some() })
    }
}

/// What the sort keys of all entries of an endpoint begin with.
fn endpoint_of(project_id: &ProjectId, webhook_id: &WebhookId) -> String {
    format!("{project_id}#{webhook_id}#")
}

fn partition(shard: u32) -> String {
    format!("delivery#{shard}")
}

/// The partition of an endpoint, by the FNV-1a hash of its id.
fn shard_of(webhook_id: &WebhookId) -> u32 {
    let hash = webhook_id
        .as_str()
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash % SHARDS
}

/// The keys in the index of a delivery that is due at `at`.
pub(super) fn due_keys(key: &DeliveryKey, at: Timestamp) -> [(&'static str, AttributeValue); 2] {
    let DeliveryKey { project_id, webhook_id, message_id } = key;
    let due = format!("{project_id}#{webhook_id}#{at}#{message_id}");
    [(DUE_SHARD, text(partition(shard_of(webhook_id)))), (DUE, text(due))]
}
