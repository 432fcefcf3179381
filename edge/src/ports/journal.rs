//! The port through which facts get into the log: the grants that the API issues.

use async_trait::async_trait;
use streamio_events::commit::NewCommit;
use streamio_events::event::RecordedEvent;
use streamio_events::id::CommitId;
use streamio_events::stream::StreamId;

use super::{Cause, ThreadSafe};

pub use streamio_events::home::Recorded;

/// Accepts facts durably.
///
/// A commit id is derived from the request's Idempotency-Key, so that a repeated request meets the commit of the first
/// and gets the answer of the first. A journal that has no memory of its own (a queue before the log) cannot tell and
/// answers [`Recorded::New`] and `None`; the log then finds the second commit to be a repetition and drops it.
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
pub trait Journal: ThreadSafe {
    /// Appends `commit` to `stream`, whatever the stream's version. After `Ok` the fact is durable: it survives a crash
    /// and will be in the log. After an error it may or may not be, and no URL leaves the house.
    async fn record(&self, stream: &StreamId, commit: NewCommit) -> Result<Recorded, JournalError>;

    /// The first event of the commit `id` of `stream`, when it is there. Asked only for requests that carry an
    /// Idempotency-Key, before work is done that [`Self::record`] would find to be repeated.
    async fn recall(&self, stream: &StreamId, id: &CommitId) -> Result<Option<RecordedEvent>, JournalError>;
}

/// The fact was not accepted, or nobody knows whether it was. The same commit may be handed over again.
#[derive(Debug, thiserror::Error)]
#[error("the journal did not accept the fact")]
pub struct JournalError(#[source] pub Cause);
