//! Property tests of the state machine of one batch.

use std::time::Duration;

use proptest::prelude::*;
use streamio_events::timestamp::Timestamp;

use super::super::batch_result::BatchResult;
use super::super::delivery::{Delivery, Rules, Step};
use super::super::discarded::DiscardCondition;
use super::super::stream::Record;
use super::records;

/// An upper bound of the steps of these batches.
const MAX_STEPS: usize = 10_000;

/// The result of an invocation, and the time until the next step.
#[derive(Debug, Clone)]
struct Invocation {
    result: ScriptedResult,
    seconds: u8,
}

#[derive(Debug, Clone)]
enum ScriptedResult {
    Done,
    FailedFrom(prop::sample::Index),
    Failed,
    NotReached,
}

fn invocations() -> impl Strategy<Value = Vec<Invocation>> {
    let result = prop_oneof![
        Just(ScriptedResult::Done),
        any::<prop::sample::Index>().prop_map(ScriptedResult::FailedFrom),
        Just(ScriptedResult::Failed),
        Just(ScriptedResult::NotReached),
    ];
    let invocation = (result, 0_u8..4).prop_map(|(result, seconds)| Invocation { result, seconds });
    prop::collection::vec(invocation, 0..40)
}

fn rules() -> impl Strategy<Value = Rules> {
    (prop::option::of(0_u32..4), prop::option::of(0_u64..30), any::<bool>()).prop_map(
        |(maximum_retry_attempts, age, bisects)| Rules {
            maximum_retry_attempts,
            maximum_record_age: age.map(Duration::from_secs),
            bisects,
        },
    )
}

fn sequences(records: &[Record]) -> Vec<usize> {
    records.iter().map(|record| record.sequence.parse().unwrap()).collect()
}

