//! The channel of events from a service to EventBridge. The real one delivers at least once and in no defined order; tests
//! duplicate, hold and drop events here.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::mpsc;

/// A fault in the delivery of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryFault {
    /// The event is delivered twice.
    Duplicate,
    /// The event is held until [`EventChannel::release`].
    Hold,
    /// The event is not delivered.
    Drop,
}

/// The order in which held events are released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// In the order in which they were sent.
    Sent,
    /// In the reverse order.
    Reversed,
}

/// The sending end of a channel. Clones are handles of the same channel.
#[derive(Clone)]
pub struct EventChannel {
    to: mpsc::UnboundedSender<Value>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    held: Vec<Value>,
    /// All sent events, including held and dropped ones.
    sent: Vec<Value>,
}

struct Rule {
    matches: Box<dyn Fn(&Value) -> bool + Send>,
    left: usize,
    fault: DeliveryFault,
}

impl fmt::Debug for EventChannel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        formatter
            .debug_struct("EventChannel")
            .field("sent", &state.sent.len())
            .field("held", &state.held.len())
            .finish_non_exhaustive()
    }
}

impl EventChannel {
    /// Returns a channel and its receiver.
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Value>) {
        let (to, receiver) = mpsc::unbounded_channel();
        (Self { to, state: Arc::default() }, receiver)
    }

    /// Injects a fault into the delivery of the next `times` events that match `predicate`. If several injected faults match an
    /// event, the first that has not happened `times` times applies.
    pub fn inject(
        &self,
        times: usize,
        fault: DeliveryFault,
        predicate: impl Fn(&Value) -> bool + Send + 'static,
    ) {
        self.state().rules.push(Rule { matches: Box::new(predicate), left: times, fault });
    }

    /// Returns the number of held events.
    pub fn held(&self) -> usize {
        self.state().held.len()
    }

    /// Delivers the held event that was sent last.
    pub fn release_latest(&self) {
        let latest = self.state().held.pop();
        if let Some(event) = latest {
            self.deliver(event);
        }
    }

    /// Delivers all held events. Functions may handle them concurrently.
    pub fn release(&self, order: Order) {
        let mut held = std::mem::take(&mut self.state().held);
        if order == Order::Reversed {
            held.reverse();
        }
        for event in held {
            self.deliver(event);
        }
    }

    /// Returns all events that the service has sent, in order, including held and dropped ones.
    pub fn sent(&self) -> Vec<Value> {
        self.state().sent.clone()
    }

    /// Sends an event of the service.
    pub(crate) fn send(&self, event: Value) {
        let fault = {
            let mut state = self.state();
            state.sent.push(event.clone());
            let rule = state.rules.iter_mut().find(|rule| rule.left > 0 && (rule.matches)(&event));
            let fault = rule.map(|rule| {
                rule.left -= 1;
                rule.fault
            });
            if fault == Some(DeliveryFault::Hold) {
                state.held.push(event.clone());
            }
            fault
        };
        match fault {
            Some(DeliveryFault::Hold | DeliveryFault::Drop) => {}
            Some(DeliveryFault::Duplicate) => {
                self.deliver(event.clone());
                self.deliver(event);
            }
            None => self.deliver(event),
        }
    }

    fn deliver(&self, event: Value) {
        // The receiver is dropped first when the cloud stops.
        let _ = self.to.send(event);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn received(receiver: &mut mpsc::UnboundedReceiver<Value>) -> Vec<Value> {
        std::iter::from_fn(|| receiver.try_recv().ok()).collect()
    }

    #[test]
    fn injected_faults_duplicate_hold_and_drop_events() {
        let (channel, mut receiver) = EventChannel::new();
        channel.inject(1, DeliveryFault::Duplicate, |event| event == 1);
        channel.inject(2, DeliveryFault::Hold, |event| event == 2 || event == 3);
        channel.inject(1, DeliveryFault::Drop, |event| event == 4);
        for event in 0..6 {
            channel.send(json!(event));
        }
        assert_eq!(received(&mut receiver), [0, 1, 1, 5]);
        assert_eq!(channel.held(), 2);
        channel.inject(1, DeliveryFault::Hold, |event| event == 6);
        channel.send(json!(6));
        channel.release_latest();
        assert_eq!(received(&mut receiver), [6]);
        channel.release(Order::Reversed);
        assert_eq!(received(&mut receiver), [3, 2]);
        for event in 1..5 {
            channel.send(json!(event));
        }
        assert_eq!(received(&mut receiver), [1, 2, 3, 4], "each fault happens the given number of times");
        assert_eq!(channel.sent().len(), 11);
    }
}
