//! Deliveries that race, repeat and fail.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::executor::block_on;
use futures::future::join_all;
use proptest::prelude::*;
use streamio_core::delivery::batch::{Batch, Report, RetryPolicy};
use streamio_core::intake::{Intake, record_batch};
use streamio_events::audit::Verifier;
use streamio_events::commit::{Commit, Head, NewCommit};
use streamio_events::event::RecordedEvent;
use streamio_events::fact::Fact;
use streamio_events::fault::FaultyLog;
use streamio_events::id::CommitId;
use streamio_events::log::{
    AppendError, Appended, EventLog, EventLogExt as _, Expected, LogPage, Part, ReadError, StreamPage,
};
use streamio_events::memory::MemoryLog;
use streamio_events::stream::StreamId;

use crate::fixtures::{DeadLetterStore, at, fact, record};

/// A log that yields to other tasks before and after its operations, as often as a seed determines.
struct YieldingLog<L> {
    inner: L,
    seed: AtomicU64,
}

impl<L> YieldingLog<L> {
    async fn yield_now(&self) {
        let random =
            self.seed.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        for _ in 0..(random >> 62) {
            let mut yielded = false;
            std::future::poll_fn(|context| {
                if std::mem::replace(&mut yielded, true) {
                    return std::task::Poll::Ready(());
                }
                context.waker().wake_by_ref();
                std::task::Poll::Pending
            })
            .await;
        }
    }
}

#[async_trait]
impl<L: EventLog> EventLog for YieldingLog<L> {
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        commit: NewCommit,
    ) -> Result<Appended, AppendError> {
        self.yield_now().await;
        let appended = self.inner.append(stream, expected, commit).await;
        self.yield_now().await;
        appended
    }

    async fn head(&self, stream: &StreamId) -> Result<Head, ReadError> {
        self.yield_now().await;
        self.inner.head(stream).await
    }

    async fn read(&self, stream: &StreamId, from: u64, limit: usize) -> Result<StreamPage, ReadError> {
        self.yield_now().await;
        self.inner.read(stream, from, limit.min(3)).await
    }

    async fn scan(&self, part: Part, after: Option<&str>, limit: usize) -> Result<LogPage, ReadError> {
        self.inner.scan(part, after, limit).await
    }
}

/// Delivers records as Kinesis does: again from the first failed record on, in batches of half the size. When the size is 1, a
/// new process with an empty cache replaces the old one.
async fn consume(log: Arc<dyn EventLog>, deliveries: &[Fact], batch_size: usize) -> Vec<Report> {
    let dead_letters = DeadLetterStore::default();
    let batch = Batch {
        function: "intake",
        dead_letters: &dead_letters,
        retry_policy: &RetryPolicy::since_first_failure(Duration::from_mins(10)),
    };
    let mut intake = Intake::new(Arc::clone(&log));
    let mut reports = Vec::new();
    let (mut from, mut size) = (0, batch_size);
    while from < deliveries.len() {
        assert!(reports.len() < 10_000, "it ends");
        let to = deliveries.len().min(from + size);
        let records: Vec<_> = (from..to).map(|index| record(index, deliveries[index].clone())).collect();
        let report = record_batch(batch, &intake, &records, at(1)).await;
        if let Some(lowest) = report.failed.first() {
            from = lowest.parse().unwrap();
            size = size.div_ceil(2);
            if size == 1 {
                intake = Intake::new(Arc::clone(&log));
            }
        } else {
            (from, size) = (to, batch_size);
        }
        reports.push(report);
    }
    assert!(dead_letters.0.lock().unwrap().is_empty());
    reports
}

fn all(log: &impl EventLog) -> HashMap<StreamId, Vec<Commit>> {
    let mut streams: HashMap<StreamId, Vec<Commit>> = HashMap::new();
    for commit in block_on(log.scan_to_end()).unwrap() {
        streams.entry(commit.stream.clone()).or_default().push(commit);
    }
    streams
}

