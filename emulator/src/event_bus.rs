//! Amazon EventBridge: an event bus with rules whose targets are functions, and schedules.
//!
//! [`EventBus::put`] accepts an event and invokes each target of each matching [`Rule`] asynchronously, at least once, in no
//! defined order, with the retries of [`AsyncInvoker`]. Events whose retries are exhausted are in
//! [`EventBus::dead_letters`]. [`EventBus::schedule`] invokes a function periodically with a `Scheduled Event`. Tests inject
//! delivery faults: [`EventFault`].
//! <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-structure.html>
//!
//! Not emulated: input transformers, archives, replays, cross-account delivery, cron expressions, the retries between the
//! bus and the function's queue, the size limit of events, permissions.

mod pattern;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

pub use self::pattern::{EventPattern, PatternError};
use crate::lambda::{AsyncConfig, AsyncInvoker, DeadLetter, Invoke};
use crate::request_id::request_id;
use crate::wall_clock;

/// The number of latest events that are kept for assertions.
const KEPT: usize = 10_000;

/// A pattern of events, and the functions that they are sent to.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The name, unique on the bus.
    pub name: String,
    /// The pattern of matching events.
    pub pattern: EventPattern,
    /// The names of the functions.
    pub targets: Vec<String>,
}

impl Rule {
    /// Returns a rule that matches events of one source with any of these detail types.
    pub fn new(name: &str, source: &str, detail_types: &[&str], target: &str) -> Self {
        let pattern = json!({ "source": [source], "detail-type": detail_types });
        Self {
            name: name.to_owned(),
            pattern: EventPattern::new(&pattern).expect("two lists of literals are a pattern"),
            targets: vec![target.to_owned()],
        }
    }
}

/// The members of an event that its producer sets. The bus adds the others.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// `aws.s3`, `aws.ecs`, …
    pub source: String,
    /// `Object Created`, `ECS Task State Change`, …
    pub detail_type: String,
    /// The ARNs of the resources that the event is about.
    pub resources: Vec<String>,
    /// The content, whose form depends on the detail type.
    pub detail: Value,
}

/// A fault in the delivery of an event to the functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventFault {
    /// The event is not delivered.
    Drop,
    /// The event is delivered after this time; later events may overtake it.
    Delay(Duration),
    /// The event is delivered this many additional times, with the same id.
    Duplicate(u32),
}

type Predicate = Arc<dyn Fn(&Value) -> bool + Send + Sync>;

struct FaultRule {
    fault: EventFault,
    left: u32,
    predicate: Option<Predicate>,
}

/// An event bus. Clones are handles of the same bus. Schedules end when the last handle is dropped or with
/// [`EventBus::stop`].
#[derive(Clone)]
pub struct EventBus {
    shared: Arc<Shared>,
}

