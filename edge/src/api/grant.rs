//! Common to upload and playback grants: an id that a repeated request derives again, and a record that is durable before
//! any URL is returned.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response};
use serde::Serialize;
use serde_json::Value;
use streamio_events::commit::NewCommit;
use streamio_events::event::{EventData, RecordedEvent};
use streamio_events::id::{CommitId, GrantId};
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

use super::Exchange;
use super::home_problem::reused_key;
use crate::ports::Cause;
use crate::ports::journal::{Journal, JournalError, Recorded};
use crate::problem::Problem;
use crate::request::IdempotencyKey;

/// Present, with the value `true`, on the response to a repeated request.
const REPLAYED_HEADER: HeaderName = HeaderName::from_static("idempotency-replayed");

/// A grant that is about to be recorded, or was recorded for an earlier copy of the same request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) id: GrantId,
    /// The id of its record.
    pub(super) commit: CommitId,
    pub(super) may_be_repeated: bool,
}

impl Grant {
    /// The grant of `kind` for `request`. Without an Idempotency-Key its id is random. With one it is derived from the project,
    /// the kind, the key and all of `request`, and a key that this process, or the journal in the grant's stream, knows with
    /// another request is refused. Where nothing knows it, the same key with another request is another grant.
    pub(super) fn new(
        exchange: &Exchange<'_>,
        kind: &str,
        request: &impl Serialize,
    ) -> Result<Self, Problem> {
        let project = exchange.tenant.project_id.as_str().as_bytes();
        let key = IdempotencyKey::of(exchange.headers)?;
        let Some(key) = key else {
            let random = &exchange.context.random[16..];
            let id = GrantId::derived_from(&[project, kind.as_bytes(), b"random", random]);
            let commit = CommitId::derived_from(&["grant", id.as_str()]);
            return Ok(Self { id, commit, may_be_repeated: false });
        };
        let request = serde_json::to_vec(request).map_err(Problem::internal)?;
        let id =
            GrantId::derived_from(&[project, kind.as_bytes(), b"key", key.as_str().as_bytes(), &request]);
        let of_key =
            CommitId::derived_from(&["grant key", exchange.tenant.project_id.as_str(), kind, key.as_str()]);
        if !exchange.services.known_keys.is_first_or_same(&of_key, &id) {
            return Err(reused_key());
        }
        // A journal without a memory would drop the second grant of a key after its URL was returned.
        let has_memory = exchange.services.ports.journal.has_memory();
        let commit = if has_memory { of_key } else { CommitId::derived_from(&["grant", id.as_str()]) };
        Ok(Self { id, commit, may_be_repeated: true })
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
                    return own(&self.id, event).map(Some);
                }
            }
        }
        Ok(None)
    }

    /// Records the grant, whose URL expires at `expires_at`. Returns the record of an earlier copy of the same request if there is one: the response is then
    /// built from that.
    pub(super) async fn record(
        self,
        exchange: &Exchange<'_>,
        stream: &StreamId,
        event: RecordedEvent,
        expires_at: Timestamp,
    ) -> Result<Option<RecordedEvent>, Problem> {
        let Self { id, mut commit, may_be_repeated } = self;
        let journal = &*exchange.services.ports.journal;
        if may_be_repeated && !journal.has_memory() {
            // Each URL is recorded: the grant lasts until the last one expires.
            commit = CommitId::derived_from(&["grant until", id.as_str(), &expires_at.to_string()]);
        }
        let commit = NewCommit { id: commit, recorded_at: event.at, events: vec![event] };
        match journal.record(stream, commit).await.map_err(not_recorded)? {
            Recorded::New => Ok(None),
            Recorded::Pending(receipt) => {
                // A request records one grant.
                let _ = exchange.receipt.set(receipt);
                Ok(None)
            }
            Recorded::Repeated(event) => own(&id, event).map(Some),
        }
    }
}

/// The record, if it is that of the grant `id`: the request with the same key was the same.
fn own(id: &GrantId, event: RecordedEvent) -> Result<RecordedEvent, Problem> {
    let recorded = event.data.get("grantId").and_then(Value::as_str);
    if recorded == Some(id.as_str()) { Ok(event) } else { Err(reused_key()) }
}

/// Adds the header that tells a client that its request was done before, and this is the first response again.
pub(super) fn replayed(response: Result<Response<Bytes>, Problem>) -> Result<Response<Bytes>, Problem> {
    let mut response = response?;
    response.headers_mut().insert(REPLAYED_HEADER, HeaderValue::from_static("true"));
    Ok(response)
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