/// Returns the ids of the facts in a stream's commits, in order. Checks the hash chain, and that all events of a fact are
/// adjacent.
fn recorded_facts(commits: &[Commit], facts: &[Fact]) -> Vec<CommitId> {
    let mut verifier = Verifier::new(commits[0].stream.clone(), None);
    let mut ids: Vec<CommitId> = Vec::new();
    let mut events: Vec<RecordedEvent> = Vec::new();
    for commit in commits {
        verifier.follow(commit).unwrap();
        for event in commit.events.iter().filter(|event| event.kind != "test.raced") {
            let id = event.fact.as_ref().unwrap_or(&commit.id);
            if ids.last() != Some(id) {
                ids.push(id.clone());
            }
            events.push(RecordedEvent { fact: None, ..event.clone() });
        }
    }
    let expected = ids.iter().flat_map(|id| {
        facts
            .iter()
            .find(|fact| &fact.commit().id == id)
            .expect("a fact of this test")
            .commit()
            .events
            .clone()
    });
    assert_eq!(events, expected.collect::<Vec<_>>());
    ids
}

fn any_deliveries() -> impl Strategy<Value = (Vec<Fact>, Vec<Fact>)> {
    let size = prop_oneof![24 => 0usize..200, 1 => 100_000usize..120_000];
    prop::collection::vec((0usize..3, 1usize..4, size), 1..14).prop_flat_map(|shapes| {
        let facts: Vec<Fact> = shapes
            .into_iter()
            .enumerate()
            .map(|(name, (stream, events, bytes))| fact(stream, name, events, bytes))
            .collect();
        let count = facts.len();
        let repeats = prop::collection::vec((0..count, 0..count * 2), 0..8);
        (Just(facts), repeats).prop_map(|(facts, repeats)| {
            let mut deliveries = facts.clone();
            for (which, index) in repeats {
                deliveries.insert(index.min(deliveries.len()), facts[which].clone());
            }
            (facts, deliveries)
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn racing_repeated_and_bisected_deliveries_record_each_fact_once(
        (facts, deliveries) in any_deliveries(),
        seed in any::<u64>(),
        rate in 0u8..100,
        batch_sizes in prop::collection::vec(1usize..12, 1..4),
    ) {
        let memory = MemoryLog::new();
        let faulty = FaultyLog::seeded(memory.clone(), seed, rate);
        let log: Arc<dyn EventLog> = Arc::new(YieldingLog { inner: faulty, seed: seed.into() });
        // Every consumer gets all deliveries, as when an old and a new process read a shard at the same time.
        block_on(join_all(batch_sizes.iter().map(|size| consume(Arc::clone(&log), &deliveries, *size))));
        let streams = all(&memory);
        let mut seen = Vec::new();
        for commits in streams.values() {
            seen.extend(recorded_facts(commits, &facts));
        }
        seen.sort();
        let mut expected: Vec<CommitId> = facts.iter().map(|fact| fact.commit().id.clone()).collect();
        expected.sort();
        prop_assert_eq!(seen, expected);
    }

    #[test]
    fn one_consumer_keeps_the_order_of_each_stream((facts, deliveries) in any_deliveries(), seed in any::<u64>(), size in 1usize..12) {
        let memory = MemoryLog::new();
        let log = Arc::new(FaultyLog::seeded(memory.clone(), seed, 60));
        block_on(consume(log, &deliveries, size));
        for (stream, commits) in all(&memory) {
            // Only the first delivery of a fact counts.
            let mut expected: Vec<CommitId> = Vec::new();
            for fact in deliveries.iter().filter(|fact| fact.stream() == &stream) {
                if !expected.contains(&fact.commit().id) {
                    expected.push(fact.commit().id.clone());
                }
            }
            prop_assert_eq!(recorded_facts(&commits, &facts), expected);
        }
    }
}
