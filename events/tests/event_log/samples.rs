//! Commits and streams for the tests of adapters.

use serde_json::json;
use streamio_events::commit::NewCommit;
use streamio_events::event::RecordedEvent;
use streamio_events::id::CommitId;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

/// A commit with the id of `cause` and that many events.
pub(crate) fn commit(cause: &str, events: usize) -> NewCommit {
    let at = Timestamp::from_unix_seconds(1_767_323_045);
    let event = |n| RecordedEvent {
        kind: "test.noted".to_owned(),
        version: 1,
        at,
        data: json!({ "cause": cause, "n": n }),
        fact: None,
    };
    NewCommit {
        id: CommitId::derived_from(&[cause]),
        events: (0..events).map(event).collect(),
        recorded_at: at,
    }
}

pub(crate) fn stream(n: usize) -> StreamId {
    format!("grants/acme/2026010203/{n}").parse().unwrap()
}
