//! The rule for batches, held against every mix of outcomes.

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

/// What happens to a record, delivery after delivery; the last one for ever.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Success,
    Passing,
    Final,
}

#[derive(Debug, Clone)]
struct Planned {
    stream: u8,
    /// `None`: not readable.
    fates: Option<Vec<Fate>>,
    old: bool,
    /// How many deliveries it takes until a dead letter of it can be kept.
    unkept: usize,
}

#[derive(Debug, thiserror::Error)]
#[error("record {place} cannot be handled")]
struct Failed {
    place: usize,
    #[source]
    cause: Cause,
}

#[derive(Debug, thiserror::Error)]
#[error("{0:?}")]
struct Cause(Fate);

impl Retryable for Failed {
    fn is_retryable(&self) -> bool {
        self.cause.0 == Fate::Passing
    }
}

#[derive(Default)]
struct World {
    plan: Vec<Planned>,
    delivery: usize,
    /// Places in the order in which they were handled in this delivery.
    handled: Mutex<Vec<usize>>,
    quarantined: Mutex<Vec<usize>>,
    letters: Mutex<BTreeMap<String, DeadLetter>>,
}

impl World {
    fn fate(&self, place: usize) -> Fate {
        let fates = self.plan[place].fates.as_ref().expect("it is readable");
        fates.get(self.delivery).or(fates.last()).copied().unwrap_or(Fate::Success)
    }

    fn records(&self, from: usize) -> Vec<Record<usize>> {
        (from..self.plan.len())
            .map(|place| Record {
                sequence: place.to_string(),
                id: format!("shard:{place}"),
                arrived_at: if self.plan[place].old {
                    Timestamp::from_unix_millis(
                        now().unix_millis() - i64::try_from(GIVE_UP_AFTER.as_millis()).unwrap(),
                    )
                } else {
                    now()
                },
                payload: format!("payload {place}"),
                content: match self.plan[place].fates {
                    Some(_) => Ok(place),
                    None => Err("it cannot be read".into()),
                },
            })
            .collect()
    }

    fn deliver(&mut self, from: usize) -> Report {
        self.handled.lock().unwrap().clear();
        let batch =
            Batch { function: "test", dead_letters: self, retry_policy: &RetryPolicy::of_age(GIVE_UP_AFTER) };
        block_on(batch.run(&self.records(from), self, now()))
    }
}

#[async_trait]
impl Handler for World {
    type Item = usize;
    type Error = Failed;

    fn stream(&self, place: &usize) -> StreamId {
        format!("grants/acme/2026010203/{}", self.plan[*place].stream).parse().unwrap()
    }

    async fn handle(&self, stream: &StreamId, places: &[&usize]) -> Progress<Failed> {
        for (index, place) in places.iter().enumerate() {
            assert_eq!(&self.stream(place), stream);
            // Streams take turns.
            yield_once().await;
            match self.fate(**place) {
                Fate::Success => self.handled.lock().unwrap().push(**place),
                fate => return Progress::until(index, Failed { place: **place, cause: Cause(fate) }),
            }
        }
        Progress::all(places.len())
    }

    async fn quarantine(&self, stream: &StreamId, place: &usize, error: &Failed) {
        assert_eq!((&self.stream(place), error.place), (stream, *place));
        self.quarantined.lock().unwrap().push(*place);
    }
}

