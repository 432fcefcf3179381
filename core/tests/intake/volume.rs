//! The cost of a fact is the same at any volume.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::executor::block_on;
use serde_json::json;
use streamio_core::intake::{FactOutcome, Intake};
use streamio_events::commit::{Head, NewCommit};
use streamio_events::event::RecordedEvent;
use streamio_events::id::{CommitId, ProjectId};
use streamio_events::log::{AppendError, Appended, EventLog, Expected, LogPage, Part, ReadError, StreamPage};
use streamio_events::memory::MemoryLog;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

use crate::fixtures::at;

/// A log that counts its requests, and the events that reads return.
#[derive(Default)]
struct CountingLog {
    inner: MemoryLog,
    appends: AtomicUsize,
    reads: AtomicUsize,
    events_read: AtomicUsize,
}

/// What [`CountingLog`] counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cost {
    appends: usize,
    reads: usize,
    events_read: usize,
}

impl CountingLog {
    /// The cost of `work`.
    fn cost_of(&self, work: impl FnOnce()) -> Cost {
        for counter in [&self.appends, &self.reads, &self.events_read] {
            counter.store(0, Ordering::Relaxed);
        }
        work();
        let [appends, reads, events_read] =
            [&self.appends, &self.reads, &self.events_read].map(|counter| counter.load(Ordering::Relaxed));
        Cost { appends, reads, events_read }
    }
}

#[async_trait]
impl EventLog for CountingLog {
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        commit: NewCommit,
    ) -> Result<Appended, AppendError> {
        self.appends.fetch_add(1, Ordering::Relaxed);
        self.inner.append(stream, expected, commit).await
    }

    async fn head(&self, stream: &StreamId) -> Result<Head, ReadError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.inner.head(stream).await
    }

    async fn read(&self, stream: &StreamId, from: u64, limit: usize) -> Result<StreamPage, ReadError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let page = self.inner.read(stream, from, limit).await?;
        let events: usize = page.commits.iter().map(|commit| commit.events.len()).sum();
        self.events_read.fetch_add(events, Ordering::Relaxed);
        Ok(page)
    }

    async fn scan(&self, part: Part, after: Option<&str>, limit: usize) -> Result<LogPage, ReadError> {
        self.inner.scan(part, after, limit).await
    }
}

fn project() -> ProjectId {
    "acme".parse().unwrap()
}

/// The grant with this number, made at `at`.
fn grant(number: usize, at: Timestamp) -> NewCommit {
    let event = RecordedEvent {
        kind: "galaxy.collided".to_owned(),
        version: 1,
        at,
        data: json!({ "grant": number }),
        fact: None,
    };
    NewCommit {
        id: CommitId::derived_from(&["grant", &number.to_string()]),
        events: vec![event],
        recorded_at: at,
    }
}

/// How long grants are made at each rate, in seconds.
const SECONDS: usize = 600;

/// The grants of one of 32 parallel streams while the project makes `per_hour` grants an hour, second by second.
fn grants_of_one_shard(per_hour: usize) -> Vec<Vec<(StreamId, NewCommit)>> {
    let (seconds, per_shard) = (3600, per_hour / 32);
    let second = |second: usize| {
        let at = at(i64::try_from(second).unwrap());
        (second * per_shard / seconds..(second + 1) * per_shard / seconds).map(move |number| {
            let commit = grant(number, at);
            let StreamId::Grants { project_id, interval, .. } = StreamId::grants(project(), at, &commit.id)
            else {
                panic!("a stream of grants")
            };
            (StreamId::Grants { project_id, interval, shard: 0 }, commit)
        })
    };
    (0..SECONDS).map(|number| second(number).collect()).collect()
}

/// Records the grants of a batch, which are all of one stream.
fn record(intake: &Intake, batch: &[(StreamId, NewCommit)], now: Timestamp) -> Vec<FactOutcome> {
    let commits: Vec<&NewCommit> = batch.iter().map(|(_, commit)| commit).collect();
    let recorded = block_on(intake.record_facts(&batch[0].0, &commits, now));
    assert!(recorded.failure.is_none(), "{:?}", recorded.failure);
    recorded.outcomes
}

