//! Tests of the intake: each fact is in the log exactly once, although deliveries repeat, fail and race.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::executor::block_on;
use futures::future::join_all;
use proptest::prelude::*;
use serde_json::json;
use streamio_core::delivery::batch::{Batch, Record, Report, RetryPolicy};
use streamio_core::intake::{FactOutcome, Intake, RecordFactsError, record_batch};
use streamio_core::ports::AdapterError;
use streamio_core::ports::dead_letters::{DeadLetter, DeadLetters};
use streamio_events::audit::Verifier;
use streamio_events::commit::{Commit, Head, MAX_COMMIT_BYTES, NewCommit};
use streamio_events::event::RecordedEvent;
use streamio_events::fact::Fact;
use streamio_events::fault::{Fault, FaultyLog};
use streamio_events::id::CommitId;
use streamio_events::log::{
    AppendError, Appended, EventLog, EventLogExt as _, Expected, LogPage, Part, ReadError, StreamPage,
};
use streamio_events::memory::MemoryLog;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

fn at(second: i64) -> Timestamp {
    Timestamp::from_unix_seconds(1_767_323_045 + second)
}

fn stream(number: usize) -> StreamId {
    format!("grants/acme/2026010203/{number}").parse().unwrap()
}

/// Returns a fact of `events` events with about `bytes` bytes in total.
fn fact(stream_number: usize, name: usize, events: usize, bytes: usize) -> Fact {
    let event = |number: usize| RecordedEvent {
        kind: "galaxy.collided".to_owned(),
        version: 1,
        at: at(0),
        data: json!({ "fact": name, "number": number, "padding": "x".repeat(bytes / events) }),
        fact: None,
    };
    let commit = NewCommit {
        id: CommitId::derived_from(&["fact", &name.to_string()]),
        events: (0..events).map(event).collect(),
        recorded_at: at(i64::try_from(name).unwrap()),
    };
    Fact::new(stream(stream_number), commit).unwrap()
}

fn record(index: usize, fact: Fact) -> Record<Fact> {
    Record {
        sequence: index.to_string(),
        id: format!("shard:{index}"),
        arrived_at: at(0),
        payload: fact.json().to_owned(),
        content: Ok(fact),
    }
}

#[derive(Default)]
struct DeadLetterStore(Mutex<Vec<DeadLetter>>);

#[async_trait]
impl DeadLetters for DeadLetterStore {
    async fn keep(&self, dead_letter: DeadLetter) -> Result<(), AdapterError> {
        self.0.lock().unwrap().push(dead_letter);
        Ok(())
    }
}

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

fn record_all(intake: &Intake, facts: &[Fact]) -> (Vec<FactOutcome>, Option<RecordFactsError>) {
    let commits: Vec<&NewCommit> = facts.iter().map(Fact::commit).collect();
    let recorded = block_on(intake.record_facts(facts[0].stream(), &commits, at(100)));
    (recorded.outcomes, recorded.failure)
}

fn commits(log: &MemoryLog) -> Vec<Commit> {
    block_on(log.read_to_end(&stream(0), 1)).unwrap()
}

#[test]
fn one_fact_is_a_plain_commit_and_several_are_merged_into_one() {
    let log = MemoryLog::new();
    let intake = Intake::new(Arc::new(log.clone()));
    let facts: Vec<Fact> = (0..4).map(|name| fact(0, name, 1, 0)).collect();
    assert_eq!(record_all(&intake, &facts[..1]).0, [FactOutcome::Appended]);
    assert_eq!(
        record_all(&intake, &facts).0,
        [FactOutcome::Duplicate, FactOutcome::Appended, FactOutcome::Appended, FactOutcome::Appended]
    );
    let commits = commits(&log);
    let [plain, merged] = &commits[..] else { panic!("{commits:?}") };
    assert_eq!((&plain.id, &plain.events), (&facts[0].commit().id, &facts[0].commit().events));
    assert_eq!((plain.recorded_at, merged.recorded_at), (at(100), at(100)), "the time of recording");
    for (event, fact) in merged.events.iter().zip(&facts[1..]) {
        assert_eq!(event.fact.as_ref(), Some(&fact.commit().id));
    }
    let found = block_on(log.find(&stream(0), &facts[2].commit().id)).unwrap();
    assert_eq!(found.as_ref(), Some(merged));
}

