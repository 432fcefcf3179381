//! Records that cannot be recorded.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::executor::block_on;
use streamio_core::delivery::batch::{Batch, Record, Report, RetryPolicy};
use streamio_core::intake::{Intake, record_batch};
use streamio_core::ports::AdapterError;
use streamio_events::commit::{Head, NewCommit};
use streamio_events::fact::Fact;
use streamio_events::log::{AppendError, Appended, EventLog, Expected, LogPage, Part, ReadError, StreamPage};
use streamio_events::memory::MemoryLog;
use streamio_events::stream::StreamId;

use crate::commits;
use crate::fixtures::{DeadLetterStore, at, fact, record};

#[test]
fn a_record_that_is_not_a_fact_is_a_dead_letter_and_the_others_are_recorded() {
    let log = MemoryLog::new();
    let dead_letters = DeadLetterStore::default();
    let batch = Batch {
        function: "intake",
        dead_letters: &dead_letters,
        retry_policy: &RetryPolicy::since_first_failure(Duration::from_mins(10)),
    };
    let unreadable = Record {
        sequence: "1".to_owned(),
        id: "shard:1".to_owned(),
        arrived_at: at(0),
        payload: "the whole record".to_owned(),
        content: Fact::from_json(b"{").map_err(AdapterError::from),
    };
    let records = [record(0, fact(0, 0, 1, 0)), unreadable, record(2, fact(0, 1, 1, 0))];
    let report = block_on(record_batch(batch, &Intake::new(Arc::new(log.clone())), &records, at(1)));
    assert_eq!(report, Report { handled: 2, failed: Vec::new(), dead_lettered: 1 });
    let dead_letters = dead_letters.0.lock().unwrap();
    assert_eq!(dead_letters[0].payload, "the whole record");
    assert!(
        dead_letters[0].reason.starts_with("it is not the JSON of a fact: EOF"),
        "{}",
        dead_letters[0].reason
    );
    assert_eq!(commits(&log).len(), 1);
}

/// A log that refuses commits with fact 1.
struct RefusingLog(MemoryLog);

#[async_trait]
impl EventLog for RefusingLog {
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        commit: NewCommit,
    ) -> Result<Appended, AppendError> {
        if commit.events.iter().any(|event| event.data["fact"] == 1) {
            let reason = "fact 1 is refused".to_owned();
            return Err(AppendError::Invalid { stream: stream.clone(), reason });
        }
        self.0.append(stream, expected, commit).await
    }

    async fn head(&self, stream: &StreamId) -> Result<Head, ReadError> {
        self.0.head(stream).await
    }

    async fn read(&self, stream: &StreamId, from: u64, limit: usize) -> Result<StreamPage, ReadError> {
        self.0.read(stream, from, limit).await
    }

    async fn scan(&self, part: Part, after: Option<&str>, limit: usize) -> Result<LogPage, ReadError> {
        self.0.scan(part, after, limit).await
    }
}

#[test]
fn only_the_fact_that_the_log_refuses_becomes_a_dead_letter() {
    let log = MemoryLog::new();
    let dead_letters = DeadLetterStore::default();
    let batch = Batch {
        function: "intake",
        dead_letters: &dead_letters,
        retry_policy: &RetryPolicy::since_first_failure(Duration::from_mins(10)),
    };
    let intake = Intake::new(Arc::new(RefusingLog(log.clone())));
    let records: Vec<_> = (0..4).map(|name| record(name, fact(0, name, 1, 0))).collect();
    let report = block_on(record_batch(batch, &intake, &records, at(1)));
    assert_eq!(report, Report { handled: 3, failed: Vec::new(), dead_lettered: 1 });
    let dead_letters = dead_letters.0.lock().unwrap();
    assert_eq!(dead_letters[0].id, "shard:1");
    let kinds: Vec<(String, Option<u64>)> = commits(&log)
        .iter()
        .flat_map(|commit| &commit.events)
        .map(|event| (event.kind.clone(), event.data["fact"].as_u64()))
        .collect();
    let collided = |fact| ("galaxy.collided".to_owned(), Some(fact));
    assert_eq!(
        kinds,
        [collided(0), ("stream.quarantined".to_owned(), None), collided(2), collided(3)],
        "the stream shows where a fact is missing"
    );
}
