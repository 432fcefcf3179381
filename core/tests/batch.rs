//! Tests of batches with every mix of outcomes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use futures::executor::block_on;
use proptest::prelude::*;
use streamio_core::delivery::batch::{Batch, Handler, Progress, Record, Report, RetryPolicy};
use streamio_core::ports::AdapterError;
use streamio_core::ports::dead_letters::{DeadLetter, DeadLetters};
use streamio_events::retryable::Retryable;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

const GIVE_UP_AFTER: Duration = Duration::from_mins(10);

fn now() -> Timestamp {
    Timestamp::from_unix_seconds(1_767_323_045)
}

/// The result of handling a record.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Success,
    Retryable,
    Permanent,
}

#[derive(Debug, Clone)]
struct PlannedRecord {
    stream: u8,
    /// The result of each delivery; the last one repeats. `None`: the record is unreadable.
    fates: Option<Vec<Fate>>,
    old: bool,
    /// How many attempts to store its dead letter fail.
    failed_stores: usize,
}

#[derive(Debug, thiserror::Error)]
#[error("record {index} cannot be handled")]
struct Failed {
    index: usize,
    #[source]
    cause: Cause,
}

#[derive(Debug, thiserror::Error)]
#[error("{0:?}")]
struct Cause(Fate);

impl Retryable for Failed {
    fn is_retryable(&self) -> bool {
        self.cause.0 == Fate::Retryable
    }
}

/// A handler and a store of dead letters that follow a plan.
#[derive(Default)]
struct PlannedHandler {
    plan: Vec<PlannedRecord>,
    delivery: usize,
    /// The indices of the records handled in this delivery, in order.
    handled: Mutex<Vec<usize>>,
    quarantined: Mutex<Vec<usize>>,
    dead_letters: Mutex<BTreeMap<String, DeadLetter>>,
}

impl PlannedHandler {
    fn fate(&self, index: usize) -> Fate {
        let fates = self.plan[index].fates.as_ref().expect("the record is readable");
        fates.get(self.delivery).or(fates.last()).copied().unwrap_or(Fate::Success)
    }

    fn records(&self, from: usize) -> Vec<Record<usize>> {
        (from..self.plan.len())
            .map(|index| Record {
                sequence: index.to_string(),
                id: format!("shard:{index}"),
                arrived_at: if self.plan[index].old {
                    Timestamp::from_unix_millis(
                        now().unix_millis() - i64::try_from(GIVE_UP_AFTER.as_millis()).unwrap(),
                    )
                } else {
                    now()
                },
                payload: format!("payload {index}"),
                content: match self.plan[index].fates {
                    Some(_) => Ok(index),
                    None => Err("it cannot be read".into()),
                },
            })
            .collect()
    }

    fn deliver(&mut self, from: usize) -> Report {
        self.handled.lock().unwrap().clear();
        let batch = Batch {
            function: "test",
            dead_letters: self,
            retry_policy: &RetryPolicy::since_arrival(GIVE_UP_AFTER),
        };
        block_on(batch.run(&self.records(from), self, now()))
    }
}

#[async_trait]
impl Handler for PlannedHandler {
    type Item = usize;
    type Error = Failed;

    fn stream(&self, index: &usize) -> StreamId {
        format!("grants/acme/2026010203/{}", self.plan[*index].stream).parse().unwrap()
    }

    async fn handle(&self, stream: &StreamId, indices: &[&usize]) -> Progress<Failed> {
        for (count, index) in indices.iter().enumerate() {
            assert_eq!(&self.stream(index), stream);
            // Lets the handlers of other streams run.
            yield_once().await;
            match self.fate(**index) {
                Fate::Success => self.handled.lock().unwrap().push(**index),
                fate => return Progress::until(count, Failed { index: **index, cause: Cause(fate) }),
            }
        }
        Progress::all(indices.len())
    }

    async fn quarantine(&self, stream: &StreamId, index: &usize, error: &Failed) {
        assert_eq!((&self.stream(index), error.index), (stream, *index));
        self.quarantined.lock().unwrap().push(*index);
    }
}

#[async_trait]
impl DeadLetters for PlannedHandler {
    async fn store(&self, dead_letter: DeadLetter) -> Result<(), AdapterError> {
        let index: usize = dead_letter.id.strip_prefix("shard:").unwrap().parse().unwrap();
        if self.delivery < self.plan[index].failed_stores {
            return Err("the store is unavailable".into());
        }
        self.dead_letters.lock().unwrap().insert(dead_letter.id.clone(), dead_letter);
        Ok(())
    }
}

async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            std::task::Poll::Ready(())
        } else {
            context.waker().wake_by_ref();
            std::task::Poll::Pending
        }
    })
    .await;
}

fn any_plan() -> impl Strategy<Value = Vec<PlannedRecord>> {
    let fate = prop_oneof![4 => Just(Fate::Success), 2 => Just(Fate::Retryable), 1 => Just(Fate::Permanent)];
    let fates = prop_oneof![9 => prop::collection::vec(fate, 1..4).prop_map(Some), 1 => Just(None)];
    let planned = (0u8..4, fates, prop::bool::weighted(0.2), 0usize..3)
        .prop_map(|(stream, fates, old, failed_stores)| PlannedRecord { stream, fates, old, failed_stores });
    prop::collection::vec(planned, 0..24)
}