/// The state at a past time never changes.
#[test]
fn a_late_fact_is_recorded_at_its_arrival_and_not_before_recorded_ones() {
    let log = MemoryLog::new();
    let intake = Intake::new(Arc::new(log.clone()));
    let facts: Vec<Fact> = (0..2).map(|name| fact(0, name, 1, 0)).collect();
    for (fact, now) in [(&facts[0], 200), (&facts[1], 150)] {
        let recorded = block_on(intake.record_facts(fact.stream(), &[fact.commit()], at(now)));
        assert_eq!(recorded.outcomes, [FactOutcome::Appended]);
    }
    let recorded: Vec<Timestamp> = commits(&log).iter().map(|commit| commit.recorded_at).collect();
    assert_eq!(recorded, [at(200), at(200)]);
    assert_eq!(commits(&log)[0].events[0].at, facts[0].commit().events[0].at, "the event keeps its own time");
}

#[test]
fn facts_too_large_for_one_commit_become_several() {
    let log = MemoryLog::new();
    let intake = Intake::new(Arc::new(log.clone()));
    let facts: Vec<Fact> = (0..9).map(|name| fact(0, name, 2, 100_000)).collect();
    assert_eq!(record_all(&intake, &facts).0, [FactOutcome::Appended; 9]);
    let counts: Vec<usize> = commits(&log).iter().map(|commit| commit.events.len()).collect();
    assert_eq!(counts, [6, 6, 6]);
}

/// Numbers are longer in canonical form than in the fact's JSON, so the estimate is too low.
#[test]
fn facts_whose_canonical_form_is_longer_are_split_further() {
    let log = MemoryLog::new();
    let intake = Intake::new(Arc::new(log.clone()));
    let numbers = |name: usize| {
        let event = RecordedEvent {
            kind: "galaxy.collided".to_owned(),
            version: 1,
            at: at(0),
            data: json!(vec![1e-6; 20_000]),
            fact: None,
        };
        let id = CommitId::derived_from(&["numbers", &name.to_string()]);
        Fact::new(stream(0), NewCommit { id, events: vec![event], recorded_at: at(0) }).unwrap()
    };
    let facts: Vec<Fact> = (0..4).map(numbers).collect();
    let estimate: usize = facts[..3].iter().map(|fact| fact.json().len()).sum();
    assert!(estimate < MAX_COMMIT_BYTES, "by estimate, three fit");
    let (outcomes, failure) = record_all(&intake, &facts);
    assert!(failure.is_none(), "{failure:?}");
    assert_eq!(outcomes, [FactOutcome::Appended; 4]);
    assert!(commits(&log).len() > 2);
}

#[test]
fn a_second_intake_detects_facts_that_the_first_one_merged() {
    let log = MemoryLog::new();
    let (one, other) = (Intake::new(Arc::new(log.clone())), Intake::new(Arc::new(log.clone())));
    let facts: Vec<Fact> = (0..3).map(|name| fact(0, name, 1, 0)).collect();
    assert_eq!(record_all(&other, &facts[2..]).0, [FactOutcome::Appended]);
    assert_eq!(record_all(&one, &facts[..2]).0, [FactOutcome::Appended; 2]);
    // Its cache lacks a merged commit.
    assert_eq!(record_all(&other, &facts[1..2]).0, [FactOutcome::Duplicate]);
    assert_eq!(commits(&log).len(), 2);
}

#[test]
fn facts_recorded_before_a_lost_response_are_duplicates_when_delivered_again() {
    let log = Arc::new(FaultyLog::scripted(MemoryLog::new(), [Fault::After]));
    let intake = Intake::new(Arc::<FaultyLog<MemoryLog>>::clone(&log));
    let facts: Vec<Fact> = (0..3).map(|name| fact(0, name, 1, 0)).collect();
    let (outcomes, failure) = record_all(&intake, &facts);
    assert!(
        outcomes.is_empty() && matches!(failure, Some(RecordFactsError::Append(AppendError::Unavailable(_))))
    );
    assert_eq!(record_all(&intake, &facts).0, [FactOutcome::Duplicate; 3]);
    assert_eq!(commits(log.inner()).len(), 1);
}

