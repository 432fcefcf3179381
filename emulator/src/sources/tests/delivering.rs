//! What becomes of one batch, rule by rule.

use std::time::Duration;

use streamio_events::timestamp::Timestamp;

use super::super::answer::Verdict;
use super::super::delivery::{Delivery, Rules, Step};
use super::super::discarded::DiscardCondition;
use super::records;

const RULES: Rules = Rules { maximum_retry_attempts: None, maximum_record_age: None, bisects: false };

/// Delivers a batch of `count` records, with `answers` as long as there are, then successes. One line for each step.
fn story(rules: Rules, count: usize, answers: &[Verdict]) -> Vec<String> {
    story_at(rules, count, answers, |_| Timestamp::from_unix_seconds(0))
}

/// The same, with the time of each step.
fn story_at(
    rules: Rules,
    count: usize,
    answers: &[Verdict],
    time: impl Fn(usize) -> Timestamp,
) -> Vec<String> {
    let mut delivery = Delivery::new(rules, records(count));
    let mut answers = answers.iter();
    let mut story = Vec::new();
    let named = |records: &[super::Record]| {
        records.iter().map(|record| record.sequence.clone()).collect::<Vec<_>>().join(" ")
    };
    loop {
        match delivery.step(time(story.len())) {
            Step::End => return story,
            Step::Discard(given_up) => {
                let why = match given_up.condition {
                    DiscardCondition::RetryAttemptsExhausted => "exhausted",
                    DiscardCondition::RecordAgeExceeded => "too old",
                };
                let (records, invocations) = (named(&given_up.records), given_up.invocations);
                story.push(format!("{why}: {records} after {invocations}"));
            }
            Step::Invoke => {
                let verdict = answers.next().copied().unwrap_or(Verdict::Done);
                story.push(format!("{verdict:?}: {}", named(delivery.records())));
                delivery.settle(verdict);
            }
        }
    }
}

#[test]
fn a_batch_that_fails_is_tried_again_whole_until_it_succeeds() {
    let story = story(RULES, 3, &[Verdict::Failed, Verdict::Failed]);
    assert_eq!(story, ["Failed: 0 1 2", "Failed: 0 1 2", "Done: 0 1 2"]);
}

#[test]
fn a_batch_that_has_used_up_its_retries_is_given_up_whole() {
    let rules = Rules { maximum_retry_attempts: Some(2), ..RULES };
    let failures = [Verdict::Failed; 5];
    assert_eq!(
        story(rules, 2, &failures),
        ["Failed: 0 1", "Failed: 0 1", "Failed: 0 1", "exhausted: 0 1 after 3"]
    );
    let rules = Rules { maximum_retry_attempts: Some(0), ..RULES };
    assert_eq!(story(rules, 2, &failures), ["Failed: 0 1", "exhausted: 0 1 after 1"]);
}

#[test]
fn what_does_not_come_to_the_function_uses_up_no_retry() {
    let rules = Rules { maximum_retry_attempts: Some(0), ..RULES };
    let refused = [Verdict::NotReached, Verdict::NotReached, Verdict::NotReached];
    assert_eq!(story(rules, 1, &refused), ["NotReached: 0", "NotReached: 0", "NotReached: 0", "Done: 0"]);
}

#[test]
fn a_partial_answer_moves_the_checkpoint_and_the_rest_is_tried_again() {
    let answers = [Verdict::FailedFrom(1), Verdict::FailedFrom(0), Verdict::FailedFrom(2)];
    assert_eq!(
        story(RULES, 4, &answers),
        ["FailedFrom(1): 0 1 2 3", "FailedFrom(0): 1 2 3", "FailedFrom(2): 1 2 3", "Done: 3"]
    );
}

#[test]
fn what_a_partial_answer_leaves_is_given_up_from_the_checkpoint_on() {
    let rules = Rules { maximum_retry_attempts: Some(1), ..RULES };
    let answers = [Verdict::FailedFrom(1), Verdict::FailedFrom(0)];
    assert_eq!(
        story(rules, 3, &answers),
        ["FailedFrom(1): 0 1 2", "FailedFrom(0): 1 2", "exhausted: 1 2 after 2"]
    );
}

#[test]
fn a_function_error_halves_the_batch_and_halving_uses_up_no_retry() {
    let rules = Rules { maximum_retry_attempts: Some(1), bisects: true, ..RULES };
    // Record 2 is poison.
    let answers = [Verdict::Failed, Verdict::Done, Verdict::Failed, Verdict::Failed, Verdict::Failed];
    assert_eq!(
        story(rules, 5, &answers),
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
fn with_bisection_a_partial_answer_splits_at_its_checkpoint() {
    let rules = Rules { maximum_retry_attempts: Some(0), bisects: true, ..RULES };
    let answers = [Verdict::FailedFrom(2), Verdict::FailedFrom(0)];
    assert_eq!(
        story(rules, 4, &answers),
        ["FailedFrom(2): 0 1 2 3", "FailedFrom(0): 2 3", "exhausted: 2 3 after 2"]
    );
}

#[test]
fn records_that_are_too_old_are_given_up_and_the_younger_ones_go_on() {
    let rules = Rules { maximum_record_age: Some(Duration::from_secs(10)), ..RULES };
    // The records arrived at 0, 1, 2 and 3 seconds.
    let time = |step: usize| Timestamp::from_unix_seconds([10, 11, 12, 12][step.min(3)]);
    let answers = [Verdict::Failed];
    assert_eq!(
        story_at(rules, 4, &answers, time),
        ["Failed: 0 1 2 3", "too old: 0 after 1", "too old: 1 after 1", "Done: 2 3"]
    );
    let never_delivered = story_at(rules, 2, &[], |_| Timestamp::from_unix_seconds(100));
    assert_eq!(never_delivered, ["too old: 0 1 after 0"]);
}
