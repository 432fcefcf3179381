//! Tests of the state machine of one batch.

use std::time::Duration;

use streamio_events::timestamp::Timestamp;

use super::super::batch_result::BatchResult;
use super::super::delivery::{Delivery, Rules, Step};
use super::super::discarded::DiscardCondition;
use super::records;

const RULES: Rules = Rules { maximum_retry_attempts: None, maximum_record_age: None, bisects: false };

/// Delivers a batch of `count` records with the results `results`, and `Done` after them. Returns one line for each step.
fn steps(rules: Rules, count: usize, results: &[BatchResult]) -> Vec<String> {
    steps_at(rules, count, results, |_| Timestamp::from_unix_seconds(0))
}

/// Like [`steps`], with the time of each step.
fn steps_at(
    rules: Rules,
    count: usize,
    results: &[BatchResult],
    time: impl Fn(usize) -> Timestamp,
) -> Vec<String> {
    let mut delivery = Delivery::new(rules, records(count));
    let mut results = results.iter();
    let mut steps = Vec::new();
    let sequences = |records: &[super::Record]| {
        records.iter().map(|record| record.sequence.clone()).collect::<Vec<_>>().join(" ")
    };
    loop {
        match delivery.step(time(steps.len())) {
            Step::End => return steps,
            Step::Discard(discarded) => {
                let condition = match discarded.condition {
                    DiscardCondition::RetryAttemptsExhausted => "exhausted",
                    DiscardCondition::RecordAgeExceeded => "too old",
                };
                let (records, invocations) = (sequences(&discarded.records), discarded.invocations);
                steps.push(format!("{condition}: {records} after {invocations}"));
            }
            Step::Invoke => {
                let result = results.next().copied().unwrap_or(BatchResult::Done);
                steps.push(format!("{result:?}: {}", sequences(delivery.records())));
                delivery.record_result(result);
            }
        }
    }
}

#[test]
fn a_failed_batch_is_retried_as_a_whole_until_it_succeeds() {
    let steps = steps(RULES, 3, &[BatchResult::Failed, BatchResult::Failed]);
    assert_eq!(steps, ["Failed: 0 1 2", "Failed: 0 1 2", "Done: 0 1 2"]);
}

#[test]
fn a_batch_whose_retries_are_exhausted_is_discarded_as_a_whole() {
    let rules = Rules { maximum_retry_attempts: Some(2), ..RULES };
    let failures = [BatchResult::Failed; 5];
    assert_eq!(
        steps(rules, 2, &failures),
        ["Failed: 0 1", "Failed: 0 1", "Failed: 0 1", "exhausted: 0 1 after 3"]
    );
    let rules = Rules { maximum_retry_attempts: Some(0), ..RULES };
    assert_eq!(steps(rules, 2, &failures), ["Failed: 0 1", "exhausted: 0 1 after 1"]);
}

#[test]
fn throttled_invocations_are_not_counted_as_retries() {
    let rules = Rules { maximum_retry_attempts: Some(0), ..RULES };
    let refused = [BatchResult::NotReached, BatchResult::NotReached, BatchResult::NotReached];
    assert_eq!(steps(rules, 1, &refused), ["NotReached: 0", "NotReached: 0", "NotReached: 0", "Done: 0"]);
}

#[test]
fn a_partial_batch_response_moves_the_checkpoint_and_the_other_records_are_retried() {
    let results = [BatchResult::FailedFrom(1), BatchResult::FailedFrom(0), BatchResult::FailedFrom(2)];
    assert_eq!(
        steps(RULES, 4, &results),
        ["FailedFrom(1): 0 1 2 3", "FailedFrom(0): 1 2 3", "FailedFrom(2): 1 2 3", "Done: 3"]
    );
}

#[test]
fn after_a_partial_batch_response_the_records_from_the_checkpoint_are_discarded() {
    let rules = Rules { maximum_retry_attempts: Some(1), ..RULES };
    let results = [BatchResult::FailedFrom(1), BatchResult::FailedFrom(0)];
    assert_eq!(
        steps(rules, 3, &results),
        ["FailedFrom(1): 0 1 2", "FailedFrom(0): 1 2", "exhausted: 1 2 after 2"]
    );
}

#[test]
fn a_function_error_bisects_the_batch_and_the_split_is_not_counted_as_a_retry() {
    let rules = Rules { maximum_retry_attempts: Some(1), bisects: true, ..RULES };
    // Record 2 is poison.
    let results = [
        BatchResult::Failed,
        BatchResult::Done,
        BatchResult::Failed,
        BatchResult::Failed,
        BatchResult::Failed,
    ];
    assert_eq!(
        steps(rules, 5, &results),
        [
            "Failed: 0 1 2 3 4",
            "Done: 0 1 2",
            "Failed: 3 4",
            "Failed: 3",
            "Failed: 3",
            "exhausted: 3 after 4",
            "Done: 4",
        ]
    );
}

#[test]
fn with_bisection_a_partial_batch_response_splits_at_the_checkpoint() {
    let rules = Rules { maximum_retry_attempts: Some(0), bisects: true, ..RULES };
    let results = [BatchResult::FailedFrom(2), BatchResult::FailedFrom(0)];
    assert_eq!(
        steps(rules, 4, &results),
        ["FailedFrom(2): 0 1 2 3", "FailedFrom(0): 2 3", "exhausted: 2 3 after 2"]
    );
}

#[test]
fn records_that_are_too_old_are_discarded_and_younger_ones_are_delivered() {
    let rules = Rules { maximum_record_age: Some(Duration::from_secs(10)), ..RULES };
    // The records arrived at 0, 1, 2 and 3 seconds.
    let time = |step: usize| Timestamp::from_unix_seconds([10, 11, 12, 12][step.min(3)]);
    let results = [BatchResult::Failed];
    assert_eq!(
        steps_at(rules, 4, &results, time),
        ["Failed: 0 1 2 3", "too old: 0 after 1", "too old: 1 after 1", "Done: 2 3"]
    );
    let never_delivered = steps_at(rules, 2, &[], |_| Timestamp::from_unix_seconds(100));
    assert_eq!(never_delivered, ["too old: 0 1 after 0"]);
}
