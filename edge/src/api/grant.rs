//! What upload and playback grants have in common: an id that a repeated request finds again, and a record that is
//! durable before any URL leaves.

use serde::Serialize;
use streamio_events::commit::NewCommit;
use streamio_events::event::{EventData, RecordedEvent};
use streamio_events::id::{CommitId, GrantId};
use streamio_events::stream::StreamId;

use super::Exchange;
use crate::journal::{Journal, JournalError, Recorded};
use crate::problem::Problem;
use crate::request::IdempotencyKey;

/// A grant that is about to be made, or was made before by the same request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) id: GrantId,
    commit: CommitId,
    may_be_repeated: bool,
}

impl Grant {
    /// The grant of `kind` that `request` asks for. With an Idempotency-Key its id follows from the project, the kind,
    /// the key and everything in `request`, so that the same key with another request is another grant; without one it
    /// is new.
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

    /// The record of the same request's first time, where one of `streams` has it.
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

    /// Records the grant. Answers the record of the same request's first time, where this one turns out to be a
    /// repetition: the answer then follows from that.
    pub(super) async fn record(
        self,
        journal: &dyn Journal,
        stream: &StreamId,
        event: RecordedEvent,
    ) -> Result<Option<RecordedEvent>, Problem> {
        let commit = NewCommit { id: self.commit, recorded_at: event.at, events: vec![event] };
        match journal.record(stream, commit).await.map_err(not_recorded)? {
            Recorded::New => Ok(None),
            Recorded::Repeated(event) => Ok(Some(event)),
        }
    }
}

/// What is answered when the journal has not accepted a grant.
pub(crate) fn not_recorded(error: JournalError) -> Problem {
    Problem::unavailable(
        "The grant could not be recorded, so no URL was issued; with the same Idempotency-Key it is not granted twice.",
        error,
    )
}

/// The grant that a record is about.
pub(super) fn read<T: EventData>(event: &RecordedEvent) -> Result<T, Problem> {
    let granted = event.read().map_err(unreadable)?;
    granted.ok_or_else(|| unreadable(format!("a record of {} is of type {}", T::KIND, event.kind)))
}

/// The journal gave back a record that is no grant of the expected kind.
pub(super) fn unreadable(cause: impl Into<crate::port::Cause>) -> Problem {
    Problem::unavailable("The grant's record could not be read, so no URL was issued.", cause)
}
