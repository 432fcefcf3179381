//! The port through which the grants that the API issues get into the log.

use std::any::Any;

use async_trait::async_trait;
use streamio_events::commit::NewCommit;
use streamio_events::event::RecordedEvent;
use streamio_events::home;
use streamio_events::id::CommitId;
use streamio_events::stream::StreamId;
use streamio_events::thread_safe::ThreadSafe;

use super::cause::Cause;

/// Records facts durably.
///
/// A commit id is derived from the request's Idempotency-Key, so a repeated request finds the commit of the first request
/// and gets its response. A journal without a memory (a queue before the log) cannot detect repetitions: it returns
/// [`Recorded::New`] or [`Recorded::Pending`], and `None` from [`Self::recall`]. A repeated request is then answered with a new URL, so its
/// commit id is also derived from the expiry: the log records each expiry once.
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
pub trait Journal: ThreadSafe {
    /// Whether [`Self::record`] and [`Self::recall`] find an earlier commit with the same id. A commit id then need not
    /// depend on the whole request: another request with the same Idempotency-Key is found, and refused.
    fn has_memory(&self) -> bool;

    /// Appends `commit` to `stream`, whatever the stream's version. After [`Recorded::New`] the fact is durable: it survives
    /// a crash and will be in the log. After an error it may or may not be recorded, and the API returns no URL.
    async fn record(&self, stream: &StreamId, commit: NewCommit) -> Result<Recorded, JournalError>;

    /// Returns the first event of the commit `id` of `stream`, or `None` when there is no such commit. Called only for
    /// requests with an Idempotency-Key, before work that [`Self::record`] would find to be repeated.
    async fn recall(&self, stream: &StreamId, id: &CommitId) -> Result<Option<RecordedEvent>, JournalError>;
}

/// The result of recording a commit.
pub enum Recorded {
    /// The commit is durable.
    New,
    /// A commit with the same id was recorded before; this is its first event.
    Repeated(RecordedEvent),
    /// The journal has not accepted the commit yet. The response may be built, but must not be sent before the receipt
    /// confirms it.
    Pending(Box<dyn Receipt>),
}

impl From<home::Recorded> for Recorded {
    fn from(recorded: home::Recorded) -> Self {
        match recorded {
            home::Recorded::New => Self::New,
            home::Recorded::Repeated(event) => Self::Repeated(event),
        }
    }
}

/// Waits until a journal has accepted a commit.
///
/// A host with a cheaper way to wait for its own journal may downcast the receipt to the type that the journal returned.
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
pub trait Receipt: Any + ThreadSafe {
    /// Completes when the commit is durable. After an error it may or may not be recorded.
    async fn accepted(self: Box<Self>) -> Result<(), JournalError>;
}

/// The fact was not accepted, or the outcome is unknown. The same commit may be recorded again.
#[derive(Debug, thiserror::Error)]
#[error("the journal did not accept the fact")]
pub struct JournalError(#[source] pub Cause);
