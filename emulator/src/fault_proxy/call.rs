//! What went through a proxy.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// Older ones are forgotten, so that a cloud that runs for days does not grow.
const MOST: usize = 20_000;

/// One call.
#[derive(Debug, Clone)]
pub struct Call {
    /// Such as `PutItem`; empty where the request names none.
    pub operation: String,
    /// When it came.
    pub begun: Instant,
    /// How long it took, the service and the fault included.
    pub took: Duration,
    /// The status of the answer; 0 where there was none.
    pub status: u16,
    /// The fault that hit it, if any.
    pub fault: Option<&'static str>,
}

#[derive(Default)]
pub(super) struct Calls {
    latest: VecDeque<Call>,
    counts: BTreeMap<String, usize>,
}

impl Calls {
    pub(super) fn record(&mut self, call: Call) {
        *self.counts.entry(call.operation.clone()).or_default() += 1;
        if self.latest.len() == MOST {
            self.latest.pop_front();
        }
        self.latest.push_back(call);
    }

    pub(super) fn latest(&self) -> Vec<Call> {
        self.latest.iter().cloned().collect()
    }

    pub(super) fn count(&self, operation: &str) -> usize {
        self.counts.get(operation).copied().unwrap_or_default()
    }
}
