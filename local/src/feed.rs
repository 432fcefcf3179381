//! Consumers of the log's changes. Each reads all changes in order, delivers them in batches by the rules of
//! [`streamio_core::delivery`], and stores how far it has read.
//!
//! The changes of a stream are delivered in their order. A stream whose delivery fails is pending: from the failed change on, all of its
//! changes are delivered separately, so that it never delays other streams, also not after a restart. No change is left out, because a
//! handler may act on each. A crash repeats the batch that it interrupted.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join3;
use streamio_core::delivery::batch::{Batch, Record, Report, RetryPolicy};
use streamio_events::commit::Commit;
use streamio_events::error_chain::chain;
use streamio_events::sqlite::SqliteLog;
use tokio_util::sync::CancellationToken;

mod redrive;

use crate::changes::{self, Change, Scope};
use crate::clock;
use crate::view_store::{SqliteViewStore, Undelivered};

/// How many changes the platform reads at a time.
const BATCH: usize = 512;

/// The pause after a failed delivery or read, doubled up to the maximum while it fails.
const MIN_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// The pause between two looks at which dead letters an operator wants to be handled again.
const REDRIVE_PAUSE: Duration = Duration::from_millis(500);

/// Handles a batch by the rules of [`Batch`].
#[async_trait]
pub(crate) trait DeliverBatch: Send + Sync {
    /// Runs `batch` on `records`.
    async fn deliver(&self, batch: Batch<'_>, records: &[Record<Commit>]) -> Report;
}

/// A consumer.
pub(crate) struct Consumer {
    /// The name under which its position and pending streams are stored.
    pub(crate) name: &'static str,
    /// Whether a commit is delivered.
    pub(crate) wants: fn(&Commit) -> bool,
    /// The log.
    pub(crate) log: SqliteLog,
    /// Stores positions, pending changes and dead letters.
    pub(crate) store: SqliteViewStore,
    /// Without a limit: an outage of the platform delays a stream and makes no dead letter.
    pub(crate) retry_policy: RetryPolicy,
    /// How many changes are read at a time.
    pub(crate) batch: usize,
}

impl Consumer {
    /// Returns a consumer of the commits for which `wants` returns `true`.
    pub(crate) fn new(
        name: &'static str,
        wants: fn(&Commit) -> bool,
        log: SqliteLog,
        store: SqliteViewStore,
    ) -> Self {
        let retry_policy = RetryPolicy::since_first_failure(Duration::MAX);
        Self { name, wants, log, store, retry_policy, batch: BATCH }
    }

    /// Delivers changes to `handler` until `stop`.
    pub(crate) async fn run(&self, stop: CancellationToken, handler: &dyn DeliverBatch) {
        let mut changed = self.log.watch();
        let reading = async {
            loop {
                changed.borrow_and_update();
                if !self.deliver_next(handler).await && changed.changed().await.is_err() {
                    return;
                }
            }
        };
        let retrying = async {
            let mut pause = MIN_PAUSE;
            loop {
                tokio::time::sleep(pause).await;
                let has_failed = self.retry_pending(handler).await;
                pause = if has_failed { (pause * 2).min(MAX_PAUSE) } else { MIN_PAUSE * 10 };
            }
        };
        let redriving = async {
            loop {
                tokio::time::sleep(REDRIVE_PAUSE).await;
                self.redrive_requested(handler).await;
            }
        };
        tokio::select! {
            ((), (), ()) = join3(reading, retrying, redriving) => {}
            () = stop.cancelled() => {}
        }
    }

    /// Delivers the next batch of changes, except those of pending streams, which become pending too. Returns `false` if there were no
    /// changes.
    pub(crate) async fn deliver_next(&self, handler: &dyn DeliverBatch) -> bool {
        let position = self.retry_until_ok(|| self.store.cursor(self.name)).await;
        let changes =
            self.retry_until_ok(|| changes::read(&self.log, Scope::All, position, self.batch)).await;
        let Some(last) = changes.last() else { return false };
        let end = last.position;
        // A stream can become pending only here. If it is delivered meanwhile, its new changes are pending for a moment.
        let pending = self.retry_until_ok(|| self.store.pending(self.name)).await;
        let records = changes.into_iter().filter_map(|change| self.record(change));
        let (waiting, records): (Vec<_>, Vec<_>) =
            records.partition(|record| pending.contains_key(&stream_of(record)));
        let mut undelivered = self.deliver(&records, handler).await;
        undelivered.extend(ranges(waiting.iter()));
        self.retry_until_ok(|| self.store.advance(self.name, end, undelivered.clone())).await;
        true
    }

