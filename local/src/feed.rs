//! Consumers of the log's changes. Each reads all changes in order, delivers them in batches by the rules of
//! [`streamio_core::delivery`], and stores how far it has read.
//!
//! A stream whose delivery fails is stored as pending and retried separately, so that it never delays other streams, also not
//! after a restart. A crash repeats the batch that it interrupted.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join;
use streamio_core::delivery::batch::{Batch, Record, Report, RetryPolicy};
use streamio_events::commit::Commit;
use streamio_events::error_chain::chain;
use streamio_events::sqlite::SqliteLog;
use tokio_util::sync::CancellationToken;

use crate::changes::{self, Change, Scope};
use crate::clock;
use crate::view_store::SqliteViewStore;

/// How many changes are read at a time.
const BATCH: usize = 512;

/// The pause after a failed delivery or read, doubled up to the maximum while it fails.
const MIN_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(5);

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
    /// Stores positions, pending streams and dead letters.
    pub(crate) store: SqliteViewStore,
    /// Without a limit: an outage of the platform delays a stream and makes no dead letter.
    pub(crate) retry_policy: RetryPolicy,
}

impl Consumer {
    /// Returns a consumer of the commits for which `wants` returns `true`.
    pub(crate) fn new(
        name: &'static str,
        wants: fn(&Commit) -> bool,
        log: SqliteLog,
        store: SqliteViewStore,
    ) -> Self {
        Self { name, wants, log, store, retry_policy: RetryPolicy::since_first_failure(Duration::MAX) }
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
        tokio::select! {
            ((), ()) = join(reading, retrying) => {}
            () = stop.cancelled() => {}
        }
    }

    /// Delivers the next batch of changes. Returns `false` if there were none.
    pub(crate) async fn deliver_next(&self, handler: &dyn DeliverBatch) -> bool {
        let position = self.retry_until_ok(|| self.store.cursor(self.name)).await;
        let changes = self.retry_until_ok(|| changes::read(&self.log, Scope::All, position, BATCH)).await;
        let Some(last) = changes.last() else { return false };
        let end = last.position;
        let records: Vec<_> = changes.into_iter().filter_map(|change| self.record(change)).collect();
        let failed = self.deliver(&records, handler).await;
        self.retry_until_ok(|| self.store.advance(self.name, end, failed.clone())).await;
        true
    }

    /// Delivers the latest change of each pending stream again. Returns whether any failed.
    async fn retry_pending(&self, handler: &dyn DeliverBatch) -> bool {
        let pending = self.retry_until_ok(|| self.store.pending(self.name)).await;
        if pending.is_empty() {
            return false;
        }
        let mut records = Vec::new();
        for position in pending.values() {
            let before = position.saturating_sub(1);
            let changes = self.retry_until_ok(|| changes::read(&self.log, Scope::All, before, 1)).await;
            let same = changes.into_iter().filter(|change| change.position == *position);
            records.extend(same.filter_map(|change| self.record(change)));
        }
        let failed = self.deliver(&records, handler).await;
        let done: BTreeMap<String, u64> =
            pending.into_iter().filter(|(stream, _)| !failed.contains_key(stream)).collect();
        self.retry_until_ok(|| self.store.resolve(self.name, done.clone())).await;
        !failed.is_empty()
    }

    /// Delivers records. Returns the streams that failed, each with the position of its last record.
    async fn deliver(&self, records: &[Record<Commit>], handler: &dyn DeliverBatch) -> BTreeMap<String, u64> {
        if records.is_empty() {
            return BTreeMap::new();
        }
        let batch =
            Batch { function: self.name, dead_letters: &self.store, retry_policy: &self.retry_policy };
        let report = handler.deliver(batch, records).await;
        let failed = records.iter().filter(|record| report.failed.contains(&record.sequence));
        failed
            .filter_map(|record| {
                let stream = match &record.content {
                    Ok(commit) => commit.stream.to_string(),
                    Err(_) => record.id.clone(),
                };
                Some((stream, record.sequence.parse().ok()?))
            })
            .collect()
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

/// Whether `commit` only states that its stream is quarantined: delivering it would only fail again.
pub(crate) fn is_quarantine(commit: &Commit) -> bool {
    commit.events.iter().all(|event| event.kind == "stream.quarantined")
}
