//! Handles a batch of ordered records, and reports which of them failed.
//!
//! A source (Kinesis, DynamoDB Streams, the embedded log) delivers records in order. The records of one batch belong to many
//! independent streams, so:
//!
//! - Records are grouped by stream. Each group is handled in its order; a failure in one group never stops another.
//! - After a retryable error, the record and all later records of its stream are failures of the batch and are delivered again.
//! - A record that cannot succeed (unreadable, a permanent error, or failing for longer than the [`RetryPolicy`] allows) is stored
//!   whole as a dead letter, its stream is quarantined, and the group continues after it.
//! - If a dead letter cannot be stored, its record and all later records of its stream are failures.
//!
//! So each record is exactly one of: handled, failed, dead letter. An AWS source delivers everything again from the first failed
//! record on (<https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html>), including records of
//! other streams that were handled or became dead letters. Handlers must be idempotent.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use lru::LruCache;
use serde::Serialize;
use streamio_events::error_chain::chain;
use streamio_events::retryable::Retryable;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

use crate::ports::AdapterError;
use crate::ports::dead_letters::{DeadLetter, DeadLetters};

/// How many streams are handled at the same time.
const MAX_CONCURRENT_STREAMS: usize = 16;

/// One record of a source.
#[derive(Debug)]
pub struct Record<T> {
    /// The source's sequence number, by which failures are reported.
    pub sequence: String,
    /// A permanent identifier, unique over all shards: the id of its dead letter.
    pub id: String,
    /// When the source received it.
    pub arrived_at: Timestamp,
    /// The record as received, for a dead letter.
    pub payload: String,
    /// The parsed content, or why it cannot be parsed.
    pub content: Result<T, AdapterError>,
}

/// How far a stream's records were handled: the first `handled` succeeded, and the next one failed with `failure`.
#[derive(Debug)]
pub struct Progress<E> {
    /// How many records, from the first one on, succeeded.
    pub handled: usize,
    /// Why the next one failed; `None` if all succeeded.
    pub failure: Option<E>,
}

impl<E> Progress<E> {
    /// All `count` records were handled.
    pub fn all(count: usize) -> Self {
        Self { handled: count, failure: None }
    }

    /// The records before `index` were handled, and the one at `index` failed with `failure`.
    pub fn until(index: usize, failure: E) -> Self {
        Self { handled: index, failure: Some(failure) }
    }
}

/// Handles records of one kind.
#[async_trait]
pub trait Handler: Send + Sync {
    /// The parsed content of a record.
    type Item: Send + Sync;
    /// Why a record failed.
    type Error: Retryable;

    /// Returns the stream of `item`. Records of one stream are handled in order.
    fn stream(&self, item: &Self::Item) -> StreamId;

    /// Handles `items` of `stream` in order. They may have been handled before.
    async fn handle(&self, stream: &StreamId, items: &[&Self::Item]) -> Progress<Self::Error>;

    /// Records and logs that `stream` is quarantined at `item`, which is now a dead letter.
    async fn quarantine(&self, stream: &StreamId, item: &Self::Item, error: &Self::Error);
}

/// How the batches of one function are handled.
#[derive(Clone, Copy)]
pub struct Batch<'a> {
    /// The function, such as `intake`.
    pub function: &'static str,
    /// Stores records that cannot be handled.
    pub dead_letters: &'a dyn DeadLetters,
    /// How long a record with a retryable error is tried.
    pub retry_policy: &'a RetryPolicy,
}

/// How long a record with a retryable error is tried.
///
/// A function instance uses one value for all of its batches.
#[derive(Debug)]
pub struct RetryPolicy {
    limit: Duration,
    /// The age from which on a record is not tried again.
    oldest: Duration,
    /// The time of each record's first failure, by id; `None` if the age of the record counts.
    first_failures: Option<Mutex<LruCache<String, Timestamp>>>,
    /// Whether the stream of a record that is given up is quarantined.
    quarantines: bool,
}

/// The maximum number of remembered failures. A batch has hundreds of records.
const MAX_FAILURES: NonZeroUsize = NonZeroUsize::new(10_000).expect("not zero");

impl RetryPolicy {
    /// Tries a record until `limit` after its first failure, independent of its age: after an outage, the first error must not make
    /// the records of the backlog dead letters. Each instance counts separately.
    pub fn since_first_failure(limit: Duration) -> Self {
        Self {
            limit,
            oldest: Duration::MAX,
            first_failures: Some(Mutex::new(LruCache::new(MAX_FAILURES))),
            quarantines: true,
        }
    }

    /// Tries no record that is as old as `oldest`. Needed where the source drops records at a greater age, with all that are behind
    /// them: instances end after hours, and then count from the beginning.
    #[must_use]
    pub fn until_age(self, oldest: Duration) -> Self {
        Self { oldest, ..self }
    }

    /// Tries a record until it is as old as `limit`, when the source stops delivering it.
    pub fn since_arrival(limit: Duration) -> Self {
        Self { limit, oldest: limit, first_failures: None, quarantines: true }
    }

    /// Tries a record once, and quarantines no stream. For records that were given up before: their streams are in quarantine already.
    pub(super) fn redrive() -> Self {
        Self { limit: Duration::ZERO, oldest: Duration::ZERO, first_failures: None, quarantines: false }
    }