/// Up to ten million grants of a project in an hour: each batch costs one append, each stream one read that finds nothing, and a grant
/// that is delivered again after the process that recorded it ended costs one read of at most a thousand grants.
#[test]
fn a_grant_costs_the_same_at_any_volume() {
    for per_hour in [10_000, 100_000, 1_000_000, 10_000_000] {
        let log = Arc::new(CountingLog::default());
        let intake = Intake::new(Arc::<CountingLog>::clone(&log));
        let seconds = grants_of_one_shard(per_hour);
        let batches: Vec<_> = seconds.iter().filter(|batch| !batch.is_empty()).collect();
        let cost = log.cost_of(|| {
            for batch in &batches {
                assert_eq!(record(&intake, batch, at(0)), vec![FactOutcome::Appended; batch.len()]);
            }
        });
        let mut streams: Vec<&StreamId> = batches.iter().map(|batch| &batch[0].0).collect();
        streams.dedup();
        let expected = Cost { appends: batches.len(), reads: streams.len(), events_read: 0 };
        assert_eq!(cost, expected, "{per_hour} an hour");
        // Each batch of the last seconds is delivered again, to the same process.
        let latest = &batches[batches.len() - 5..];
        let cost = log.cost_of(|| {
            for batch in latest {
                assert_eq!(record(&intake, batch, at(0)), vec![FactOutcome::Duplicate; batch.len()]);
            }
        });
        assert_eq!(cost, Cost { appends: 0, reads: 0, events_read: 0 }, "{per_hour} an hour");
        // Batches of any time are delivered again, to new processes.
        for batch in batches.iter().step_by(batches.len() / 5) {
            let restarted = Intake::new(Arc::<CountingLog>::clone(&log));
            let cost = log.cost_of(|| {
                assert_eq!(record(&restarted, batch, at(0)), vec![FactOutcome::Duplicate; batch.len()]);
            });
            assert_eq!((cost.appends, cost.reads), (0, 1), "{per_hour} an hour: {cost:?}");
            assert!(cost.events_read <= 1000, "{per_hour} an hour: {cost:?}");
        }
    }
}

/// Several processes append to one stream in turn, as functions do that handle the batches of a shard. None of them repeats what it knows,
/// and only the first append of each that meets another's is refused.
#[test]
fn processes_that_share_a_stream_read_only_what_is_new() {
    const PROCESSES: usize = 4;
    const BATCHES: usize = 40;
    let log = Arc::new(CountingLog::default());
    let intakes: Vec<Intake> = (0..PROCESSES).map(|_| Intake::new(Arc::<CountingLog>::clone(&log))).collect();
    let stream = StreamId::grants(project(), at(0), &CommitId::derived_from(&["grant"]));
    let cost = log.cost_of(|| {
        for number in 0..BATCHES {
            let batch = [(stream.clone(), grant(number, at(0)))];
            assert_eq!(record(&intakes[number % PROCESSES], &batch, at(0)), [FactOutcome::Appended]);
        }
    });
    assert!(cost.appends <= BATCHES + PROCESSES, "{cost:?}");
    assert!(cost.reads <= BATCHES + PROCESSES, "{cost:?}");
    assert!(cost.events_read <= BATCHES * PROCESSES, "each process reads each commit once: {cost:?}");
}

/// A journal in the home region finds the grant of a repeated request in the same time, however much the project grants.
#[test]
fn a_grant_with_an_idempotency_key_is_found_with_one_read() {
    let log = Arc::new(CountingLog::default());
    let intake = Intake::new(Arc::<CountingLog>::clone(&log));
    let keyed = |number: usize| {
        let commit = grant(number, at(0));
        (StreamId::keyed_grant(project(), at(0), commit.id.clone()), commit)
    };
    for number in 0..1000 {
        let cost = log.cost_of(|| {
            assert_eq!(record(&intake, &[keyed(number)], at(0)), [FactOutcome::Appended]);
        });
        assert_eq!(cost, Cost { appends: 1, reads: 0, events_read: 0 });
    }
    let (stream, commit) = keyed(500);
    let cost = log.cost_of(|| {
        let found = block_on(log.find(&stream, &commit.id)).unwrap();
        assert_eq!(found.unwrap().id, commit.id);
    });
    assert_eq!(cost, Cost { appends: 0, reads: 1, events_read: 1 });
    // The same key an hour later: the streams of both hours are looked up.
    let next = StreamId::keyed_grant(project(), at(0).plus(Duration::from_hours(1)), commit.id.clone());
    let cost = log.cost_of(|| assert_eq!(block_on(log.find(&next, &commit.id)).unwrap(), None));
    assert_eq!(cost, Cost { appends: 0, reads: 1, events_read: 0 });
}

/// A ledger of an earlier version has streams of an hour. Facts for them may still be on their way.
#[test]
fn facts_of_an_earlier_versions_stream_are_recorded_once() {
    let log = MemoryLog::new();
    let stream: StreamId = "grants/acme/2026010203/7".parse().unwrap();
    for number in 0..3 {
        let commit = grant(number, at(0));
        block_on(log.append(&stream, Expected::Any, commit)).unwrap();
    }
    let intake = Intake::new(Arc::new(log.clone()));
    let batch: Vec<_> = (1..5).map(|number| (stream.clone(), grant(number, at(0)))).collect();
    let (there, new) = (FactOutcome::Duplicate, FactOutcome::Appended);
    assert_eq!(record(&intake, &batch, at(1)), [there, there, new, new]);
    assert_eq!(block_on(log.head(&stream)).unwrap().version, 5);
}
