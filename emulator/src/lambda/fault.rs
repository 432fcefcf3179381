//! Injected faults of invocations.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

/// A fault of an invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The environment is killed before it receives the event.
    CrashBeforeWork,
    /// The function handles the event; its response is discarded and the environment killed. So the effect has happened, but
    /// the caller does not know.
    CrashBeforeResponse,
    /// The invocation fails with an error, without an effect.
    Error,
    /// The invocation is throttled: the function is not invoked.
    Throttled,
}

/// A fault of the next matching invocations.
#[derive(Clone)]
pub(super) struct FaultRule {
    fault: Fault,
    left: u32,
    predicate: Option<Predicate>,
}

type Predicate = Arc<dyn Fn(&Value) -> bool + Send + Sync>;

impl FaultRule {
    pub(super) fn any(fault: Fault, times: u32) -> Self {
        Self { fault, left: times, predicate: None }
    }

    pub(super) fn when(
        fault: Fault,
        times: u32,
        predicate: impl Fn(&Value) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self { fault, left: times, predicate: Some(Arc::new(predicate)) }
    }

    fn matches(&self, event: &[u8]) -> bool {
        self.predicate.as_ref().is_none_or(|predicate| {
            serde_json::from_slice::<Value>(event).is_ok_and(|event| predicate(&event))
        })
    }
}

impl fmt::Debug for FaultRule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("FaultRule")
            .field("fault", &self.fault)
            .field("left", &self.left)
            .field("has_predicate", &self.predicate.is_some())
            .finish()
    }
}

/// The faults that have not happened yet, in the order in which they were injected.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<FaultRule>);

impl Faults {
    pub(super) fn add(&mut self, rule: FaultRule) {
        if rule.left > 0 {
            self.0.push(rule);
        }
    }

    /// Takes the fault of an invocation with this event, if there is one.
    pub(super) fn take(&mut self, event: &[u8]) -> Option<Fault> {
        let at = self.0.iter().position(|rule| rule.matches(event))?;
        let rule = &mut self.0[at];
        let fault = rule.fault;
        rule.left -= 1;
        if rule.left == 0 {
            self.0.remove(at);
        }
        Some(fault)
    }

    pub(super) fn left(&self) -> u32 {
        self.0.iter().map(|rule| rule.left).sum()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_happen_in_order_and_as_often_as_injected() {
        let mut faults = Faults::default();
        faults.add(FaultRule::any(Fault::Error, 2));
        faults.add(FaultRule::any(Fault::Throttled, 1));
        faults.add(FaultRule::any(Fault::CrashBeforeWork, 0));
        assert_eq!(faults.left(), 3);
        let taken: Vec<Option<Fault>> = (0..4).map(|_| faults.take(b"{}")).collect();
        assert_eq!(taken, [Some(Fault::Error), Some(Fault::Error), Some(Fault::Throttled), None]);
    }

    #[test]
    fn a_fault_with_a_predicate_affects_only_matching_events() {
        let mut faults = Faults::default();
        faults.add(FaultRule::when(Fault::Error, 1, |event| event["a"] == 1));
        assert_eq!(faults.take(br#"{"a": 2}"#), None);
        assert_eq!(faults.take(b"no json"), None);
        assert_eq!(faults.take(br#"{"a": 1}"#), Some(Fault::Error));
        assert_eq!(faults.left(), 0);
    }
}
