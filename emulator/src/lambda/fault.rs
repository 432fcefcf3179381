//! Faults that a test asks for, and which invocation meets which.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

/// What happens to an invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The environment asks for the event and is killed before it can do anything with it.
    CrashBeforeWork,
    /// The function does its work; its answer is received, thrown away, and the environment killed. The effect has
    /// happened, and nobody knows.
    CrashBeforeAnswer,
    /// The function answers with an error and does nothing.
    Error,
    /// The service refuses the invocation: the function is not invoked.
    Throttled,
}

/// A fault for some invocations to come.
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

    fn meets(&self, event: &[u8]) -> bool {
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

/// The faults to come, the first asked for first.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<FaultRule>);

impl Faults {
    pub(super) fn add(&mut self, rule: FaultRule) {
        if rule.left > 0 {
            self.0.push(rule);
        }
    }

    /// The fault that an invocation with this event meets, which is then used up.
    pub(super) fn take(&mut self, event: &[u8]) -> Option<Fault> {
        let at = self.0.iter().position(|rule| rule.meets(event))?;
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
    fn faults_are_met_in_order_and_used_up() {
        let mut faults = Faults::default();
        faults.add(FaultRule::any(Fault::Error, 2));
        faults.add(FaultRule::any(Fault::Throttled, 1));
        faults.add(FaultRule::any(Fault::CrashBeforeWork, 0));
        assert_eq!(faults.left(), 3);
        let met: Vec<Option<Fault>> = (0..4).map(|_| faults.take(b"{}")).collect();
        assert_eq!(met, [Some(Fault::Error), Some(Fault::Error), Some(Fault::Throttled), None]);
    }

    #[test]
    fn a_fault_with_a_predicate_waits_for_its_event() {
        let mut faults = Faults::default();
        faults.add(FaultRule::when(Fault::Error, 1, |event| event["a"] == 1));
        assert_eq!(faults.take(br#"{"a": 2}"#), None);
        assert_eq!(faults.take(b"no json"), None);
        assert_eq!(faults.take(br#"{"a": 1}"#), Some(Fault::Error));
        assert_eq!(faults.left(), 0);
    }
}
