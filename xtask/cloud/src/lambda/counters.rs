//! What has happened to a function, for assertions and measurements.

use std::collections::VecDeque;
use std::time::Duration;

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
}

impl Counters {
    /// Invocations that came to the function and were not answered.
    pub fn failures(&self) -> u64 {
        self.errors + self.crashes + self.timeouts
    }

    pub(super) fn add_cold(&mut self, time: Duration) {
        add(&mut self.cold, time);
    }

    pub(super) fn add_warm(&mut self, time: Duration) {
        add(&mut self.warm, time);
    }
}

fn add(times: &mut VecDeque<Duration>, time: Duration) {
    if times.len() == KEPT {
        times.pop_front();
    }
    times.push_back(time);
}