proptest! {
    #[test]
    fn every_record_is_delivered_or_discarded_once_in_order_with_the_right_condition(
        rules in rules(),
        count in 1_usize..20,
        invocations in invocations(),
    ) {
        let batch = records(count);
        let mut delivery = Delivery::new(rules, batch.clone());
        let mut invocations = invocations.into_iter();
        let mut now = Timestamp::from_unix_seconds(0);
        // The first record that is neither delivered nor discarded.
        let mut next = 0;
        let mut attempts = vec![0_u32; count];
        let mut failed = vec![0_u32; count];
        let too_old = |now: Timestamp, record: &Record| {
            rules.maximum_record_age.is_some_and(|age| now.since(record.arrived) > age)
        };
        let mut steps = 0;
        loop {
            steps += 1;
            prop_assert!(steps < MAX_STEPS, "the batch does not end");
            match delivery.step(now) {
                Step::End => break,
                Step::Invoke => {
                    let records = delivery.records();
                    let sent = sequences(records);
                    let len = sent.len();
                    prop_assert_eq!(&sent, &(next..next + len).collect::<Vec<_>>());
                    prop_assert!(records.iter().all(|record| !too_old(now, record)));
                    let invocation = invocations.next().unwrap_or(Invocation { result: ScriptedResult::Done, seconds: 0 });
                    let (result, done) = match invocation.result {
                        ScriptedResult::Done => (BatchResult::Done, len),
                        ScriptedResult::FailedFrom(index) => {
                            let checkpoint = index.index(len);
                            (BatchResult::FailedFrom(checkpoint), checkpoint)
                        }
                        ScriptedResult::Failed => (BatchResult::Failed, 0),
                        ScriptedResult::NotReached => (BatchResult::NotReached, 0),
                    };
                    let recorded = delivery.record_result(result);
                    prop_assert_eq!(recorded.done, done);
                    prop_assert_eq!(recorded.failures.is_none(), result == BatchResult::Done);
                    if result != BatchResult::NotReached {
                        for record in &sent {
                            attempts[*record] += 1;
                            failed[*record] += u32::from(*record >= next + done);
                        }
                    }
                    next += done;
                    now = now.plus(Duration::from_secs(invocation.seconds.into()));
                }
                Step::Discard(discarded) => {
                    let removed = sequences(&discarded.records);
                    prop_assert!(!removed.is_empty());
                    prop_assert_eq!(&removed, &(next..next + removed.len()).collect::<Vec<_>>());
                    match discarded.condition {
                        DiscardCondition::RecordAgeExceeded => {
                            prop_assert!(discarded.records.iter().all(|record| too_old(now, record)));
                        }
                        DiscardCondition::RetryAttemptsExhausted => {
                            let max = rules.maximum_retry_attempts.unwrap();
                            for record in &removed {
                                prop_assert!(failed[*record] > max, "record {} had a retry left", record);
                            }
                        }
                    }
                    // All discarded records have had the same number of attempts.
                    prop_assert!(removed.iter().all(|record| attempts[*record] == discarded.invocations));
                    next += removed.len();
                }
            }
        }
        prop_assert_eq!(next, count);
    }

    #[test]
    fn bisection_discards_exactly_the_records_that_fail(
        count in 1_usize..40,
        poison in prop::collection::btree_set(0_usize..40, 0..6),
        retries in 0_u32..3,
    ) {
        let rules = Rules { maximum_retry_attempts: Some(retries), maximum_record_age: None, bisects: true };
        let is_bad = |sequences: &[usize]| sequences.iter().any(|it| poison.contains(it));
        let (delivered, discarded) = run(rules, count, |sequences| {
            if is_bad(sequences) { BatchResult::Failed } else { BatchResult::Done }
        });
        let bad: Vec<usize> = poison.iter().copied().filter(|it| *it < count).collect();
        prop_assert_eq!(discarded, bad);
        prop_assert_eq!(delivered, (0..count).filter(|it| !poison.contains(it)).collect::<Vec<_>>());
    }

    #[test]
    fn records_before_the_first_reported_failure_are_not_delivered_again(
        count in 1_usize..40,
        poison in 0_usize..40,
        retries in 0_u32..3,
        bisects: bool,
    ) {
        let rules = Rules { maximum_retry_attempts: Some(retries), maximum_record_age: None, bisects };
        let mut sent = vec![0_u32; count];
        let (delivered, discarded) = run(rules, count, |sequences| {
            for record in sequences {
                sent[*record] += 1;
            }
            sequences.iter().position(|it| *it == poison).map_or(BatchResult::Done, BatchResult::FailedFrom)
        });
        // The records from the failing one on are one batch, which fails.
        let end = poison.min(count);
        prop_assert_eq!(delivered, (0..end).collect::<Vec<_>>());
        prop_assert_eq!(discarded, (end..count).collect::<Vec<_>>());
        prop_assert!(sent[..end].iter().all(|times| *times == 1));
        // Once with the records before it, then as a separate batch with its retries. A split is not counted as a retry.
        let splits = u32::from(bisects && poison > 0);
        prop_assert!(sent[end..].iter().all(|times| *times == retries + 1 + splits), "{:?}", sent);
    }
}

/// Delivers `count` records with the results of `handle`. Returns the delivered and the discarded records.
fn run(
    rules: Rules,
    count: usize,
    mut handle: impl FnMut(&[usize]) -> BatchResult,
) -> (Vec<usize>, Vec<usize>) {
    let mut delivery = Delivery::new(rules, records(count));
    let (mut delivered, mut discarded) = (Vec::new(), Vec::new());
    for _ in 0..MAX_STEPS {
        match delivery.step(Timestamp::from_unix_seconds(0)) {
            Step::End => return (delivered, discarded),
            Step::Invoke => {
                let sent = sequences(delivery.records());
                let recorded = delivery.record_result(handle(&sent));
                delivered.extend_from_slice(&sent[..recorded.done]);
            }
            Step::Discard(removed) => discarded.extend(sequences(&removed.records)),
        }
    }
    panic!("the batch does not end");
}
