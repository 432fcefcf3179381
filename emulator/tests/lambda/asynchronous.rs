//! Asynchronous invocations.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::json;

use streamio_emulator::lambda::{
    AsyncConfig, AsyncInvoker, FailureCondition, FunctionError, Invoke, InvokeError,
};

/// Fails with the scripted errors, then succeeds.
#[derive(Default)]
struct ScriptedFunction {
    errors: Mutex<VecDeque<InvokeError>>,
    times: Mutex<Vec<tokio::time::Instant>>,
}

#[async_trait]
impl Invoke for ScriptedFunction {
    async fn invoke(&self, _function: &str, _payload: Bytes) -> Result<Bytes, InvokeError> {
        self.times.lock().unwrap().push(tokio::time::Instant::now());
        self.errors.lock().unwrap().pop_front().map_or_else(|| Ok(Bytes::new()), Err)
    }
}

fn failed() -> InvokeError {
    InvokeError::Function(FunctionError::new("a", "no luck"))
}

fn throttled() -> InvokeError {
    InvokeError::Throttled { function: "f".into() }
}

/// Sends one event through a queue. Returns the queue and the times of the attempts, in milliseconds.
async fn send(
    config: AsyncConfig,
    errors: impl IntoIterator<Item = InvokeError>,
) -> (AsyncInvoker, Vec<u128>) {
    let script = Arc::new(ScriptedFunction {
        errors: Mutex::new(errors.into_iter().collect()),
        ..ScriptedFunction::default()
    });
    let queue = AsyncInvoker::new(Arc::clone(&script) as Arc<dyn Invoke>, config);
    let begun = tokio::time::Instant::now();
    queue.send("f", json!({"a": 1}), Duration::ZERO);
    assert_eq!(queue.pending(), 1);
    queue.wait_until_idle().await;
    let millis = script.times.lock().unwrap().iter().map(|time| (*time - begun).as_millis()).collect();
    (queue, millis)
}

#[test]
fn the_default_pauses_are_the_documented_ones() {
    let AsyncConfig { maximum_retry_attempts, maximum_event_age, error_delay, .. } = AsyncConfig::default();
    assert_eq!((maximum_retry_attempts, maximum_event_age.as_secs(), error_delay.as_secs()), (2, 21_600, 60));
}

#[tokio::test]
async fn an_event_is_retried_after_one_and_two_minutes_and_then_becomes_a_dead_letter() {
    let (queue, millis) = send(AsyncConfig::scaled_down(), [failed(), failed()]).await;
    let [first, second, third] = millis[..] else { panic!("{millis:?}") };
    assert!(second - first >= 60 && third - second >= 120, "{millis:?}");
    assert_eq!(queue.dead_letters(), []);

    let (queue, millis) = send(AsyncConfig::scaled_down(), [failed(), failed(), failed(), failed()]).await;
    assert_eq!(millis.len(), 3);
    let dead_letters = queue.dead_letters();
    assert_eq!(dead_letters.len(), 1);
    assert_eq!(
        (dead_letters[0].condition, dead_letters[0].attempts),
        (FailureCondition::RetriesExhausted, 3)
    );
    assert_eq!(
        (&dead_letters[0].event, dead_letters[0].error.as_str()),
        (&json!({"a": 1}), "the function failed: a: no luck")
    );
}

#[tokio::test]
async fn throttled_invocations_are_not_counted_as_retries_until_the_maximum_age() {
    let errors = (0..6).map(|_| throttled()).chain([failed(), failed()]);
    let (queue, millis) = send(AsyncConfig::scaled_down(), errors).await;
    assert_eq!(millis.len(), 9);
    let pauses: Vec<u128> = millis.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (pause, least) in pauses.iter().zip([1, 2, 4, 8, 16, 32, 60, 120]) {
        assert!(*pause >= least, "{pauses:?}");
    }
    assert_eq!(queue.dead_letters(), []);

    let maximum_event_age = Duration::from_secs(2);
    let config = AsyncConfig { maximum_event_age, ..AsyncConfig::scaled_down() };
    let (queue, millis) = send(config, (0..1000).map(|_| throttled())).await;
    // The pauses are 1, 2, 4, … 256 ms and then 300 ms, so the 14th attempt is after 1711 ms, and another would be too late. On
    // a slow machine there are fewer.
    assert!((6..=14).contains(&millis.len()), "{millis:?}");
    assert_eq!(queue.dead_letters()[0].condition, FailureCondition::EventAgeExceeded);
}
