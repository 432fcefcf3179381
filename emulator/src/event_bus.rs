//! The event bus: rules that send events to functions, and schedules.
//!
//! [`EventBus::put`] takes an event. Each target of each [`Rule`] whose pattern matches is invoked asynchronously, at least
//! once, in no order, with the retries of [`AsyncInvoker`]; what is given up is among [`EventBus::dead_letters`].
//! [`EventBus::schedule`] invokes a function every so often with a `Scheduled Event`. Tests disturb the bus:
//! [`Disturbance`].
//! <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-structure.html>
//!
//! What is not shown: input transformers, archives, replays, cross-account delivery, cron expressions, the bus's own
//! retries before an event comes to the function's queue, the limit of an event's size; no permission is checked.

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
use crate::lambda::{AsyncConfig, AsyncInvoker, DeadEvent, Invoke};
use crate::request_id::request_id;
use crate::wall_clock;

/// How many of the latest events are kept for assertions.
const KEPT: usize = 10_000;

/// Which events go to which functions.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Unique on the bus; a rule put again replaces the one before.
    pub name: String,
    /// What matches.
    pub pattern: EventPattern,
    /// Names of functions.
    pub targets: Vec<String>,
}

impl Rule {
    /// Events of one source with any of these detail types.
    pub fn new(name: &str, source: &str, detail_types: &[&str], target: &str) -> Self {
        let pattern = json!({ "source": [source], "detail-type": detail_types });
        Self {
            name: name.to_owned(),
            pattern: EventPattern::new(&pattern).expect("two lists of literals are a pattern"),
            targets: vec![target.to_owned()],
        }
    }
}

/// What producers state of an event; the bus adds the rest.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// `aws.s3`, `aws.ecs`, …
    pub source: String,
    /// `Object Created`, `ECS Task State Change`, …
    pub detail_type: String,
    /// ARNs.
    pub resources: Vec<String>,
    /// What happened.
    pub detail: Value,
}

/// What goes wrong with an event between its producer and the functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disturbance {
    /// It is lost.
    Drop,
    /// It comes later than others after it may come.
    Delay(Duration),
    /// It comes once and this many times more, with the same id.
    Duplicate(u32),
}

type Predicate = Arc<dyn Fn(&Value) -> bool + Send + Sync>;

struct Disturbed {
    disturbance: Disturbance,
    left: u32,
    predicate: Option<Predicate>,
}

/// The bus. Clones are handles of the same one; schedules end with the last of them or with [`EventBus::stop`].
#[derive(Clone)]
pub struct EventBus {
    shared: Arc<Shared>,
}

struct Shared {
    region: String,
    account_id: String,
    queue: AsyncInvoker,
    rules: Mutex<Vec<Rule>>,
    disturbed: Mutex<Vec<Disturbed>>,
    events: Mutex<VecDeque<Value>>,
    stop: CancellationToken,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl EventBus {
    /// A bus without rules before the functions of `invoke`.
    pub fn new(region: &str, account_id: &str, invoke: Arc<dyn Invoke>, config: AsyncConfig) -> Self {
        Self {
            shared: Arc::new(Shared {
                region: region.to_owned(),
                account_id: account_id.to_owned(),
                queue: AsyncInvoker::new(invoke, config),
                rules: Mutex::default(),
                disturbed: Mutex::default(),
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

    /// Takes an event of now and returns its id.
    pub fn put(&self, event: Event) -> String {
        let Event { source, detail_type, resources, detail } = event;
        let id = request_id();
        self.put_envelope(self.envelope(&id, &source, &detail_type, &resources, &detail));
        id
    }

    /// Takes an event as it comes to functions, all of its members stated: for events of another time and with other ids.
    pub fn put_envelope(&self, envelope: Value) {
        let (copies, delay) = match self.disturbance(&envelope) {
            Some(Disturbance::Drop) => (0, Duration::ZERO),
            Some(Disturbance::Delay(delay)) => (1, delay),
            Some(Disturbance::Duplicate(more)) => (1 + more, Duration::ZERO),
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

    /// Invokes `function` every `period`, first after one. It ends with the bus.
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

    /// Invokes `function` once as the schedule `name` does.
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
            // Without the fraction of a second, which the service does not state.
            "time": format!("{}Z", &now[..19]),
            "region": self.shared.region,
            "resources": resources,
            "detail": detail,
        })
    }

    /// Lets the next event meet `disturbance`.
    pub fn disturb_next(&self, disturbance: Disturbance) {
        self.add_disturbed(Disturbed { disturbance, left: 1, predicate: None });
    }

    /// Lets the next `times` events that fulfil `predicate` meet `disturbance`.
    pub fn disturb_when(
        &self,
        disturbance: Disturbance,
        times: u32,
        predicate: impl Fn(&Value) -> bool + Send + Sync + 'static,
    ) {
        self.add_disturbed(Disturbed { disturbance, left: times, predicate: Some(Arc::new(predicate)) });
    }

    /// How many events are still to meet a disturbance: 0 says that a test's disturbances have happened.
    pub fn disturbances_left(&self) -> u32 {
        lock(&self.shared.disturbed).iter().map(|disturbed| disturbed.left).sum()
    }

    fn add_disturbed(&self, disturbed: Disturbed) {
        if disturbed.left > 0 {
            lock(&self.shared.disturbed).push(disturbed);
        }
    }

    /// What this event meets, which is then used up.
    fn disturbance(&self, envelope: &Value) -> Option<Disturbance> {
        let mut all = lock(&self.shared.disturbed);
        let meets = |it: &Disturbed| it.predicate.as_ref().is_none_or(|predicate| predicate(envelope));
        let at = all.iter().position(meets)?;
        let disturbed = &mut all[at];
        let disturbance = disturbed.disturbance;
        disturbed.left -= 1;
        if disturbed.left == 0 {
            all.remove(at);
        }
        Some(disturbance)
    }

    /// The latest events that came to the bus, also those that it lost, the oldest first; 10,000 at most.
    pub fn events(&self) -> Vec<Value> {
        lock(&self.shared.events).iter().cloned().collect()
    }

    /// The events that functions did not take.
    pub fn dead_letters(&self) -> Vec<DeadEvent> {
        self.shared.queue.dead_letters()
    }

    /// Waits until no event is on its way to a function.
    pub async fn quiet(&self) {
        self.shared.queue.quiet().await;
    }

    /// Ends the schedules and forgets the events on their way.
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
