//! The recorded calls of a proxy.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// The number of latest calls that are kept, so that memory is bounded.
const KEPT: usize = 20_000;

/// One call.
#[derive(Debug, Clone)]
pub struct Call {
    /// The operation, such as `PutItem`; empty if the request names none.
    pub operation: String,
    /// When the request arrived.
    pub begun: Instant,
    /// The time until the response, including the fault.
    pub took: Duration,
    /// The status of the response; 0 if there was none.
    pub status: u16,
    /// The name of the injected fault, if any.
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
        if self.latest.len() == KEPT {
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
