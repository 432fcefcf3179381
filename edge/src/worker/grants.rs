//! Grants on their road to the log: onto the queue, and from the queue into the stream.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use js_sys::{Object, Promise, Reflect};
use serde_json::Value;
use streamio_events::commit::NewCommit;
use streamio_events::event::RecordedEvent;
use streamio_events::fact::Fact;
use streamio_events::id::CommitId;
use streamio_events::stream::StreamId;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;

use super::invocation::Invocation;
use super::isolate::Isolate;
use super::{log, runtime};
use crate::kinesis::{Delivery, Message};
use crate::ports::journal::{Journal, JournalError, Recorded};
use crate::ports::{Background, Cause};
use crate::settings::InvalidSettings;

/// A queue's binding.
#[derive(Clone)]
pub(super) struct Queue {
    binding: runtime::Queue,
    /// Messages are texts, which the consumer gets as they are.
    options: JsValue,
}

impl Queue {
    pub(super) fn new(binding: runtime::Queue) -> Self {
        let options = Object::new();
        // A plain object takes every property.
        let _ = Reflect::set(&options, &"contentType".into(), &"text".into());
        Self { binding, options: options.into() }
    }

    /// Completes when the queue has stored `text`.
    async fn send(&self, text: &str) -> Result<(), Cause> {
        JsFuture::from(self.begin(text)?).await.map_err(refused)?;
        Ok(())
    }

    /// Completes when the queue has stored `body`, a message's as it came: a text, or anything else as JSON.
    async fn forward(&self, body: &JsValue) -> Result<(), Cause> {
        let options = if body.is_string() { self.options.clone() } else { JsValue::UNDEFINED };
        let stored = self.binding.send(body, &options).map_err(refused)?;
        JsFuture::from(stored).await.map_err(refused)?;
        Ok(())
    }

    /// Begins to send `text`. What is answered is fulfilled when the queue has stored it.
    fn begin(&self, text: &str) -> Result<Promise, Cause> {
        self.binding.send(&text.into(), &self.options).map_err(refused)
    }
}

fn refused(_: JsValue) -> Cause {
    Cause::from("the queue did not take the message")
}

/// Why a grant whose answer was ready is not accepted after all.
pub(super) fn not_accepted() -> JournalError {
    JournalError(refused(JsValue::UNDEFINED))
}

/// A grant is accepted when the queue has stored it. The queue is given it while the answer is put together, and the
/// answer waits for the queue in JavaScript: a promise that is awaited from here costs as much as a signature.
pub(super) struct QueueJournal(pub(super) Queue);

#[async_trait(?Send)]
impl Journal for QueueJournal {
    async fn record(&self, stream: &StreamId, commit: NewCommit) -> Result<Recorded, JournalError> {
        let stored = self.0.begin(&fact(stream, commit)?).map_err(JournalError)?;
        if let Some(stored) = Invocation::answer_after(stored) {
            JsFuture::from(stored).await.map_err(|error| JournalError(refused(error)))?;
        }
        Ok(Recorded::New)
    }

    async fn recall(&self, _: &StreamId, _: &CommitId) -> Result<Option<RecordedEvent>, JournalError> {
        Ok(None)
    }
}

/// A grant is accepted at once, and put on the queue while its answer travels.
pub(super) struct WaitUntilJournal {
    pub(super) queue: Queue,
    pub(super) background: Arc<dyn Background>,
}

#[async_trait(?Send)]
impl Journal for WaitUntilJournal {
    async fn record(&self, stream: &StreamId, commit: NewCommit) -> Result<Recorded, JournalError> {
        let fact = fact(stream, commit)?;
        let (queue, stream) = (self.queue.clone(), stream.to_string());
        self.background.spawn(Box::pin(async move {
            if let Err(error) = queue.send(&fact).await {
                let fields = [("stream", Value::from(stream)), ("error", error.to_string().into())];
                log::event(
                    "error",
                    "a grant is lost: its URL is out, and the log will not know of it",
                    &fields,
                );
            }
        }));
        Ok(Recorded::New)
    }

    async fn recall(&self, _: &StreamId, _: &CommitId) -> Result<Option<RecordedEvent>, JournalError> {
        Ok(None)
    }
}

fn fact(stream: &StreamId, commit: NewCommit) -> Result<String, JournalError> {
    let fact = Fact::new(stream.clone(), commit).map_err(|error| JournalError(error.into()))?;
    Ok(fact.into_json())
}

/// Puts a batch of the queue into the stream. A message is acknowledged only when its fact is there.
pub(super) async fn deliver(isolate: &Isolate, batch: &runtime::MessageBatch) -> Result<(), Undelivered> {
    let messages: Vec<Queued> = batch.messages()?.iter().map(Queued::read).collect::<Result<_, _>>()?;
    let facts: Vec<Message<'_>> =
        messages.iter().map(|it| Message { body: it.text.as_bytes(), attempts: it.attempts }).collect();
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
                let fields = [("message.id", Value::from(queued.message.id()?)), ("error", why.into())];
                log::event(
                    "error",
                    "a message of the queue is no fact; it goes to the dead letters",
                    &fields,
                );
                match isolate.dead_grants.forward(&queued.body).await {
                    Ok(()) => queued.message.ack()?,
                    // The queue itself moves it there after its last try.
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

/// Why a batch was given up: all of its messages that were not acknowledged come again.
pub(super) enum Undelivered {
    /// The Worker does not know where to.
    Misconfigured(InvalidSettings),
    /// The queue's objects did not do what they are documented to do.
    Host(JsValue),
}

impl From<JsValue> for Undelivered {
    fn from(error: JsValue) -> Self {
        Self::Host(error)
    }
}

impl From<InvalidSettings> for Undelivered {
    fn from(invalid: InvalidSettings) -> Self {
        Self::Misconfigured(invalid)
    }
}

/// A message of the queue, read.
struct Queued {
    message: runtime::Message,
    body: JsValue,
    /// The body. What is no text is no fact either: empty.
    text: String,
    /// How often it was delivered, this time included.
    attempts: u32,
}

impl Queued {
    fn read(message: JsValue) -> Result<Self, JsValue> {
        let message: runtime::Message = message.unchecked_into();
        let body = message.body()?;
        let text = body.as_string().unwrap_or_default();
        let attempts = message.attempts()?.unwrap_or(1);
        Ok(Self { message, body, text, attempts })
    }

    fn retry(&self, after: Duration) -> Result<(), JsValue> {
        let options = Object::new();
        let seconds = u32::try_from(after.as_secs().max(1)).unwrap_or(u32::MAX);
        Reflect::set(&options, &"delaySeconds".into(), &seconds.into())?;
        self.message.retry(&options)
    }
}
