//! What is done with a batch of records that a source hands over in order, and what the source is answered.
//!
//! A source (Kinesis, DynamoDB Streams) keeps its records in order and asks one question about a batch: from which record
//! on is it to be delivered again? The records of one batch belong to many streams, which have nothing to do with one
//! another, so the rule is:
//!
//! - the records are grouped by stream; each group is handled in its order, and a failure in one never stops another;
//! - a failure that may pass makes its record, and all of its stream behind it, failures of the batch: they come again;
//! - what will never succeed (not readable, an error that is not retryable, or a record that has
//!   failed for longer than the function's [`RetryPolicy`]) is kept whole among the dead letters, its stream is quarantined, and the group goes on behind it;
//! - a letter that cannot be kept leaves its record where it is: a failure, like all of its stream behind it.
//!
//! So each record of a delivery is handled, or failed, or a dead letter: exactly one of them. All failed records are
//! named in the answer; the source begins again at the first of them
//! (<https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html>), so records of other
//! streams behind it come again although they were handled, or given up. Handlers must take that.

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
const STREAMS_AT_ONCE: usize = 16;

/// One record as its source delivers it.
#[derive(Debug)]
pub struct Record<T> {
    /// By which the source knows the record in an answer: a sequence number.
    pub sequence: String,
    /// By which the record is known for ever, over all shards: the id of a dead letter.
    pub id: String,
    /// Since when the source has had it.
    pub arrived_at: Timestamp,
    /// The record as it came, for a dead letter.
    pub payload: String,
    /// What it says, or why it cannot be read.
    pub content: Result<T, AdapterError>,
}

/// How far a stream's records were handled: the first `handled` of them were, and the next one met `failure`.
#[derive(Debug)]
pub struct Progress<E> {
    /// How many records from the first one on are done with.
    pub handled: usize,
    /// Why the next one is not; `None` when all are.
    pub failure: Option<E>,
}

impl<E> Progress<E> {
    /// All `count` records were handled.
    pub fn all(count: usize) -> Self {
        Self { handled: count, failure: None }
    }

    /// The records before the one with this index were handled, and that one met `failure`.
    pub fn until(index: usize, failure: E) -> Self {
        Self { handled: index, failure: Some(failure) }
    }
}

/// Handles records of one kind.
#[async_trait]
pub trait Handler: Send + Sync {
    /// What a record says.
    type Item: Send + Sync;
    /// Why one is not handled.
    type Error: Retryable;

    /// The stream that `item` is about. Records about one stream are handled in order.
    fn stream(&self, item: &Self::Item) -> StreamId;

    /// Handles `items`, which are about `stream`, in order. They may have been handled before.
    async fn handle(&self, stream: &StreamId, items: &[&Self::Item]) -> Progress<Self::Error>;

    /// Tells operators that `stream` was left behind at `item`, which is now a dead letter.
    async fn quarantine(&self, stream: &StreamId, item: &Self::Item, error: &Self::Error);
}

/// The rule for batches of one function.
#[derive(Clone, Copy)]
pub struct Batch<'a> {
    /// The function, such as `intake`.
    pub function: &'static str,
    /// Where what cannot be handled is kept.
    pub dead_letters: &'a dyn DeadLetters,
    /// For how long a record is tried whose error may pass.
    pub patience: &'a RetryPolicy,
}

/// For how long a record is tried whose error may pass.
///
/// One function instance has one, for all of its batches.
#[derive(Debug)]
pub struct RetryPolicy {
    limit: Duration,
    /// When records failed first, by their ids; `None` where their age counts.
    first_failures: Option<Mutex<LruCache<String, Timestamp>>>,
}

/// As many records fail at a time as batches are large, and batches hold hundreds.
const REMEMBERED_FAILURES: NonZeroUsize = NonZeroUsize::new(10_000).expect("not zero");

impl RetryPolicy {
    /// Until `limit` after a record failed first, however old it was then: a function that comes back from an outage must
    /// not give up the whole backlog at the first error. Another instance, or a new one, begins anew; the source's own
    /// maximum age bounds what that adds up to.
    pub fn of_tries(limit: Duration) -> Self {
        Self { limit, first_failures: Some(Mutex::new(LruCache::new(REMEMBERED_FAILURES))) }
    }

    /// Until the record is as old as `limit`, where the source tries it no longer.
    pub fn of_age(limit: Duration) -> Self {
        Self { limit, first_failures: None }
    }

