//! What holds for every script of failures.

use std::time::Duration;

use proptest::prelude::*;
use streamio_events::timestamp::Timestamp;

use super::super::answer::Verdict;
use super::super::delivery::{Delivery, Rules, Step};
use super::super::discarded::DiscardCondition;
use super::super::stream::Record;
use super::records;

/// More steps than any of these batches may take.
const ENOUGH: usize = 10_000;

/// How an invocation goes, and how long until the next step.
#[derive(Debug, Clone)]
struct Turn {
    verdict: Answer,
    seconds: u8,
}

#[derive(Debug, Clone)]
enum Answer {
    Done,
    FailedFrom(prop::sample::Index),
    Failed,
    NotReached,
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let verdict = prop_oneof![
        Just(Answer::Done),
        any::<prop::sample::Index>().prop_map(Answer::FailedFrom),
        Just(Answer::Failed),
        Just(Answer::NotReached),
    ];
    let turn = (verdict, 0_u8..4).prop_map(|(verdict, seconds)| Turn { verdict, seconds });
    prop::collection::vec(turn, 0..40)
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
    fn every_record_is_delivered_or_given_up_once_in_order_and_for_a_stated_reason(
        rules in rules(),
        count in 1_usize..20,
        turns in turns(),
    ) {
        let batch = records(count);
        let mut delivery = Delivery::new(rules, batch.clone());
        let mut turns = turns.into_iter();
        let mut now = Timestamp::from_unix_seconds(0);
        // The first record that is neither delivered nor given up: everything happens there.
        let mut next = 0;
        let mut tried = vec![0_u32; count];
        let mut failed = vec![0_u32; count];
        let too_old = |now: Timestamp, record: &Record| {
            rules.maximum_record_age.is_some_and(|age| now.since(record.arrived) > age)
        };
        let mut steps = 0;
        loop {
            steps += 1;
            prop_assert!(steps < ENOUGH, "it does not end");
            match delivery.step(now) {
                Step::End => break,
                Step::Invoke => {
                    let records = delivery.records();
                    let sent = sequences(records);
                    let len = sent.len();
                    prop_assert_eq!(&sent, &(next..next + len).collect::<Vec<_>>());
                    prop_assert!(records.iter().all(|record| !too_old(now, record)));
                    let turn = turns.next().unwrap_or(Turn { verdict: Answer::Done, seconds: 0 });
                    let (verdict, done) = match turn.verdict {
                        Answer::Done => (Verdict::Done, len),
                        Answer::FailedFrom(index) => {
                            let checkpoint = index.index(len);
                            (Verdict::FailedFrom(checkpoint), checkpoint)
                        }
                        Answer::Failed => (Verdict::Failed, 0),
                        Answer::NotReached => (Verdict::NotReached, 0),
                    };
                    let settled = delivery.settle(verdict);
                    prop_assert_eq!(settled.done, done);
                    prop_assert_eq!(settled.failures.is_none(), verdict == Verdict::Done);
                    if verdict != Verdict::NotReached {
                        for record in &sent {
                            tried[*record] += 1;
                            failed[*record] += u32::from(*record >= next + done);
                        }
                    }
                    next += done;
                    now = now.plus(Duration::from_secs(turn.seconds.into()));
                }
                Step::Discard(given_up) => {
                    let gone = sequences(&given_up.records);
                    prop_assert!(!gone.is_empty());
                    prop_assert_eq!(&gone, &(next..next + gone.len()).collect::<Vec<_>>());
                    match given_up.condition {
                        DiscardCondition::RecordAgeExceeded => {
                            prop_assert!(given_up.records.iter().all(|record| too_old(now, record)));
                        }
                        DiscardCondition::RetryAttemptsExhausted => {
                            let most = rules.maximum_retry_attempts.unwrap();
                            for record in &gone {
                                prop_assert!(failed[*record] > most, "record {} had a try left", record);
                            }
                        }
                    }
                    // What has the same past has the same number of tries.
                    prop_assert!(gone.iter().all(|record| tried[*record] == given_up.invocations));
                    next += gone.len();
                }
            }
        }
        prop_assert_eq!(next, count);
    }

    #[test]
    fn bisection_gives_up_exactly_the_records_that_fail(
        count in 1_usize..40,
        poison in prop::collection::btree_set(0_usize..40, 0..6),
        retries in 0_u32..3,
    ) {
        let rules = Rules { maximum_retry_attempts: Some(retries), maximum_record_age: None, bisects: true };
        let is_bad = |sequences: &[usize]| sequences.iter().any(|it| poison.contains(it));
        let (delivered, given_up) = run(rules, count, |sequences| {
            if is_bad(sequences) { Verdict::Failed } else { Verdict::Done }
        });
        let bad: Vec<usize> = poison.iter().copied().filter(|it| *it < count).collect();
        prop_assert_eq!(given_up, bad);
        prop_assert_eq!(delivered, (0..count).filter(|it| !poison.contains(it)).collect::<Vec<_>>());
    }

    #[test]
    fn a_function_that_reports_the_first_bad_record_is_sent_none_before_it_again(
        count in 1_usize..40,
        poison in 0_usize..40,
        retries in 0_u32..3,
        bisects: bool,
    ) {
        let rules = Rules { maximum_retry_attempts: Some(retries), maximum_record_age: None, bisects };
        let mut sent = vec![0_u32; count];
        let (delivered, given_up) = run(rules, count, |sequences| {
            for record in sequences {
                sent[*record] += 1;
            }
            sequences.iter().position(|it| *it == poison).map_or(Verdict::Done, Verdict::FailedFrom)
        });
        // All from the bad one on is one batch that fails.
        let end = poison.min(count);
        prop_assert_eq!(delivered, (0..end).collect::<Vec<_>>());
        prop_assert_eq!(given_up, (end..count).collect::<Vec<_>>());
        prop_assert!(sent[..end].iter().all(|times| *times == 1));
        // Once with those before it, and then as its own batch as often as the rules say; a split uses up no retry.
        let splits = u32::from(bisects && poison > 0);
        prop_assert!(sent[end..].iter().all(|times| *times == retries + 1 + splits), "{:?}", sent);
    }
}

/// What is delivered and what is given up by a function that judges each batch.
fn run(rules: Rules, count: usize, mut judge: impl FnMut(&[usize]) -> Verdict) -> (Vec<usize>, Vec<usize>) {
    let mut delivery = Delivery::new(rules, records(count));
    let (mut delivered, mut given_up) = (Vec::new(), Vec::new());
    for _ in 0..ENOUGH {
        match delivery.step(Timestamp::from_unix_seconds(0)) {
            Step::End => return (delivered, given_up),
            Step::Invoke => {
                let sent = sequences(delivery.records());
                let settled = delivery.settle(judge(&sent));
                delivered.extend_from_slice(&sent[..settled.done]);
            }
            Step::Discard(gone) => given_up.extend(sequences(&gone.records)),
        }
    }
    panic!("it does not end");
}
