//! Facts and records of test streams.

use std::sync::Mutex;

use async_trait::async_trait;
use serde_json::json;
use streamio_core::delivery::batch::Record;
use streamio_core::ports::AdapterError;
use streamio_core::ports::dead_letters::{DeadLetter, DeadLetters};
use streamio_events::commit::NewCommit;
use streamio_events::event::RecordedEvent;
use streamio_events::fact::Fact;
use streamio_events::id::CommitId;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_unix_seconds(1_767_323_045 + second)
}

pub(crate) fn stream(number: usize) -> StreamId {
    format!("grants/acme/2026010203/{number}").parse().unwrap()
}

/// Returns a fact of `events` events with about `bytes` bytes in total.
pub(crate) fn fact(stream_number: usize, name: usize, events: usize, bytes: usize) -> Fact {
    let event = |number: usize| RecordedEvent {
        kind: "galaxy.collided".to_owned(),
        version: 1,
        at: at(0),
        data: json!({ "fact": name, "number": number, "padding": "x".repeat(bytes / events) }),
        fact: None,
    };
    let commit = NewCommit {
        id: CommitId::derived_from(&["fact", &name.to_string()]),
        events: (0..events).map(event).collect(),
        recorded_at: at(i64::try_from(name).unwrap()),
    };
    Fact::new(stream(stream_number), commit).unwrap()
}

pub(crate) fn record(index: usize, fact: Fact) -> Record<Fact> {
    Record {
        sequence: index.to_string(),
        id: format!("shard:{index}"),
        arrived_at: at(0),
        payload: fact.json().to_owned(),
        content: Ok(fact),
    }
}

/// Dead letters in memory.
#[derive(Default)]
pub(crate) struct DeadLetterStore(pub(crate) Mutex<Vec<DeadLetter>>);

#[async_trait]
impl DeadLetters for DeadLetterStore {
    async fn store(&self, dead_letter: DeadLetter) -> Result<(), AdapterError> {
        self.0.lock().unwrap().push(dead_letter);
        Ok(())
    }
}
