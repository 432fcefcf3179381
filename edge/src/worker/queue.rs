//! A queue that messages are sent to.

use js_sys::{Object, Promise, Reflect};
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use worker::worker_sys::Queue as JsQueue;

use crate::ports::Cause;

/// A queue binding, and the options of its text messages. [`worker::Queue::send`] builds the options for every message and
/// awaits the promise in Rust; on the path of every grant both cost as much as a signature.
#[derive(Clone)]
pub(super) struct Queue {
    binding: JsQueue,
    /// `{contentType: "text"}`: the consumer gets the text unchanged.
    text_options: JsValue,
}

impl Queue {
    pub(super) fn new(binding: worker::Queue) -> Self {
        let options = Object::new();
        // Setting a property of a plain object cannot fail.
        let _ = Reflect::set(&options, &"contentType".into(), &"text".into());
        Self { binding: JsValue::from(binding).unchecked_into(), text_options: options.into() }
    }

    /// Begins to send `text`. The promise is fulfilled when the queue has stored it.
    pub(super) fn begin(&self, text: &str) -> Result<Promise, Cause> {
        self.binding.send(text.into(), self.text_options.clone()).map_err(refused)
    }

    /// Sends `text`; completes when the queue has stored it.
    pub(super) async fn send(&self, text: &str) -> Result<(), Cause> {
        stored(self.begin(text)?).await
    }

    /// Sends the `body` of another queue's message unchanged: a text as text, anything else as JSON.
    pub(super) async fn forward(&self, body: JsValue) -> Result<(), Cause> {
        let options = if body.is_string() { self.text_options.clone() } else { JsValue::UNDEFINED };
        stored(self.binding.send(body, options).map_err(refused)?).await
    }
}

/// Completes when the queue has stored the message of `promise`.
pub(super) async fn stored(promise: Promise) -> Result<(), Cause> {
    JsFuture::from(promise).await.map_err(refused)?;
    Ok(())
}

/// The error for a message that the queue did not store. The runtime's own message may contain a signed URL.
pub(super) fn refused(_: JsValue) -> Cause {
    Cause::from("the queue did not take the message")
}