proptest! {
    #[test]
    fn every_record_is_handled_or_failed_or_a_dead_letter(plan in any_plan()) {
        let mut handler = PlannedHandler { plan, ..PlannedHandler::default() };
        let report = handler.deliver(0);
        let handled: BTreeSet<usize> = handler.handled.lock().unwrap().iter().copied().collect();
        let failed: BTreeSet<usize> = report.failed.iter().map(|sequence| sequence.parse().unwrap()).collect();
        let dead: BTreeSet<usize> =
            handler.dead_letters.lock().unwrap().keys().map(|id| id["shard:".len()..].parse().unwrap()).collect();
        prop_assert_eq!(report.handled, handled.len());
        prop_assert_eq!(report.dead_lettered, dead.len());
        prop_assert_eq!(report.failed.len(), failed.len());
        let all: Vec<usize> = handled.iter().chain(&failed).chain(&dead).copied().collect();
        prop_assert_eq!(all.len(), handler.plan.len(), "one outcome each");
        prop_assert_eq!(all.into_iter().collect::<BTreeSet<_>>().len(), handler.plan.len());
        // A record fails only if its error is retryable, its dead letter cannot be stored, or an earlier record of its stream
        // has failed.
        let mut stopped = BTreeSet::new();
        for (index, planned) in handler.plan.iter().enumerate() {
            let Some(_) = &planned.fates else {
                prop_assert_eq!(failed.contains(&index), planned.failed_stores > 0);
                continue;
            };
            let is_retried = handler.fate(index) == Fate::Retryable && !planned.old;
            let is_not_stored = handler.fate(index) != Fate::Success && planned.failed_stores > 0;
            let expected = is_retried || is_not_stored || stopped.contains(&planned.stream);
            prop_assert_eq!(failed.contains(&index), expected, "record {}", index);
            if expected {
                stopped.insert(planned.stream);
            }
            prop_assert_eq!(handler.quarantined.lock().unwrap().contains(&index), dead.contains(&index));
        }
    }

    /// Delivers again from the first failed record on until none fails, as an event source does.
    #[test]
    fn over_all_deliveries_each_stream_is_handled_in_order_and_nothing_is_lost(plan in any_plan()) {
        let mut handler = PlannedHandler { plan, ..PlannedHandler::default() };
        let mut first_handled: HashMap<usize, (usize, usize)> = HashMap::new();
        let mut from = 0;
        loop {
            prop_assert!(handler.delivery < 1000, "it ends");
            let report = handler.deliver(from);
            let handled = handler.handled.lock().unwrap().clone();
            for stream in 0..4 {
                let of_stream: Vec<usize> =
                    handled.iter().copied().filter(|index| handler.plan[*index].stream == stream).collect();
                prop_assert!(of_stream.is_sorted(), "{:?}", of_stream);
            }
            for (order, index) in handled.iter().enumerate() {
                first_handled.entry(*index).or_insert((handler.delivery, order));
            }
            let failed: Vec<usize> = report.failed.iter().map(|sequence| sequence.parse().unwrap()).collect();
            prop_assert!(failed.is_sorted());
            let Some(lowest) = failed.first() else { break };
            for (index, planned) in handler.plan.iter().enumerate().skip(from) {
                // Records after a failure of their stream are not handled in the same delivery.
                let follows_failure = failed.iter().any(|it| *it < index && handler.plan[*it].fates.is_some() && handler.plan[*it].stream == planned.stream);
                prop_assert!(!(follows_failure && handled.contains(&index)));
            }
            from = *lowest;
            handler.delivery += 1;
            // Records that never succeed become dead letters when they are old enough.
            if handler.delivery > 6 {
                handler.plan.iter_mut().for_each(|planned| planned.old = true);
            }
        }
        for index in 0..handler.plan.len() {
            let is_dead = handler.dead_letters.lock().unwrap().contains_key(&format!("shard:{index}"));
            prop_assert!(is_dead || first_handled.contains_key(&index), "record {} is lost", index);
        }
        // Without dead letters, which may be delivered again with other streams and then succeed, out of order.
        let dead: BTreeSet<String> = handler.dead_letters.lock().unwrap().keys().cloned().collect();
        for stream in 0..4 {
            let firsts: Vec<_> = (0..handler.plan.len())
                .filter(|index| handler.plan[*index].stream == stream)
                .filter(|index| !dead.contains(&format!("shard:{index}")))
                .filter_map(|index| first_handled.get(&index))
                .collect();
            prop_assert!(firsts.is_sorted(), "stream {}: {:?}", stream, firsts);
        }
    }
}

fn planned(stream: u8, fates: &[Fate]) -> PlannedRecord {
    PlannedRecord { stream, fates: Some(fates.to_vec()), old: false, failed_stores: 0 }
}