    /// Whether a record that has failed at `now` is tried again.
    fn tries_again<T>(&self, record: &Record<T>, now: Timestamp) -> bool {
        let since = match &self.first_failures {
            None => record.arrived_at,
            Some(failures) => {
                let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
                *failures.get_or_insert(record.id.clone(), || now)
            }
        };
        now.since(since) < self.limit
    }
}

/// What became of a batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many records were handled.
    pub handled: usize,
    /// The sequence numbers of those to be delivered again, in the batch's order.
    pub failed: Vec<String>,
    /// How many became dead letters.
    pub dead_lettered: usize,
}

/// The answer to the source, `{"batchItemFailures": [{"itemIdentifier": "…"}]}`. One without failures is success.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchAnswer {
    /// The failed records. The source begins again at the lowest sequence number of them.
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
    /// The answer to the source.
    pub fn answer(&self) -> BatchAnswer {
        let item = |sequence: &String| ItemFailure { item_identifier: sequence.clone() };
        BatchAnswer { batch_item_failures: self.failed.iter().map(item).collect() }
    }
}

/// What became of one record.
#[derive(Clone, Copy, PartialEq)]
enum Outcome {
    Handled,
    Failed,
    DeadLettered,
}

/// A record that can be read, and its place in the batch.
struct Entry<'a, T> {
    place: usize,
    record: &'a Record<T>,
    item: &'a T,
}

impl Batch<'_> {
    /// Hands the records, which are in the source's order, to `handler`.
    pub async fn run<H: Handler>(&self, records: &[Record<H::Item>], handler: &H, now: Timestamp) -> Report {
        let mut groups: Vec<(StreamId, Vec<Entry<'_, H::Item>>)> = Vec::new();
        let mut group_of: HashMap<StreamId, usize> = HashMap::new();
        let mut outcomes = vec![Outcome::Failed; records.len()];
        for (place, record) in records.iter().enumerate() {
            match &record.content {
                Ok(item) => {
                    let stream = handler.stream(item);
                    let group = *group_of.entry(stream.clone()).or_insert_with(|| {
                        groups.push((stream, Vec::new()));
                        groups.len() - 1
                    });
                    groups[group].1.push(Entry { place, record, item });
                }
                // Whose stream it would be is not known, so it holds up nobody.
                Err(error) => outcomes[place] = self.set_aside(record, &**error, now).await,
            }
        }
        let running: Vec<_> =
            groups.iter().map(|(stream, entries)| self.run_group(stream, entries, handler, now)).collect();
        let ended: Vec<_> = futures::stream::iter(running).buffer_unordered(STREAMS_AT_ONCE).collect().await;
        for (place, outcome) in ended.into_iter().flatten() {
            outcomes[place] = outcome;
        }
        let count = |wanted| outcomes.iter().filter(|outcome| **outcome == wanted).count();
        let failed = records.iter().zip(&outcomes).filter(|(_, outcome)| **outcome == Outcome::Failed);
        Report {
            handled: count(Outcome::Handled),
            failed: failed.map(|(record, _)| record.sequence.clone()).collect(),
            dead_lettered: count(Outcome::DeadLettered),
        }
    }

    /// Handles one stream's records as far as it gets. Those that the answer does not name have failed.
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
            outcomes.extend(done.iter().map(|entry| (entry.place, Outcome::Handled)));
            let (Some(error), Some((failed, behind))) = (failure, undone.split_first()) else { break };
            if error.is_retryable() && self.patience.tries_again(failed.record, now) {
                tracing::warn!(stream = %stream, error = chain(&error), record.id = failed.record.id, "a record could not be handled and will come again");
                break;
            }
            let outcome = self.set_aside(failed.record, &error, now).await;
            if outcome == Outcome::Failed {
                break;
            }
            handler.quarantine(stream, failed.item, &error).await;
            outcomes.push((failed.place, outcome));
            rest = behind;
        }
        outcomes
    }

    /// Keeps a record as a dead letter; where that fails, it stays where it is.
    async fn set_aside<T>(
        &self,
        record: &Record<T>,
        error: &(dyn std::error::Error + Sync),
        now: Timestamp,
    ) -> Outcome {
        let letter = DeadLetter {
            function: self.function,
            id: record.id.clone(),
            at: now,
            reason: chain(error),
            payload: record.payload.clone(),
        };
        tracing::error!(record.id = letter.id, error = letter.reason, "a record is given up");
        match self.dead_letters.keep(letter).await {
            Ok(()) => Outcome::DeadLettered,
            Err(error) => {
                tracing::error!(
                    record.id = record.id,
                    error = chain(&*error),
                    "a dead letter could not be kept; its record will come again"
                );
                Outcome::Failed
            }
        }
    }
}