/// In the steady state a batch costs each stream one append and no read.
#[test]
fn appended_commits_are_not_read_again() {
    let log = Arc::new(FaultyLog::scripted(MemoryLog::new(), []));
    let intake = Intake::new(Arc::<FaultyLog<MemoryLog>>::clone(&log));
    record_all(&intake, &[fact(0, 0, 1, 0)]);
    log.plan_reads([Fault::Before]);
    assert_eq!(
        record_all(&intake, &[fact(0, 0, 1, 0), fact(0, 1, 1, 0)]).0,
        [FactOutcome::Duplicate, FactOutcome::Appended]
    );
    assert_eq!(log.injected(), 0, "no read was made");
}

#[test]
fn a_record_that_is_not_a_fact_is_a_dead_letter_and_the_others_are_recorded() {
    let log = MemoryLog::new();
    let dead_letters = DeadLetterStore::default();
    let batch = Batch {
        function: "intake",
        dead_letters: &dead_letters,
        retry_policy: &RetryPolicy::since_first_failure(Duration::from_mins(10)),
    };
    let unreadable = Record {
        sequence: "1".to_owned(),
        id: "shard:1".to_owned(),
        arrived_at: at(0),
        payload: "the whole record".to_owned(),
        content: Fact::from_json(b"{").map_err(AdapterError::from),
    };
    let records = [record(0, fact(0, 0, 1, 0)), unreadable, record(2, fact(0, 1, 1, 0))];
    let report = block_on(record_batch(batch, &Intake::new(Arc::new(log.clone())), &records, at(1)));
    assert_eq!(report, Report { handled: 2, failed: Vec::new(), dead_lettered: 1 });
    let dead_letters = dead_letters.0.lock().unwrap();
    assert_eq!(dead_letters[0].payload, "the whole record");
    assert!(
        dead_letters[0].reason.starts_with("it is not the JSON of a fact: EOF"),
        "{}",
        dead_letters[0].reason
    );
    assert_eq!(commits(&log).len(), 1);
}

/// A log that refuses commits with fact 1.
struct RefusingLog(MemoryLog);

#[async_trait]
impl EventLog for RefusingLog {
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        commit: NewCommit,
    ) -> Result<Appended, AppendError> {
        if commit.events.iter().any(|event| event.data["fact"] == 1) {
            let reason = "fact 1 is refused".to_owned();
            return Err(AppendError::Invalid { stream: stream.clone(), reason });
        }
        self.0.append(stream, expected, commit).await
    }

    async fn head(&self, stream: &StreamId) -> Result<Head, ReadError> {
        self.0.head(stream).await
    }

    async fn read(&self, stream: &StreamId, from: u64, limit: usize) -> Result<StreamPage, ReadError> {
        self.0.read(stream, from, limit).await
    }

    async fn scan(&self, part: Part, after: Option<&str>, limit: usize) -> Result<LogPage, ReadError> {
        self.0.scan(part, after, limit).await
    }
}

#[test]
fn only_the_fact_that_the_log_refuses_becomes_a_dead_letter() {
    let log = MemoryLog::new();
    let dead_letters = DeadLetterStore::default();
    let batch = Batch {
        function: "intake",
        dead_letters: &dead_letters,
        retry_policy: &RetryPolicy::since_first_failure(Duration::from_mins(10)),
    };
    let intake = Intake::new(Arc::new(RefusingLog(log.clone())));
    let records: Vec<_> = (0..4).map(|name| record(name, fact(0, name, 1, 0))).collect();
    let report = block_on(record_batch(batch, &intake, &records, at(1)));
    assert_eq!(report, Report { handled: 3, failed: Vec::new(), dead_lettered: 1 });
    let dead_letters = dead_letters.0.lock().unwrap();
    assert_eq!(dead_letters[0].id, "shard:1");
    let kinds: Vec<(String, Option<u64>)> = commits(&log)
        .iter()
        .flat_map(|commit| &commit.events)
        .map(|event| (event.kind.clone(), event.data["fact"].as_u64()))
        .collect();
    let collided = |fact| ("galaxy.collided".to_owned(), Some(fact));
    assert_eq!(
        kinds,
        [collided(0), ("stream.quarantined".to_owned(), None), collided(2), collided(3)],
        "the stream shows where a fact is missing"
    );
}
