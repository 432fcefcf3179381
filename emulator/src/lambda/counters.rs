//! What has happened to a function, for assertions and measurements.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How many of the latest invocations' times are kept.
const KEPT: usize = 10_000;

/// Counts of one function since it was registered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Invocations that came to the function or its start, however they went.
    pub invocations: u64,
    /// Those that were answered.
    pub answered: u64,
    /// Those that the function answered with an error, and those that were told to fail.
    pub errors: u64,
    /// Those whose environment ended.
    pub crashes: u64,
    /// Those that took too long.
    pub timeouts: u64,
    /// Those that were refused for want of concurrency; not among [`Counters::invocations`].
    pub throttled: u64,
    /// Environments started.
    pub starts: u64,
    /// From the start of an environment to its first answer.
    pub cold: VecDeque<Duration>,
    /// From handing an event to a waiting environment to its answer.
    pub warm: VecDeque<Duration>,
    /// When the latest events were handed over, and how long their answers took.
    pub latest: VecDeque<(Instant, Duration)>,
}

impl Counters {
    /// Invocations that came to the function and were not answered.
    pub fn failures(&self) -> u64 {
        self.errors + self.crashes + self.timeouts
    }

    /// An answer, to an event that was handed over `at` to an environment that had started at `started`, if it is new.
    pub(super) fn add_answer(&mut self, at: Instant, started: Option<Instant>) {
        match started {
            Some(started) => add(&mut self.cold, started.elapsed()),
            None => add(&mut self.warm, at.elapsed()),
        }
        add(&mut self.latest, (at, at.elapsed()));
    }
}

fn add<T>(latest: &mut VecDeque<T>, one: T) {
    if latest.len() == KEPT {
        latest.pop_front();
    }
    latest.push_back(one);
}
