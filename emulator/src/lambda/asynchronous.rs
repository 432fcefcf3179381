//! Asynchronous invocations: a queue per function, retries after errors, dead letters.
//! <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html>

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::invoke::{Invoke, InvokeError};

/// The retries of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AsyncConfig {
    /// The maximum number of retries after the function failed.
    pub maximum_retry_attempts: u32,
    /// The maximum time from the arrival of an event to its last attempt.
    pub maximum_event_age: Duration,
    /// The pause after the function's first failure. It doubles with each further failure.
    pub error_delay: Duration,
    /// The pause after an invocation was throttled. It doubles up to [`AsyncConfig::max_throttle_delay`].
    pub throttle_delay: Duration,
    /// The longest pause after throttling.
    pub max_throttle_delay: Duration,
}

impl Default for AsyncConfig {
    /// The values of the real service: two retries, after one and two minutes, and a maximum age of six hours.
    fn default() -> Self {
        Self {
            maximum_retry_attempts: 2,
            maximum_event_age: Duration::from_hours(6),
            error_delay: Duration::from_mins(1),
            throttle_delay: Duration::from_secs(1),
            max_throttle_delay: Duration::from_mins(5),
        }
    }
}

impl AsyncConfig {
    /// Returns the values of the real service with all pauses divided by 1,000, for tests: 60 and 120 ms after errors. The maximum age is
    /// not: an event waits for as long as the machine is busy with others, and is not lost for that.
    pub fn scaled_down() -> Self {
        let real = Self::default();
        Self {
            maximum_retry_attempts: real.maximum_retry_attempts,
            maximum_event_age: real.maximum_event_age,
            error_delay: real.error_delay / 1000,
            throttle_delay: real.throttle_delay / 1000,
            max_throttle_delay: real.max_throttle_delay / 1000,
        }
    }
}

/// Why the retries of an event ended, with the name of the real service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureCondition {
    /// The function failed and no retry is left.
    RetriesExhausted,
    /// The event has reached the maximum age.
    EventAgeExceeded,
}

impl FailureCondition {
    /// Its name in AWS's records of failed invocations.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RetriesExhausted => "RetriesExhausted",
            Self::EventAgeExceeded => "EventAgeExceeded",
        }
    }
}

/// An event that no retry could deliver, as in a dead-letter queue.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    /// The function that did not handle it.
    pub function: String,
    /// The event.
    pub event: Value,
    /// Why the retries ended.
    pub condition: FailureCondition,
    /// The number of invocations with the event.
    pub attempts: u32,
    /// The message of the last error.
    pub error: String,
}

/// Invokes functions asynchronously. Clones are handles of the same queue.
#[derive(Clone)]
pub struct AsyncInvoker {
    invoke: Arc<dyn Invoke>,
    config: Arc<AsyncConfig>,
    dead_letters: Arc<Mutex<Vec<DeadLetter>>>,
    /// The number of events that are neither handled nor dead letters.
    pending: watch::Sender<usize>,
    stop: CancellationToken,
}

impl AsyncInvoker {
    /// Returns a queue that invokes functions through `invoke`.
    pub fn new(invoke: Arc<dyn Invoke>, config: AsyncConfig) -> Self {
        Self {
            invoke,
            config: Arc::new(config),
            dead_letters: Arc::default(),
            pending: watch::Sender::new(0),
            stop: CancellationToken::new(),
        }
    }

    /// Queues an event for a function, to be delivered after `delay`.
    pub fn send(&self, function: &str, event: Value, delay: Duration) {
        let (queue, function) = (self.clone(), function.to_owned());
        let pending = PendingEvent::new(&self.pending);
        let stop = self.stop.clone();
        tokio::spawn(stop.run_until_cancelled_owned(async move {
            tokio::time::sleep(delay).await;
            queue.deliver(function, event).await;
            drop(pending);
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
                let is_exhausted = attempts > self.config.maximum_retry_attempts;
                let delay = self.config.error_delay.saturating_mul(2_u32.saturating_pow(attempts - 1));
                (delay, is_exhausted.then_some(FailureCondition::RetriesExhausted))
            } else {
                throttles += 1;
                let delay = self.config.throttle_delay.saturating_mul(2_u32.saturating_pow(throttles - 1));
                let condition = (!error.is_retryable()).then_some(FailureCondition::RetriesExhausted);
                (delay.min(self.config.max_throttle_delay), condition)
            };
            let is_too_old = begun.elapsed() + delay > self.config.maximum_event_age;
            let condition = condition.or(is_too_old.then_some(FailureCondition::EventAgeExceeded));
            if let Some(condition) = condition {
                let error = error_text(&error);
                tracing::error!(
                    function.name = function,
                    condition = condition.as_str(),
                    attempts,
                    error,
                    "the retries of an event are exhausted"
                );
                let dead_letter = DeadLetter { function, event, condition, attempts, error };
                self.dead_letters.lock().unwrap_or_else(PoisonError::into_inner).push(dead_letter);
                return;
            }
            tokio::time::sleep(delay).await;
        }
    }

    /// Returns the dead letters, oldest first.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.dead_letters.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the number of events that are neither handled nor dead letters.
    pub fn pending(&self) -> usize {
        *self.pending.borrow()
    }

    /// Waits until no event is pending.
    pub async fn wait_until_idle(&self) {
        let mut pending = self.pending.subscribe();
        // Cannot fail: this handle owns a sender.
        let _ = pending.wait_for(|pending| *pending == 0).await;
    }

    /// Discards the pending events and all later ones.
    pub fn stop(&self) {
        self.stop.cancel();
    }
}

impl std::fmt::Debug for AsyncInvoker {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("AsyncInvoker")
            .field("config", &self.config)
            .field("pending", &self.pending())
            .finish_non_exhaustive()
    }
}

/// Counts one pending event until it is dropped.
struct PendingEvent(watch::Sender<usize>);

impl PendingEvent {
    fn new(pending: &watch::Sender<usize>) -> Self {
        pending.send_modify(|pending| *pending += 1);
        Self(pending.clone())
    }
}

impl Drop for PendingEvent {
    fn drop(&mut self) {
        self.0.send_modify(|pending| *pending -= 1);
    }
}

/// Returns the message of an error and of its cause.
fn error_text(error: &InvokeError) -> String {
    match error {
        InvokeError::Function(cause) => format!("{error}: {cause}"),
        _ => error.to_string(),
    }
}
