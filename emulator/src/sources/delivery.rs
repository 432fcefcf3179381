//! What becomes of one batch: tries, splits, checkpoints, ends. Time is a parameter, so all of it is decided without a
//! clock.

use std::collections::VecDeque;
use std::time::Duration;

use streamio_events::timestamp::Timestamp;

use super::answer::Verdict;
use super::configuration::MappingConfig;
use super::discarded::DiscardCondition;
use super::stream::Record;

/// The rules of a mapping that decide it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) maximum_retry_attempts: Option<u32>,
    pub(super) maximum_record_age: Option<Duration>,
    pub(super) bisects: bool,
}

impl From<&MappingConfig> for Rules {
    fn from(config: &MappingConfig) -> Self {
        Self {
            maximum_retry_attempts: config.maximum_retry_attempts,
            maximum_record_age: config.maximum_record_age,
            bisects: config.bisect_batch_on_function_error,
        }
    }
}

/// A batch and what is left of it.
#[derive(Debug)]
pub(super) struct Delivery {
    rules: Rules,
    /// In the shard's order. Each is delivered as a batch of its own, and the next only after it.
    parts: VecDeque<Part>,
}

#[derive(Debug)]
struct Part {
    records: Vec<Record>,
    /// How often just these records failed.
    failures: u32,
    /// How often the function was invoked with them, also as parts of larger batches.
    invocations: u32,
    /// Whether the function itself failed the last time, rather than answering that records did.
    has_function_error: bool,
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing is left.
    End,
    /// Invoke the function with [`Delivery::records`].
    Invoke,
    /// These records are given up; the rest goes on.
    Discard(GivenUp),
}

/// Records that are given up.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct GivenUp {
    pub(super) records: Vec<Record>,
    pub(super) condition: DiscardCondition,
    pub(super) invocations: u32,
    pub(super) has_function_error: bool,
}

/// What a verdict did.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Settled {
    /// How many records are done.
    pub(super) done: usize,
    /// Whether the function is to be left alone for a while, and how often the same batch failed: 0 after a split.
    pub(super) failures: Option<u32>,
}

impl Delivery {
    pub(super) fn new(rules: Rules, records: Vec<Record>) -> Self {
        let first = Part { records, failures: 0, invocations: 0, has_function_error: false };
        Self { rules, parts: VecDeque::from([first]) }
    }

    /// What to do now. It is the same until it is done and, if it was an invocation, [`Delivery::settle`] was told how it
    /// went.
    pub(super) fn step(&mut self, now: Timestamp) -> Step {
        let Some(part) = self.parts.front_mut() else { return Step::End };
        if part.records.is_empty() {
            self.parts.pop_front();
            return self.step(now);
        }
        let is_old = |record: &Record| {
            self.rules.maximum_record_age.is_some_and(|most| now.since(record.arrived) > most)
        };
        let old = part.records.iter().take_while(|record| is_old(record)).count();
        let (count, condition) = if old > 0 {
            (old, DiscardCondition::RecordAgeExceeded)
        } else if self.rules.maximum_retry_attempts.is_some_and(|most| part.failures > most) {
            (part.records.len(), DiscardCondition::RetryAttemptsExhausted)
        } else {
            return Step::Invoke;
        };
        Step::Discard(GivenUp {
            records: part.records.drain(..count).collect(),
            condition,
            invocations: part.invocations,
            has_function_error: part.has_function_error,
        })
    }

    /// The records of the invocation that [`Step::Invoke`] asks for.
    pub(super) fn records(&self) -> &[Record] {
        self.parts.front().map_or(&[], |part| &part.records)
    }

    /// Takes the verdict on that invocation.
    pub(super) fn settle(&mut self, verdict: Verdict) -> Settled {
        let Some(part) = self.parts.front_mut() else { return Settled { done: 0, failures: None } };
        if verdict != Verdict::NotReached {
            part.invocations += 1;
        }
        match verdict {
            Verdict::Done => {
                let done = part.records.len();
                self.parts.pop_front();
                Settled { done, failures: None }
            }
            Verdict::NotReached => Settled { done: 0, failures: Some(part.failures) },
            Verdict::FailedFrom(checkpoint) => {
                part.has_function_error = false;
                part.records.drain(..checkpoint);
                if checkpoint == 0 {
                    part.failures += 1;
                } else if !self.rules.bisects {
                    // These records failed once as the batch that they are now.
                    part.failures = 1;
                }
                Settled { done: checkpoint, failures: Some(part.failures) }
            }
            Verdict::Failed => {
                part.has_function_error = true;
                if !self.rules.bisects || part.records.len() < 2 {
                    part.failures += 1;
                    return Settled { done: 0, failures: Some(part.failures) };
                }
                let second = Part {
                    records: part.records.split_off(part.records.len().div_ceil(2)),
                    failures: part.failures,
                    invocations: part.invocations,
                    has_function_error: true,
                };
                let failures = Some(part.failures);
                self.parts.insert(1, second);
                Settled { done: 0, failures }
            }
        }
    }
}
