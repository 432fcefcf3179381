//! The road of events from a service to EventBridge, on which they are delivered at least once and in no order: tests say
//! which come twice, which come late, and which never come.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::mpsc;

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It comes twice.
    Twice,
    /// It waits for [`EventRoad::release`].
    Held,
    /// It never comes.
    Lost,
}

/// In which order held events are released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As they came.
    Kept,
    /// The last one first.
    Reversed,
}

/// A road that ends at `receiver` of [`EventRoad::new`]. Clones are one road.
#[derive(Clone)]
pub struct EventRoad {
    to: mpsc::UnboundedSender<Value>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    held: Vec<Value>,
    /// All events that were handed over, whatever became of them.
    sent: Vec<Value>,
}

struct Rule {
    about: Box<dyn Fn(&Value) -> bool + Send>,
    left: usize,
    delivery: Delivery,
}

impl fmt::Debug for EventRoad {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        formatter
            .debug_struct("EventRoad")
            .field("sent", &state.sent.len())
            .field("held", &state.held.len())
            .finish_non_exhaustive()
    }
}

impl EventRoad {
    /// A road and its end.
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Value>) {
        let (to, receiver) = mpsc::unbounded_channel();
        (Self { to, state: Arc::default() }, receiver)
    }

    /// The next `times` events that `about` accepts are treated as `delivery` says. Where several rules accept an event,
    /// the first one that is not used up holds.
    pub fn fault(&self, times: usize, delivery: Delivery, about: impl Fn(&Value) -> bool + Send + 'static) {
        self.state().rules.push(Rule { about: Box::new(about), left: times, delivery });
    }

    /// How many events are held.
    pub fn held(&self) -> usize {
        self.state().held.len()
    }

    /// Delivers the held event that came last.
    pub fn release_latest(&self) {
        let latest = self.state().held.pop();
        if let Some(event) = latest {
            self.deliver(event);
        }
    }

    /// Delivers all held events. Functions may work on them at the same time.
    pub fn release(&self, order: Order) {
        let mut held = std::mem::take(&mut self.state().held);
        if order == Order::Reversed {
            held.reverse();
        }
        for event in held {
            self.deliver(event);
        }
    }

    /// All events that the service has told of, in its order, lost ones included.
    pub fn sent(&self) -> Vec<Value> {
        self.state().sent.clone()
    }

    /// Takes an event from the service.
    pub(crate) fn send(&self, event: Value) {
        let delivery = {
            let mut state = self.state();
            state.sent.push(event.clone());
            let rule = state.rules.iter_mut().find(|rule| rule.left > 0 && (rule.about)(&event));
            let delivery = rule.map(|rule| {
                rule.left -= 1;
                rule.delivery
            });
            if delivery == Some(Delivery::Held) {
                state.held.push(event.clone());
            }
            delivery
        };
        match delivery {
            Some(Delivery::Held | Delivery::Lost) => {}
            Some(Delivery::Twice) => {
                self.deliver(event.clone());
                self.deliver(event);
            }
            None => self.deliver(event),
        }
    }

    fn deliver(&self, event: Value) {
        // Nobody listens any more when everything is ending.
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
    fn events_come_twice_late_or_never_as_the_rules_say() {
        let (road, mut receiver) = EventRoad::new();
        road.fault(1, Delivery::Twice, |event| event == 1);
        road.fault(2, Delivery::Held, |event| event == 2 || event == 3);
        road.fault(1, Delivery::Lost, |event| event == 4);
        for event in 0..6 {
            road.send(json!(event));
        }
        assert_eq!(received(&mut receiver), [0, 1, 1, 5]);
        assert_eq!(road.held(), 2);
        road.fault(1, Delivery::Held, |event| event == 6);
        road.send(json!(6));
        road.release_latest();
        assert_eq!(received(&mut receiver), [6]);
        road.release(Order::Reversed);
        assert_eq!(received(&mut receiver), [3, 2]);
        for event in 1..5 {
            road.send(json!(event));
        }
        assert_eq!(received(&mut receiver), [1, 2, 3, 4], "rules are used up");
        assert_eq!(road.sent().len(), 11);
    }
}
