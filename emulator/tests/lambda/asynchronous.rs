//! The queue before functions.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::json;

use streamio_emulator::lambda::{
    AsyncConfig, AsyncInvoker, EndCondition, FunctionError, Invoke, InvokeError,
};

/// Answers as it was told, then with success.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<InvokeError>>,
    times: Mutex<Vec<tokio::time::Instant>>,
}

#[async_trait]
impl Invoke for Script {
    async fn invoke(&self, _function: &str, _payload: Bytes) -> Result<Bytes, InvokeError> {
        self.times.lock().unwrap().push(tokio::time::Instant::now());
        self.answers.lock().unwrap().pop_front().map_or_else(|| Ok(Bytes::new()), Err)
    }
}

fn failed() -> InvokeError {
    InvokeError::Function(FunctionError::new("a", "no luck"))
}

fn throttled() -> InvokeError {
    InvokeError::Throttled { function: "f".into() }
}

/// Sends one event through a queue whose waits are a thousandth of the real service's. Says after how many milliseconds it
/// was tried.
async fn send(
    config: AsyncConfig,
    answers: impl IntoIterator<Item = InvokeError>,
) -> (AsyncInvoker, Vec<u128>) {
    let script = Arc::new(Script { answers: Mutex::new(answers.into_iter().collect()), ..Script::default() });
    let queue = AsyncInvoker::new(Arc::clone(&script) as Arc<dyn Invoke>, config);
    let begun = tokio::time::Instant::now();
    queue.send("f", json!({"a": 1}), Duration::ZERO);
    assert_eq!(queue.waiting(), 1);
    queue.quiet().await;
    let millis = script.times.lock().unwrap().iter().map(|time| (*time - begun).as_millis()).collect();
    (queue, millis)
}

#[test]
fn the_waits_are_the_documented_ones() {
    let AsyncConfig { maximum_retry_attempts, maximum_event_age, error_delay, .. } = AsyncConfig::default();
    assert_eq!((maximum_retry_attempts, maximum_event_age.as_secs(), error_delay.as_secs()), (2, 21_600, 60));
}

#[tokio::test]
async fn an_event_is_tried_again_after_one_minute_and_after_two_and_then_given_up() {
    let (queue, millis) = send(AsyncConfig::quick(), [failed(), failed()]).await;
    let [first, second, third] = millis[..] else { panic!("{millis:?}") };
    assert!(second - first >= 60 && third - second >= 120, "{millis:?}");
    assert_eq!(queue.dead_letters(), []);

    let (queue, millis) = send(AsyncConfig::quick(), [failed(), failed(), failed(), failed()]).await;
    assert_eq!(millis.len(), 3);
    let dead = queue.dead_letters();
    assert_eq!(dead.len(), 1);
    assert_eq!((dead[0].condition, dead[0].attempts), (EndCondition::RetriesExhausted, 3));
    assert_eq!(
        (&dead[0].event, dead[0].error.as_str()),
        (&json!({"a": 1}), "the function failed: a: no luck")
    );
}

#[tokio::test]
async fn what_the_service_could_not_invoke_uses_up_no_retry_but_time() {
    let answers = (0..6).map(|_| throttled()).chain([failed(), failed()]);
    let (queue, millis) = send(AsyncConfig::quick(), answers).await;
    assert_eq!(millis.len(), 9);
    let waits: Vec<u128> = millis.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (wait, least) in waits.iter().zip([1, 2, 4, 8, 16, 32, 60, 120]) {
        assert!(*wait >= least, "{waits:?}");
    }
    assert_eq!(queue.dead_letters(), []);

    let maximum_event_age = Duration::from_secs(2);
    let config = AsyncConfig { maximum_event_age, ..AsyncConfig::quick() };
    let (queue, millis) = send(config, (0..1000).map(|_| throttled())).await;
    // After waits of 1 to 256 ms and then of 300 ms, the 14th try comes after 1711 ms, and another would be too late. What
    // comes late by itself leaves time for fewer.
    assert!((6..=14).contains(&millis.len()), "{millis:?}");
    assert_eq!(queue.dead_letters()[0].condition, EndCondition::EventAgeExceeded);
}
