//! The state machine of one batch: attempts, splits, checkpoints, discards. It has no clock; the time is a parameter.

use std::collections::VecDeque;
use std::time::Duration;

use streamio_events::timestamp::Timestamp;

use super::batch_result::BatchResult;
use super::configuration::MappingConfig;
use super::discarded::DiscardCondition;
use super::stream::Record;

/// The settings of a mapping that determine retries and splits.
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

/// A batch, with the records that are not done.
#[derive(Debug)]
pub(super) struct Delivery {
    rules: Rules,
    /// The parts of the batch in the order of the shard. Each is delivered separately, after the previous one.
    parts: VecDeque<Part>,
}

#[derive(Debug)]
struct Part {
    records: Vec<Record>,
    /// How often the batch of exactly these records failed.
    failures: u32,
    /// How often the function was invoked with these records, including as part of larger batches.
    invocations: u32,
    /// Whether the last failure was an error of the function, and not a partial batch response.
    has_function_error: bool,
}

/// The next step.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// No record is left.
    End,
    /// Invoke the function with [`Delivery::records`].
    Invoke,
    /// Discard these records, and continue.
    Discard(DiscardedRecords),
}

/// Records to discard.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DiscardedRecords {
    pub(super) records: Vec<Record>,
    pub(super) condition: DiscardCondition,
    pub(super) invocations: u32,
    pub(super) has_function_error: bool,
}

/// The effect of a result on the batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BatchProgress {
    /// The number of records that are done.
    pub(super) done: usize,
    /// `None`: continue without a pause. Otherwise how often the same batch failed, from which the pause is calculated; 0 after
    /// a split.
    pub(super) failures: Option<u32>,
}

impl Delivery {
    pub(super) fn new(rules: Rules, records: Vec<Record>) -> Self {
        let first = Part { records, failures: 0, invocations: 0, has_function_error: false };
        Self { rules, parts: VecDeque::from([first]) }
    }

    /// Returns the next step. After [`Step::Invoke`] the caller passes the result to [`Delivery::record_result`].
    pub(super) fn step(&mut self, now: Timestamp) -> Step {
        let Some(part) = self.parts.front_mut() else { return Step::End };
        if part.records.is_empty() {
            self.parts.pop_front();
            return self.step(now);
        }
        let is_old = |record: &Record| {
            self.rules.maximum_record_age.is_some_and(|max| now.since(record.arrived) > max)
        };
        let old = part.records.iter().take_while(|record| is_old(record)).count();
        let (count, condition) = if old > 0 {
            (old, DiscardCondition::RecordAgeExceeded)
        } else if self.rules.maximum_retry_attempts.is_some_and(|max| part.failures > max) {
            (part.records.len(), DiscardCondition::RetryAttemptsExhausted)
        } else {
            return Step::Invoke;
        };
        Step::Discard(DiscardedRecords {
            records: part.records.drain(..count).collect(),
            condition,
            invocations: part.invocations,
            has_function_error: part.has_function_error,
        })
    }

    /// Returns the records for the invocation of [`Step::Invoke`].
    pub(super) fn records(&self) -> &[Record] {
        self.parts.front().map_or(&[], |part| &part.records)
    }

    /// Records the result of the invocation.
    pub(super) fn record_result(&mut self, result: BatchResult) -> BatchProgress {
        let Some(part) = self.parts.front_mut() else { return BatchProgress { done: 0, failures: None } };
        if result != BatchResult::NotReached {
            part.invocations += 1;
        }
        match result {
            BatchResult::Done => {
                let done = part.records.len();
                self.parts.pop_front();
                BatchProgress { done, failures: None }
            }
            BatchResult::NotReached => BatchProgress { done: 0, failures: Some(part.failures) },
            BatchResult::FailedFrom(checkpoint) => {
                part.has_function_error = false;
                part.records.drain(..checkpoint);
                if checkpoint == 0 {
                    part.failures += 1;
                } else if !self.rules.bisects {
                    // The remaining records are a new batch that has failed once.
                    part.failures = 1;
                }
                BatchProgress { done: checkpoint, failures: Some(part.failures) }
            }
            BatchResult::Failed => {
                part.has_function_error = true;
                if !self.rules.bisects || part.records.len() < 2 {
                    part.failures += 1;
                    return BatchProgress { done: 0, failures: Some(part.failures) };
                }
                let second = Part {
                    records: part.records.split_off(part.records.len().div_ceil(2)),
                    failures: part.failures,
                    invocations: part.invocations,
                    has_function_error: true,
                };
                let failures = Some(part.failures);
                self.parts.insert(1, second);
                BatchProgress { done: 0, failures }
            }
        }
    }
}
