//! Common to upload and playback grants: an id that a repeated request derives again, and a record that is durable before
//! any URL is returned.

use serde::Serialize;
use streamio_events::commit::NewCommit;
use streamio_events::event::{EventData, RecordedEvent};
use streamio_events::id::{CommitId, GrantId};
use streamio_events::stream::StreamId;

use super::Exchange;
use crate::ports::Cause;
use crate::ports::journal::{Journal, JournalError, Recorded};
use crate::problem::Problem;
use crate::request::IdempotencyKey;

/// A grant that is about to be recorded, or was recorded for an earlier copy of the same request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) id: GrantId,
    commit: CommitId,
    may_be_repeated: bool,
}

impl Grant {
    /// The grant of `kind` for `request`. With an Idempotency-Key its id is derived from the project, the kind, the key and
    /// all of `request`, so that the same key with another request is another grant; without one it is random.
    pub(super) fn new(
        exchange: &Exchange<'_>,
        kind: &str,
        request: &impl Serialize,
    ) -> Result<Self, Problem> {
        let project = exchange.tenant.project_id.as_str().as_bytes();
        let key = IdempotencyKey::of(exchange.headers)?;
        let id = match &key {
            Some(key) => {
                let request = serde_json::to_vec(request).map_err(Problem::internal)?;
                GrantId::derived_from(&[project, kind.as_bytes(), b"key", key.as_str().as_bytes(), &request])
            }
            None => {
                GrantId::derived_from(&[project, kind.as_bytes(), b"random", &exchange.context.random[16..]])
            }
        };
        let commit = CommitId::derived_from(&["grant", id.as_str()]);
        Ok(Self { id, commit, may_be_repeated: key.is_some() })
    }

    /// The record of an earlier copy of the same request, if one of `streams` has it.
    pub(super) async fn recall(
        &self,
        journal: &dyn Journal,
        streams: &[&StreamId],
    ) -> Result<Option<RecordedEvent>, Problem> {
        if self.may_be_repeated {
            for stream in streams {
                if let Some(event) = journal.recall(stream, &self.commit).await.map_err(not_recorded)? {
                    return Ok(Some(event));
                }
            }
        }
        Ok(None)
    }

    /// Records the grant. Returns the record of an earlier copy of the same request if there is one: the response is then
    /// built from that.
    pub(super) async fn record(
        self,
        exchange: &Exchange<'_>,
        stream: &StreamId,
        event: RecordedEvent,
    ) -> Result<Option<RecordedEvent>, Problem> {
        let commit = NewCommit { id: self.commit, recorded_at: event.at, events: vec![event] };
        match exchange.services.ports.journal.record(stream, commit).await.map_err(not_recorded)? {
            Recorded::New => Ok(None),
            Recorded::Pending(receipt) => {
                // A request records one grant.
                let _ = exchange.receipt.set(receipt);
                Ok(None)
            }
            Recorded::Repeated(event) => Ok(Some(event)),
        }
    }
}

/// The problem when the journal has not accepted a grant.
pub(crate) fn not_recorded(error: JournalError) -> Problem {
    Problem::unavailable(
        "The grant could not be recorded, so no URL was issued; with the same Idempotency-Key it is not granted twice.",
        error,
    )
}

/// The grant in a record.
pub(super) fn read<T: EventData>(event: &RecordedEvent) -> Result<T, Problem> {
    let granted = event.read().map_err(unreadable)?;
    granted.ok_or_else(|| unreadable(format!("the record of a {} has the type {}", T::KIND, event.kind)))
}

/// The problem when the journal returned a record that is not a grant of the expected kind.
pub(super) fn unreadable(cause: impl Into<Cause>) -> Problem {
    Problem::unavailable("The grant's record could not be read, so no URL was issued.", cause)
}
