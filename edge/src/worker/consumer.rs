//! The consumer of the queue `GRANTS`: puts grants into the Kinesis stream.

use std::time::Duration;

use js_sys::Reflect;
use serde_json::Value;
use wasm_bindgen::JsValue;
use worker::worker_sys::MessageBatch as JsMessageBatch;
use worker::{MessageBatch, MessageExt as _, QueueRetryOptionsBuilder, RawMessage};

use super::isolate::Isolate;
use super::log;
use crate::kinesis::{Delivery, Message};
use crate::settings::InvalidSettings;

/// Puts a batch of the queue into the stream. A message is acknowledged only when its fact is there.
pub(super) async fn consume(isolate: &Isolate, batch: JsMessageBatch) -> Result<(), BatchError> {
    let messages = read(batch)?;
    let facts: Vec<Message<'_>> =
        messages.iter().map(|it| Message { body: it.text.as_bytes(), attempts: it.attempts }).collect();
    let deliveries = isolate.feeder()?.feed(&facts, isolate.random()).await;
    let mut late = Vec::new();
    for (queued, delivery) in messages.iter().zip(deliveries) {
        match delivery {
            Delivery::Accepted => queued.message.ack(),
            Delivery::Retry { after, why } => {
                queued.retry(after);
                late.push(why);
            }
            Delivery::Poison { why } => {
                let fields = [("message.id", Value::from(queued.message.id())), ("error", why.into())];
                log::event(
                    "error",
                    "a message of the queue is no fact; it goes to the dead letters",
                    &fields,
                );
                match isolate.dead_grants.forward(queued.message.body()).await {
                    Ok(()) => queued.message.ack(),
                    // After its last delivery the queue itself moves it to the dead letters.
                    Err(_) => queued.retry(Duration::from_mins(1)),
                }
            }
        }
    }
    if let Some(why) = late.first() {
        let fields = [("messages", Value::from(late.len())), ("error", why.as_str().into())];
        log::event("warn", "grants stay in the queue: the stream did not take them", &fields);
    }
    Ok(())
}

/// Why a whole batch failed. Its messages that were not acknowledged are delivered again.
pub(super) enum BatchError {
    /// The Worker's settings are invalid.
    Misconfigured(InvalidSettings),
    /// The runtime's objects did not behave as documented.
    Runtime(JsValue),
}

impl From<JsValue> for BatchError {
    fn from(error: JsValue) -> Self {
        Self::Runtime(error)
    }
}

impl From<InvalidSettings> for BatchError {
    fn from(invalid: InvalidSettings) -> Self {
        Self::Misconfigured(invalid)
    }
}

/// A message of the queue.
struct Queued {
    message: RawMessage,
    /// The body; empty when it is not a text, because only a text can be a fact.
    text: String,
    /// How many times it was delivered, including this time.
    attempts: u32,
}

/// Reads the messages of `batch`. The crate's messages do not have `attempts`, so it is read from the runtime's.
fn read(batch: JsMessageBatch) -> Result<Vec<Queued>, BatchError> {
    let mut attempts = Vec::new();
    for message in batch.messages()? {
        let value = Reflect::get(&message, &"attempts".into())?.as_f64().unwrap_or(1.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
        attempts.push(value as u32);
    }
    let batch = MessageBatch::<()>::from(batch);
    let queued = batch.raw_iter().zip(attempts).map(|(message, attempts)| {
        let text = message.body().as_string().unwrap_or_default();
        Queued { message, text, attempts }
    });
    Ok(queued.collect())
}

impl Queued {
    fn retry(&self, after: Duration) {
        let seconds = u32::try_from(after.as_secs().max(1)).unwrap_or(u32::MAX);
        let options = QueueRetryOptionsBuilder::new().with_delay_seconds(seconds).build();
        self.message.retry_with_options(&options);
    }
}