    /// Whether a record that failed at `now` is tried again.
    fn allows_retry<T>(&self, record: &Record<T>, now: Timestamp) -> bool {
        let is_young = now.since(record.arrived_at) < self.oldest;
        let Some(failures) = &self.first_failures else { return is_young };
        let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
        let first = *failures.get_or_insert(record.id.clone(), || now);
        now.since(first) < self.limit && is_young
    }
}

/// The result of a batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many records were handled.
    pub handled: usize,
    /// The sequence numbers of the records to deliver again, in the batch's order.
    pub failed: Vec<String>,
    /// How many became dead letters.
    pub dead_lettered: usize,
}

/// The response to an AWS source, `{"batchItemFailures": [{"itemIdentifier": "…"}]}`. An empty list is success.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchResponse {
    /// The failed records. The source delivers again from the lowest sequence number.
    pub batch_item_failures: Vec<ItemFailure>,
}

/// One failed record.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemFailure {
    /// Its sequence number.
    pub item_identifier: String,
}

impl Report {
    /// Returns the response to an AWS source.
    pub fn response(&self) -> BatchResponse {
        let item = |sequence: &String| ItemFailure { item_identifier: sequence.clone() };
        BatchResponse { batch_item_failures: self.failed.iter().map(item).collect() }
    }
}

/// The result of one record.
#[derive(Clone, Copy, PartialEq)]
enum Outcome {
    Handled,
    Failed,
    DeadLettered,
}

/// A readable record and its index in the batch.
struct Entry<'a, T> {
    index: usize,
    record: &'a Record<T>,
    item: &'a T,
}

impl Batch<'_> {
    /// Handles `records`, which are in the source's order, with `handler`.
    pub async fn run<H: Handler>(&self, records: &[Record<H::Item>], handler: &H, now: Timestamp) -> Report {
        let mut groups: Vec<(StreamId, Vec<Entry<'_, H::Item>>)> = Vec::new();
        let mut group_of: HashMap<StreamId, usize> = HashMap::new();
        let mut outcomes = vec![Outcome::Failed; records.len()];
        for (index, record) in records.iter().enumerate() {
            match &record.content {
                Ok(item) => {
                    let stream = handler.stream(item);
                    let group = *group_of.entry(stream.clone()).or_insert_with(|| {
                        groups.push((stream, Vec::new()));
                        groups.len() - 1
                    });
                    groups[group].1.push(Entry { index, record, item });
                }
                // Its stream is unknown, so no other record waits for it.
                Err(error) => outcomes[index] = self.store_dead_letter(record, &**error, now).await,
            }
        }
        let running: Vec<_> =
            groups.iter().map(|(stream, entries)| self.run_group(stream, entries, handler, now)).collect();
        let ended: Vec<_> =
            futures::stream::iter(running).buffer_unordered(MAX_CONCURRENT_STREAMS).collect().await;
        for (index, outcome) in ended.into_iter().flatten() {
            outcomes[index] = outcome;
        }
        let count = |wanted| outcomes.iter().filter(|outcome| **outcome == wanted).count();
        let failed = records.iter().zip(&outcomes).filter(|(_, outcome)| **outcome == Outcome::Failed);
        Report {
            handled: count(Outcome::Handled),
            failed: failed.map(|(record, _)| record.sequence.clone()).collect(),
            dead_lettered: count(Outcome::DeadLettered),
        }
    }

    /// Handles one stream's records. Records without a result have failed.
    async fn run_group<H: Handler>(
        &self,
        stream: &StreamId,
        entries: &[Entry<'_, H::Item>],
        handler: &H,
        now: Timestamp,
    ) -> Vec<(usize, Outcome)> {
        let mut outcomes = Vec::with_capacity(entries.len());
        let mut rest = entries;
        while !rest.is_empty() {
            let items: Vec<&H::Item> = rest.iter().map(|entry| entry.item).collect();
            let Progress { handled, failure } = handler.handle(stream, &items).await;
            let (done, undone) = rest.split_at(handled.min(rest.len()));
            outcomes.extend(done.iter().map(|entry| (entry.index, Outcome::Handled)));
            let (Some(error), Some((failed, behind))) = (failure, undone.split_first()) else { break };
            if error.is_retryable() && self.retry_policy.allows_retry(failed.record, now) {
                tracing::warn!(stream = %stream, error = chain(&error), record.id = failed.record.id, "a record could not be handled; it is delivered again");
                break;
            }
            let outcome = self.store_dead_letter(failed.record, &error, now).await;
            if outcome == Outcome::Failed {
                break;
            }
            if self.retry_policy.quarantines {
                handler.quarantine(stream, failed.item, &error).await;
            }
            outcomes.push((failed.index, outcome));
            rest = behind;
        }
        outcomes
    }

    /// Stores a record as a dead letter. If that fails, the record counts as failed.
    async fn store_dead_letter<T>(
        &self,
        record: &Record<T>,
        error: &(dyn std::error::Error + Sync),
        now: Timestamp,
    ) -> Outcome {
        let dead_letter = DeadLetter {
            function: self.function,
            id: record.id.clone(),
            at: now,
            reason: chain(error),
            payload: record.payload.clone(),
        };
        tracing::error!(
            record.id = dead_letter.id,
            error = dead_letter.reason,
            "a record becomes a dead letter"
        );
        match self.dead_letters.store(dead_letter).await {
            Ok(()) => Outcome::DeadLettered,
            Err(error) => {
                tracing::error!(
                    record.id = record.id,
                    error = chain(&*error),
                    "a dead letter could not be stored; its record is delivered again"
                );
                Outcome::Failed
            }
        }
    }
}
