//! The journals of the Worker: a grant is sent to the queue `GRANTS`.

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;
use js_sys::Promise;
use serde_json::Value;
use streamio_events::commit::NewCommit;
use streamio_events::event::RecordedEvent;
use streamio_events::fact::Fact;
use streamio_events::id::CommitId;
use streamio_events::stream::StreamId;
use wasm_bindgen::JsValue;

use super::log;
use super::queue::{Queue, refused, stored};
use crate::ports::Background;
use crate::ports::journal::{Journal, JournalError, Receipt, Recorded};

/// Accepts a grant when the queue has stored it.
pub(super) struct QueueJournal(pub(super) Queue);

#[async_trait(?Send)]
impl Journal for QueueJournal {
    fn has_memory(&self) -> bool {
        false
    }

    async fn record(&self, stream: &StreamId, commit: NewCommit) -> Result<Recorded, JournalError> {
        let promise = self.0.begin(&fact(stream, commit)?).map_err(JournalError)?;
        Ok(Recorded::Pending(Box::new(QueueReceipt(promise))))
    }

    async fn recall(&self, _: &StreamId, _: &CommitId) -> Result<Option<RecordedEvent>, JournalError> {
        Ok(None)
    }
}

/// The queue's promise. `index.js` awaits it: awaiting a promise in Rust costs as much as a signature.
pub(super) struct QueueReceipt(Promise);

impl QueueReceipt {
    /// Returns the promise of a receipt.
    ///
    /// # Panics
    ///
    /// When the receipt is not one of [`QueueJournal`], the only journal of the Worker with receipts.
    pub(super) fn into_promise(receipt: Box<dyn Receipt>) -> Promise {
        let receipt: Option<Box<Self>> = (receipt as Box<dyn Any>).downcast().ok();
        receipt.expect("a receipt of QueueJournal").0
    }

    /// The error when the promise is rejected.
    pub(super) fn rejected() -> JournalError {
        JournalError(refused(JsValue::UNDEFINED))
    }
}

#[async_trait(?Send)]
impl Receipt for QueueReceipt {
    async fn accepted(self: Box<Self>) -> Result<(), JournalError> {
        stored(self.0).await.map_err(JournalError)
    }
}

/// Accepts a grant at once, and sends it to the queue while the response is on its way.
pub(super) struct WaitUntilJournal {
    pub(super) queue: Queue,
    pub(super) background: Arc<dyn Background>,
}

#[async_trait(?Send)]
impl Journal for WaitUntilJournal {
    fn has_memory(&self) -> bool {
        false
    }

    async fn record(&self, stream: &StreamId, commit: NewCommit) -> Result<Recorded, JournalError> {
        let fact = fact(stream, commit)?;
        let (queue, stream) = (self.queue.clone(), stream.to_string());
        self.background.spawn(Box::pin(async move {
            if let Err(error) = queue.send(&fact).await {
                let fields = [("stream", Value::from(stream)), ("error", error.to_string().into())];
                log::event("error", "a grant is lost: its URL was sent, but it is not in the log", &fields);
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