struct Shared {
    region: String,
    account_id: String,
    queue: AsyncInvoker,
    rules: Mutex<Vec<Rule>>,
    faults: Mutex<Vec<FaultRule>>,
    events: Mutex<VecDeque<Value>>,
    stop: CancellationToken,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl EventBus {
    /// Returns a bus without rules that invokes functions through `invoke`.
    pub fn new(region: &str, account_id: &str, invoke: Arc<dyn Invoke>, config: AsyncConfig) -> Self {
        Self {
            shared: Arc::new(Shared {
                region: region.to_owned(),
                account_id: account_id.to_owned(),
                queue: AsyncInvoker::new(invoke, config),
                rules: Mutex::default(),
                faults: Mutex::default(),
                events: Mutex::default(),
                stop: CancellationToken::new(),
            }),
        }
    }

    /// Adds a rule, or replaces the one of the same name.
    pub fn add_rule(&self, rule: Rule) {
        let mut rules = lock(&self.shared.rules);
        rules.retain(|known| known.name != rule.name);
        rules.push(rule);
    }

    /// Accepts an event with the current time, and returns its id.
    pub fn put(&self, event: Event) -> String {
        let Event { source, detail_type, resources, detail } = event;
        let id = request_id();
        self.put_envelope(self.envelope(&id, &source, &detail_type, &resources, &detail));
        id
    }

    /// Accepts a complete event, as functions receive it, with its id and time.
    pub fn put_envelope(&self, envelope: Value) {
        let (copies, delay) = match self.take_fault(&envelope) {
            Some(EventFault::Drop) => (0, Duration::ZERO),
            Some(EventFault::Delay(delay)) => (1, delay),
            Some(EventFault::Duplicate(more)) => (1 + more, Duration::ZERO),
            None => (1, Duration::ZERO),
        };
        let targets: Vec<String> = {
            let rules = lock(&self.shared.rules);
            let matching = rules.iter().filter(|rule| rule.pattern.matches(&envelope));
            matching.flat_map(|rule| rule.targets.clone()).collect()
        };
        for target in &targets {
            for _ in 0..copies {
                self.shared.queue.send(target, envelope.clone(), delay);
            }
        }
        let mut events = lock(&self.shared.events);
        if events.len() == KEPT {
            events.pop_front();
        }
        events.push_back(envelope);
    }

    /// Invokes `function` every `period`, for the first time after one period, until the bus stops.
    pub fn schedule(&self, name: &str, period: Duration, function: &str) {
        let weak = Arc::downgrade(&self.shared);
        let (name, function) = (name.to_owned(), function.to_owned());
        let stop = self.shared.stop.clone();
        tokio::spawn(stop.run_until_cancelled_owned(async move {
            loop {
                tokio::time::sleep(period).await;
                let Some(shared) = weak.upgrade() else { return };
                Self { shared }.run_schedule(&name, &function);
            }
        }));
    }

    /// Invokes `function` once, with the event of the schedule `name`.
    pub fn run_schedule(&self, name: &str, function: &str) {
        let Shared { region, account_id, queue, .. } = &*self.shared;
        let rule = format!("arn:aws:events:{region}:{account_id}:rule/{name}");
        let event = self.envelope(&request_id(), "aws.events", "Scheduled Event", &[rule], &json!({}));
        queue.send(function, event, Duration::ZERO);
    }

    fn envelope(
        &self,
        id: &str,
        source: &str,
        detail_type: &str,
        resources: &[String],
        detail: &Value,
    ) -> Value {
        let now = wall_clock::now().to_string();
        json!({
            "version": "0",
            "id": id,
            "detail-type": detail_type,
            "source": source,
            "account": self.shared.account_id,
            // Without fractions of a second, as in the real service.
            "time": format!("{}Z", &now[..19]),
            "region": self.shared.region,
            "resources": resources,
            "detail": detail,
        })
    }

    /// Injects a fault into the delivery of the next event.
    pub fn inject_next(&self, fault: EventFault) {
        self.add_fault(FaultRule { fault, left: 1, predicate: None });
    }

    /// Injects a fault into the delivery of the next `times` events that match `predicate`.
    pub fn inject_when(
        &self,
        fault: EventFault,
        times: u32,
        predicate: impl Fn(&Value) -> bool + Send + Sync + 'static,
    ) {
        self.add_fault(FaultRule { fault, left: times, predicate: Some(Arc::new(predicate)) });
    }

    /// Returns the number of faults that have not happened yet.
    pub fn faults_left(&self) -> u32 {
        lock(&self.shared.faults).iter().map(|rule| rule.left).sum()
    }

    fn add_fault(&self, rule: FaultRule) {
        if rule.left > 0 {
            lock(&self.shared.faults).push(rule);
        }
    }

    /// Takes the fault of this event, if there is one.
    fn take_fault(&self, envelope: &Value) -> Option<EventFault> {
        let mut all = lock(&self.shared.faults);
        let meets = |it: &FaultRule| it.predicate.as_ref().is_none_or(|predicate| predicate(envelope));
        let at = all.iter().position(meets)?;
        let rule = &mut all[at];
        let fault = rule.fault;
        rule.left -= 1;
        if rule.left == 0 {
            all.remove(at);
        }
        Some(fault)
    }

    /// Returns the latest events, including dropped ones, oldest first; at most 10,000.
    pub fn events(&self) -> Vec<Value> {
        lock(&self.shared.events).iter().cloned().collect()
    }

    /// Returns the events whose retries are exhausted.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.shared.queue.dead_letters()
    }

    /// Waits until no event is queued or being handled.
    pub async fn wait_until_idle(&self) {
        self.shared.queue.wait_until_idle().await;
    }

    /// Stops the schedules and discards queued events.
    pub fn stop(&self) {
        self.shared.stop.cancel();
        self.shared.queue.stop();
    }
}

impl fmt::Debug for EventBus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules: Vec<String> = lock(&self.shared.rules).iter().map(|rule| rule.name.clone()).collect();
        formatter.debug_struct("EventBus").field("rules", &rules).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