#[async_trait]
impl DeadLetters for World {
    async fn keep(&self, letter: DeadLetter) -> Result<(), AdapterError> {
        let place: usize = letter.id.strip_prefix("shard:").unwrap().parse().unwrap();
        if self.delivery < self.plan[place].unkept {
            return Err("no room".into());
        }
        self.letters.lock().unwrap().insert(letter.id.clone(), letter);
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

fn any_plan() -> impl Strategy<Value = Vec<Planned>> {
    let fate = prop_oneof![4 => Just(Fate::Success), 2 => Just(Fate::Passing), 1 => Just(Fate::Final)];
    let fates = prop_oneof![9 => prop::collection::vec(fate, 1..4).prop_map(Some), 1 => Just(None)];
    let planned = (0u8..4, fates, prop::bool::weighted(0.2), 0usize..3)
        .prop_map(|(stream, fates, old, unkept)| Planned { stream, fates, old, unkept });
    prop::collection::vec(planned, 0..24)
}

proptest! {
    #[test]
    fn every_record_is_handled_or_failed_or_a_dead_letter(plan in any_plan()) {
        let mut world = World { plan, ..World::default() };
        let report = world.deliver(0);
        let handled: BTreeSet<usize> = world.handled.lock().unwrap().iter().copied().collect();
        let failed: BTreeSet<usize> = report.failed.iter().map(|sequence| sequence.parse().unwrap()).collect();
        let letters: BTreeSet<usize> =
            world.letters.lock().unwrap().keys().map(|id| id["shard:".len()..].parse().unwrap()).collect();
        prop_assert_eq!(report.handled, handled.len());
        prop_assert_eq!(report.dead_lettered, letters.len());
        prop_assert_eq!(report.failed.len(), failed.len());
        let all: Vec<usize> = handled.iter().chain(&failed).chain(&letters).copied().collect();
        prop_assert_eq!(all.len(), world.plan.len(), "one outcome each");
        prop_assert_eq!(all.into_iter().collect::<BTreeSet<_>>().len(), world.plan.len());
        // A record fails only when it may pass or its letter cannot be kept, or behind such a one of its stream.
        let mut stopped = BTreeSet::new();
        for (place, planned) in world.plan.iter().enumerate() {
            let Some(_) = &planned.fates else {
                prop_assert_eq!(failed.contains(&place), planned.unkept > 0);
                continue;
            };
            let passing = world.fate(place) == Fate::Passing && !planned.old;
            let unkept = world.fate(place) != Fate::Success && planned.unkept > 0;
            let expected = passing || unkept || stopped.contains(&planned.stream);
            prop_assert_eq!(failed.contains(&place), expected, "record {}", place);
            if expected {
                stopped.insert(planned.stream);
            }
            prop_assert_eq!(world.quarantined.lock().unwrap().contains(&place), letters.contains(&place));
        }
    }

    /// As a source delivers: from the lowest failed record on, until nothing fails.
    #[test]
    fn over_all_deliveries_each_stream_is_handled_in_order_and_nothing_is_lost(plan in any_plan()) {
        let mut world = World { plan, ..World::default() };
        let mut first_handled: HashMap<usize, (usize, usize)> = HashMap::new();
        let mut from = 0;
        loop {
            prop_assert!(world.delivery < 1000, "it ends");
            let report = world.deliver(from);
            let handled = world.handled.lock().unwrap().clone();
            for stream in 0..4 {
                let of_stream: Vec<usize> =
                    handled.iter().copied().filter(|place| world.plan[*place].stream == stream).collect();
                prop_assert!(of_stream.is_sorted(), "{:?}", of_stream);
            }
            for (order, place) in handled.iter().enumerate() {
                first_handled.entry(*place).or_insert((world.delivery, order));
            }
            let failed: Vec<usize> = report.failed.iter().map(|sequence| sequence.parse().unwrap()).collect();
            prop_assert!(failed.is_sorted());
            let Some(lowest) = failed.first() else { break };
            for (place, planned) in world.plan.iter().enumerate().skip(from) {
                // What stands behind a failure of its stream has not been handled in this delivery.
                let behind = failed.iter().any(|it| *it < place && world.plan[*it].fates.is_some() && world.plan[*it].stream == planned.stream);
                prop_assert!(!(behind && handled.contains(&place)));
            }
            from = *lowest;
            world.delivery += 1;
            // A fate that never changes passes when the record is old enough.
            if world.delivery > 6 {
                world.plan.iter_mut().for_each(|planned| planned.old = true);
            }
        }
        for place in 0..world.plan.len() {
            let kept = world.letters.lock().unwrap().contains_key(&format!("shard:{place}"));
            prop_assert!(kept || first_handled.contains_key(&place), "record {} is lost", place);
        }
        // One that was given up may come again with those of other streams, and then succeed: it has lost its place.
        let given_up: BTreeSet<String> = world.letters.lock().unwrap().keys().cloned().collect();
        for stream in 0..4 {
            let firsts: Vec<_> = (0..world.plan.len())
                .filter(|place| world.plan[*place].stream == stream)
                .filter(|place| !given_up.contains(&format!("shard:{place}")))
                .filter_map(|place| first_handled.get(&place))
                .collect();
            prop_assert!(firsts.is_sorted(), "stream {}: {:?}", stream, firsts);
        }
    }
}

fn planned(stream: u8, fates: &[Fate]) -> Planned {
    Planned { stream, fates: Some(fates.to_vec()), old: false, unkept: 0 }
}

#[test]
fn a_failure_of_one_stream_stops_no_other() {
    let plan = vec![
        planned(1, &[Fate::Success]),
        planned(2, &[Fate::Passing]),
        planned(1, &[Fate::Success]),
        planned(2, &[Fate::Success]),
    ];
    let mut world = World { plan, ..World::default() };
    let report = world.deliver(0);
    assert_eq!(*world.handled.lock().unwrap(), [0, 2]);
    let answer = serde_json::to_string(&report.answer()).unwrap();
    assert_eq!(answer, r#"{"batchItemFailures":[{"itemIdentifier":"1"},{"itemIdentifier":"3"}]}"#);
}

#[test]
fn an_empty_answer_is_success() {
    let mut world = World { plan: vec![planned(1, &[Fate::Success])], ..World::default() };
    let report = world.deliver(0);
    assert_eq!(serde_json::to_string(&report.answer()).unwrap(), r#"{"batchItemFailures":[]}"#);
}

#[test]
fn a_dead_letter_has_the_whole_record_and_all_causes() {
    let mut world = World { plan: vec![planned(1, &[Fate::Final])], ..World::default() };
    let report = world.deliver(0);
    assert_eq!(report, Report { handled: 0, failed: Vec::new(), dead_lettered: 1 });
    let letters = world.letters.lock().unwrap();
    let expected = DeadLetter {
        function: "test",
        id: "shard:0".to_owned(),
        at: now(),
        reason: "record 0 cannot be handled: Final".to_owned(),
        payload: "payload 0".to_owned(),
    };
    assert_eq!(letters.values().collect::<Vec<_>>(), [&expected]);
}

/// After an outage all records are old. The first error behind it is no reason to give them up.
#[test]
fn patience_with_tries_begins_with_the_first_failure_however_old_the_record_is() {
    let record = || Record {
        sequence: "0".to_owned(),
        id: "shard:0".to_owned(),
        arrived_at: Timestamp::from_unix_seconds(0),
        payload: String::new(),
        content: Ok(0),
    };
    let plan = vec![planned(1, &[Fate::Passing])];
    let (world, retry_policy) = (World { plan, ..World::default() }, RetryPolicy::of_tries(GIVE_UP_AFTER));
    let batch = Batch { function: "test", dead_letters: &world, retry_policy: &retry_policy };
    for (seconds, given_up) in [(0, 0), (599, 0), (600, 1)] {
        let at = now().plus(Duration::from_secs(seconds));
        let report = block_on(batch.run(&[record()], &world, at));
        assert_eq!((report.dead_lettered, report.failed.len()), (given_up, 1 - given_up), "{seconds} s");
    }
}

/// A handler that says it did less than all and names no failure.
#[test]
fn what_a_handler_leaves_out_comes_again() {
    struct Lazy;
    #[async_trait]
    impl Handler for Lazy {
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
    let world = World::default();
    let batch =
        Batch { function: "test", dead_letters: &world, retry_policy: &RetryPolicy::of_age(GIVE_UP_AFTER) };
    let record = |place: usize| Record {
        sequence: place.to_string(),
        id: place.to_string(),
        arrived_at: now(),
        payload: String::new(),
        content: Ok(()),
    };
    let report = block_on(batch.run(&[record(0), record(1), record(2)], &Lazy, now()));
    assert_eq!((report.handled, report.failed), (1, vec!["1".to_owned(), "2".to_owned()]));
}