#[test]
fn a_failure_of_one_stream_stops_no_other() {
    let plan = vec![
        planned(1, &[Fate::Success]),
        planned(2, &[Fate::Retryable]),
        planned(1, &[Fate::Success]),
        planned(2, &[Fate::Success]),
    ];
    let mut handler = PlannedHandler { plan, ..PlannedHandler::default() };
    let report = handler.deliver(0);
    assert_eq!(*handler.handled.lock().unwrap(), [0, 2]);
    let response = serde_json::to_string(&report.response()).unwrap();
    assert_eq!(response, r#"{"batchItemFailures":[{"itemIdentifier":"1"},{"itemIdentifier":"3"}]}"#);
}

#[test]
fn an_empty_response_is_success() {
    let mut handler =
        PlannedHandler { plan: vec![planned(1, &[Fate::Success])], ..PlannedHandler::default() };
    let report = handler.deliver(0);
    assert_eq!(serde_json::to_string(&report.response()).unwrap(), r#"{"batchItemFailures":[]}"#);
}

#[test]
fn a_dead_letter_contains_the_whole_record_and_all_causes() {
    let mut handler =
        PlannedHandler { plan: vec![planned(1, &[Fate::Permanent])], ..PlannedHandler::default() };
    let report = handler.deliver(0);
    assert_eq!(report, Report { handled: 0, failed: Vec::new(), dead_lettered: 1 });
    let dead_letters = handler.dead_letters.lock().unwrap();
    let expected = DeadLetter {
        function: "test",
        id: "shard:0".to_owned(),
        at: now(),
        reason: "record 0 cannot be handled: Permanent".to_owned(),
        payload: "payload 0".to_owned(),
    };
    assert_eq!(dead_letters.values().collect::<Vec<_>>(), [&expected]);
}

/// After an outage all records are old, and the first error must not make them dead letters.
#[test]
fn a_policy_since_the_first_failure_ignores_the_age_of_the_record() {
    let record = || Record {
        sequence: "0".to_owned(),
        id: "shard:0".to_owned(),
        arrived_at: Timestamp::from_unix_seconds(0),
        payload: String::new(),
        content: Ok(0),
    };
    let plan = vec![planned(1, &[Fate::Retryable])];
    let (handler, retry_policy) = (
        PlannedHandler { plan, ..PlannedHandler::default() },
        RetryPolicy::since_first_failure(GIVE_UP_AFTER),
    );
    let batch = Batch { function: "test", dead_letters: &handler, retry_policy: &retry_policy };
    for (seconds, dead_letters) in [(0, 0), (599, 0), (600, 1)] {
        let at = now().plus(Duration::from_secs(seconds));
        let report = block_on(batch.run(&[record()], &handler, at));
        assert_eq!(
            (report.dead_lettered, report.failed.len()),
            (dead_letters, 1 - dead_letters),
            "{seconds} s"
        );
    }
}

/// Each instance counts the first failures for itself.
#[test]
fn a_record_becomes_a_dead_letter_before_its_source_drops_it_however_often_instances_change() {
    let oldest = Duration::from_hours(22);
    let handler = PlannedHandler { plan: vec![planned(1, &[Fate::Retryable])], ..PlannedHandler::default() };
    for (age, dead_letters) in [(oldest.saturating_sub(Duration::from_secs(1)), 0), (oldest, 1)] {
        let record = Record {
            sequence: "0".to_owned(),
            id: "shard:0".to_owned(),
            arrived_at: now(),
            payload: String::new(),
            content: Ok(0),
        };
        let retry_policy = RetryPolicy::since_first_failure(GIVE_UP_AFTER).until_age(oldest);
        let batch = Batch { function: "test", dead_letters: &handler, retry_policy: &retry_policy };
        let report = block_on(batch.run(&[record], &handler, now().plus(age)));
        assert_eq!(report.dead_lettered, dead_letters);
    }
}

/// The handler reports fewer handled records than it got, and no failure.
#[test]
fn records_that_a_handler_leaves_out_are_delivered_again() {
    struct IncompleteHandler;
    #[async_trait]
    impl Handler for IncompleteHandler {
        type Item = ();
        type Error = Failed;
        fn stream(&self, (): &()) -> StreamId {
            "project/acme".parse().unwrap()
        }
        async fn handle(&self, _: &StreamId, items: &[&()]) -> Progress<Failed> {
            Progress { handled: items.len() / 2, failure: None }
        }
        async fn quarantine(&self, _: &StreamId, (): &(), _: &Failed) {}
    }
    let handler = PlannedHandler::default();
    let batch = Batch {
        function: "test",
        dead_letters: &handler,
        retry_policy: &RetryPolicy::since_arrival(GIVE_UP_AFTER),
    };
    let record = |index: usize| Record {
        sequence: index.to_string(),
        id: index.to_string(),
        arrived_at: now(),
        payload: String::new(),
        content: Ok(()),
    };
    let report = block_on(batch.run(&[record(0), record(1), record(2)], &IncompleteHandler, now()));
    assert_eq!((report.handled, report.failed), (1, vec!["1".to_owned(), "2".to_owned()]));
}
