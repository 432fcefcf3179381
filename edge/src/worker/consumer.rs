//! The consumer of the queue `GRANTS`: puts grants into the Kinesis stream.

use std::time::Duration;

use js_sys::{Object, Reflect};
use serde_json::Value;
use wasm_bindgen::{JsCast as _, JsValue};
use worker::worker_sys::{Message, MessageBatch};

use super::isolate::Isolate;
use super::log;
use crate::kinesis::{Delivery, Message as Fact};
use crate::settings::InvalidSettings;

/// Puts a batch of the queue into the stream. A message is acknowledged only when its fact is there.
pub(super) async fn consume(isolate: &Isolate, batch: &MessageBatch) -> Result<(), BatchError> {
    let messages: Vec<Queued> = batch.messages()?.iter().map(Queued::read).collect::<Result<_, _>>()?;
    let facts: Vec<Fact<'_>> =
        messages.iter().map(|it| Fact { body: it.text.as_bytes(), attempts: it.attempts }).collect();
    let deliveries = isolate.feeder()?.feed(&facts, isolate.random()).await;
    let mut late = Vec::new();
    for (queued, delivery) in messages.iter().zip(deliveries) {
        match delivery {
            Delivery::Accepted => queued.message.ack()?,
            Delivery::Retry { after, why } => {
                queued.retry(after)?;
                late.push(why);
            }
            Delivery::Poison { why } => {
                let id = String::from(queued.message.id()?);
                let fields = [("message.id", Value::from(id)), ("error", why.into())];
                log::event(
                    "error",
                    "a message of the queue is no fact; it goes to the dead letters",
                    &fields,
                );
                match isolate.dead_grants.forward(queued.body.clone()).await {
                    Ok(()) => queued.message.ack()?,
                    // After its last delivery the queue itself moves it to the dead letters.
                    Err(_) => queued.retry(Duration::from_mins(1))?,
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

/// A message of the queue. The crate's own `worker::Message` has no number of deliveries, and panics where these methods of the
/// runtime's message return an error.
struct Queued {
    message: Message,
    body: JsValue,
    /// The body; empty when it is not a text, because only a text can be a fact.
    text: String,
    /// How many times it was delivered, including this time.
    attempts: u32,
}

impl Queued {
    fn read(message: JsValue) -> Result<Self, JsValue> {
        let attempts = Reflect::get(&message, &"attempts".into())?.as_f64().unwrap_or(1.0);
        let message: Message = message.unchecked_into();
        let body = message.body()?;
        let text = body.as_string().unwrap_or_default();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
        Ok(Self { message, body, text, attempts: attempts as u32 })
    }

    fn retry(&self, after: Duration) -> Result<(), JsValue> {
        let options = Object::new();
        let seconds = u32::try_from(after.as_secs().max(1)).unwrap_or(u32::MAX);
        Reflect::set(&options, &"delaySeconds".into(), &seconds.into())?;
        self.message.retry(options.into())
    }
}
