//! Asynchronous invocations: a queue before the function, retries after errors, an end for what never succeeds.
//! <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html>

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::invoke::{Invoke, InvokeError};

/// How often and how long an event is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AsyncConfig {
    /// How often an event is tried again after the function failed.
    pub maximum_retry_attempts: u32,
    /// How long an event may wait in all.
    pub maximum_event_age: Duration,
    /// The wait after the function's first failure. It doubles with each further one.
    pub error_delay: Duration,
    /// The first wait after the service could not invoke the function. It doubles up to [`AsyncConfig::most_throttle_delay`].
    pub throttle_delay: Duration,
    /// The longest of these.
    pub most_throttle_delay: Duration,
}

impl Default for AsyncConfig {
    /// As the real service: two retries after one and two minutes, six hours.
    fn default() -> Self {
        Self {
            maximum_retry_attempts: 2,
            maximum_event_age: Duration::from_hours(6),
            error_delay: Duration::from_mins(1),
            throttle_delay: Duration::from_secs(1),
            most_throttle_delay: Duration::from_mins(5),
        }
    }
}

impl AsyncConfig {
    /// The same with all waits a thousandth: 60 and 120 ms after errors, an age of 21.6 seconds. For tests.
    pub fn quick() -> Self {
        let real = Self::default();
        Self {
            maximum_retry_attempts: real.maximum_retry_attempts,
            maximum_event_age: real.maximum_event_age / 1000,
            error_delay: real.error_delay / 1000,
            throttle_delay: real.throttle_delay / 1000,
            most_throttle_delay: real.most_throttle_delay / 1000,
        }
    }
}

/// Why an event was given up, as the service names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndCondition {
    /// The function failed as often as it may.
    RetriesExhausted,
    /// It waited too long.
    EventAgeExceeded,
}

/// An event that was given up: what a dead-letter queue would hold.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadEvent {
    /// The function that did not take it.
    pub function: String,
    /// The whole event.
    pub event: Value,
    /// Why it was given up.
    pub condition: EndCondition,
    /// How often the function was invoked with it.
    pub attempts: u32,
    /// The last error's words.
    pub error: String,
}

/// Invokes functions without waiting for them. Clones are handles of the same queue.
#[derive(Clone)]
pub struct AsyncInvoker {
    invoke: Arc<dyn Invoke>,
    config: Arc<AsyncConfig>,
    dead: Arc<Mutex<Vec<DeadEvent>>>,
    /// How many events are neither answered nor given up.
    waiting: watch::Sender<usize>,
    stop: CancellationToken,
}

impl AsyncInvoker {
    /// A queue before the functions of `invoke`.
    pub fn new(invoke: Arc<dyn Invoke>, config: AsyncConfig) -> Self {
        Self {
            invoke,
            config: Arc::new(config),
            dead: Arc::default(),
            waiting: watch::Sender::new(0),
            stop: CancellationToken::new(),
        }
    }

    /// Takes an event for a function, after `delay`.
    pub fn send(&self, function: &str, event: Value, delay: Duration) {
        let (queue, function) = (self.clone(), function.to_owned());
        let counted = Counted::new(&self.waiting);
        let stop = self.stop.clone();
        tokio::spawn(stop.run_until_cancelled_owned(async move {
            tokio::time::sleep(delay).await;
            queue.deliver(function, event).await;
            drop(counted);
        }));
    }

    async fn deliver(&self, function: String, event: Value) {
        let payload = Bytes::from(event.to_string());
        let begun = Instant::now();
        let (mut attempts, mut throttles) = (0, 0_u32);
        loop {
            let Err(error) = self.invoke.invoke(&function, payload.clone()).await else { return };
            let (delay, condition) = if error.has_reached_function() {
                attempts += 1;
                let is_over = attempts > self.config.maximum_retry_attempts;
                let delay = self.config.error_delay.saturating_mul(2_u32.saturating_pow(attempts - 1));
                (delay, is_over.then_some(EndCondition::RetriesExhausted))
            } else {
                throttles += 1;
                let delay = self.config.throttle_delay.saturating_mul(2_u32.saturating_pow(throttles - 1));
                let condition = (!error.is_retryable()).then_some(EndCondition::RetriesExhausted);
                (delay.min(self.config.most_throttle_delay), condition)
            };
            let is_too_old = begun.elapsed() + delay > self.config.maximum_event_age;
            let condition = condition.or(is_too_old.then_some(EndCondition::EventAgeExceeded));
            if let Some(condition) = condition {
                let error = words(&error);
                tracing::error!(
                    function.name = function,
                    ?condition,
                    attempts,
                    error,
                    "an event was given up"
                );
                let dead = DeadEvent { function, event, condition, attempts, error };
                self.dead.lock().unwrap_or_else(PoisonError::into_inner).push(dead);
                return;
            }
            tokio::time::sleep(delay).await;
        }
    }

    /// The events that were given up, the first first.
    pub fn dead_letters(&self) -> Vec<DeadEvent> {
        self.dead.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many events are neither answered nor given up.
    pub fn waiting(&self) -> usize {
        *self.waiting.borrow()
    }

    /// Waits until no event waits.
    pub async fn quiet(&self) {
        let mut waiting = self.waiting.subscribe();
        // The sender lives as long as this handle.
        let _ = waiting.wait_for(|waiting| *waiting == 0).await;
    }

    /// Forgets the events that wait, and takes no more.
    pub fn stop(&self) {
        self.stop.cancel();
    }
}

impl std::fmt::Debug for AsyncInvoker {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("AsyncInvoker")
            .field("config", &self.config)
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}

/// One event that waits, as long as this lives.
struct Counted(watch::Sender<usize>);

impl Counted {
    fn new(waiting: &watch::Sender<usize>) -> Self {
        waiting.send_modify(|waiting| *waiting += 1);
        Self(waiting.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|waiting| *waiting -= 1);
    }
}

/// An error with its cause.
fn words(error: &InvokeError) -> String {
    match error {
        InvokeError::Function(cause) => format!("{error}: {cause}"),
        _ => error.to_string(),
    }
}