    /// Delivers the pending changes. Returns whether any failed.
    pub(crate) async fn retry_pending(&self, handler: &dyn DeliverBatch) -> bool {
        let mut pending = self.retry_until_ok(|| self.store.pending(self.name)).await.into_iter().peekable();
        let mut has_failed = false;
        while pending.peek().is_some() {
            let (mut records, mut next) = (Vec::new(), BTreeMap::new());
            while records.len() < self.batch
                && let Some((stream, undelivered)) = pending.next()
            {
                let changes = self.undelivered_changes(&stream, undelivered).await;
                let end = match changes.last() {
                    Some(last) if changes.len() >= self.batch => last.position,
                    _ => undelivered.last,
                };
                next.insert(stream, end.saturating_add(1));
                records.extend(changes.into_iter().filter_map(|change| self.record(change)));
            }
            for (stream, undelivered) in self.deliver(&records, handler).await {
                has_failed = true;
                next.insert(stream, undelivered.first);
            }
            self.retry_until_ok(|| self.store.resolve(self.name, next.clone())).await;
        }
        has_failed
    }

    /// Reads the first of the changes of `stream` that are to be delivered, at most one more than a batch.
    async fn undelivered_changes(&self, stream: &str, undelivered: Undelivered) -> Vec<Change> {
        let Undelivered { first, last } = undelivered;
        // The first one by its position, because the name of its stream may be damaged. It may be of another stream: after a batch, the
        // first position to be delivered is the one after the last of the batch.
        let before = first.saturating_sub(1);
        let mut changes = self.retry_until_ok(|| changes::read(&self.log, Scope::All, before, 1)).await;
        changes.retain(|change| change.position == first && change.stream() == stream);
        let scope = Scope::Stream(stream);
        let following = self.retry_until_ok(|| changes::read(&self.log, scope, first, self.batch)).await;
        changes.extend(following.into_iter().take_while(|change| change.position <= last));
        changes
    }

    /// Delivers records. Returns the changes that are to be delivered again.
    async fn deliver(
        &self,
        records: &[Record<Commit>],
        handler: &dyn DeliverBatch,
    ) -> BTreeMap<String, Undelivered> {
        if records.is_empty() {
            return BTreeMap::new();
        }
        let batch =
            Batch { function: self.name, dead_letters: &self.store, retry_policy: &self.retry_policy };
        let report = handler.deliver(batch, records).await;
        ranges(records.iter().filter(|record| report.failed.contains(&record.sequence)))
    }

    /// Returns the record of a change that is to be delivered.
    fn record(&self, change: Change) -> Option<Record<Commit>> {
        let sequence = change.position.to_string();
        let arrived_at = clock::now();
        let (id, payload, content) = match change.commit {
            Ok(commit) => {
                if !(self.wants)(&commit) {
                    return None;
                }
                let payload = serde_json::to_string(&commit).unwrap_or_default();
                (sequence.clone(), payload, Ok(commit))
            }
            Err(damaged) => {
                tracing::error!(consumer = self.name, error = %damaged, "a damaged commit is skipped");
                (damaged.stream.clone(), damaged.to_string(), Err(damaged.into()))
            }
        };
        Some(Record { sequence, id, arrived_at, payload, content })
    }

    /// Repeats `work` until it succeeds, with growing pauses.
    async fn retry_until_ok<T, E, F>(&self, work: impl Fn() -> F) -> T
    where
        E: std::error::Error + Send + Sync + 'static,
        F: Future<Output = Result<T, E>>,
    {
        let mut pause = MIN_PAUSE;
        loop {
            match work().await {
                Ok(value) => return value,
                Err(error) => {
                    tracing::error!(
                        consumer = self.name,
                        error = chain(&error),
                        "the log or the views are not available; retrying"
                    );
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(MAX_PAUSE);
                }
            }
        }
    }
}

/// The name of the stream of a record, which may be damaged.
fn stream_of(record: &Record<Commit>) -> String {
    match &record.content {
        Ok(commit) => commit.stream.to_string(),
        Err(_) => record.id.clone(),
    }
}

/// The first and the last of the records of each stream, by their positions.
fn ranges<'a>(records: impl Iterator<Item = &'a Record<Commit>>) -> BTreeMap<String, Undelivered> {
    let mut ranges: BTreeMap<String, Undelivered> = BTreeMap::new();
    for record in records {
        let position = record.sequence.parse().expect("it is a position in the log");
        let range =
            ranges.entry(stream_of(record)).or_insert(Undelivered { first: position, last: position });
        *range = Undelivered { first: range.first.min(position), last: range.last.max(position) };
    }
    ranges
}

/// Whether `commit` only states that its stream is quarantined: delivering it would only fail again.
pub(crate) fn is_quarantine(commit: &Commit) -> bool {
    commit.events.iter().all(|event| event.kind == "stream.quarantined")
}

#[cfg(test)]
mod tests;
