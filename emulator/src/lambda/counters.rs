//! Counters and times of a function, for assertions and benchmarks.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The number of latest invocations whose times are kept.
const KEPT: usize = 10_000;

/// Counters and times of a function since it was registered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Invocations that were not throttled.
    pub invocations: u64,
    /// Invocations with a successful response.
    pub succeeded: u64,
    /// Invocations with an error response, including injected errors.
    pub errors: u64,
    /// Invocations whose environment ended.
    pub crashes: u64,
    /// Invocations that timed out.
    pub timeouts: u64,
    /// Invocations that were throttled. [`Counters::invocations`] does not include them.
    pub throttled: u64,
    /// Started environments.
    pub starts: u64,
    /// Times from the start of an environment to its first response.
    pub cold: VecDeque<Duration>,
    /// Times from sending an event to an idle environment to its response.
    pub warm: VecDeque<Duration>,
    /// For the latest events, when they were sent and how long the response took.
    pub latest: VecDeque<(Instant, Duration)>,
}

impl Counters {
    /// Returns the number of failed invocations, without throttled ones.
    pub fn failures(&self) -> u64 {
        self.errors + self.crashes + self.timeouts
    }

    /// Records the response to an event that was sent at `sent`. `cold_start` is the start of the environment if it is new.
    pub(super) fn add_response(&mut self, sent: Instant, cold_start: Option<Instant>) {
        match cold_start {
            Some(started) => add(&mut self.cold, started.elapsed()),
            None => add(&mut self.warm, sent.elapsed()),
        }
        add(&mut self.latest, (sent, sent.elapsed()));
    }
}

fn add<T>(latest: &mut VecDeque<T>, one: T) {
    if latest.len() == KEPT {
        latest.pop_front();
    }
    latest.push_back(one);
}
