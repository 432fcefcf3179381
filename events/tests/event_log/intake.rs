//! The intake that appends directly to the log.

use std::error::Error;
use std::sync::Arc;

use streamio_events::commit::{Head, NewCommit};
use streamio_events::fact::Fact;
use streamio_events::fault::{Fault, FaultyLog};
use streamio_events::intake::{DirectIntake, Intake};
use streamio_events::log::{
    AppendError, Appended, EventLog, EventLogExt, Expected, LogPage, Part, ReadError, StreamPage,
};
use streamio_events::memory::MemoryLog;
use streamio_events::retryable::Retryable as _;
use streamio_events::stream::StreamId;

use super::samples::{commit, stream};

fn fact(n: usize, cause: &str) -> Fact {
    Fact::new(stream(n), commit(cause, 1)).unwrap()
}

fn facts() -> Vec<Fact> {
    [(0, "a"), (1, "b"), (0, "c"), (2, "d"), (0, "e")].map(|(n, cause)| fact(n, cause)).into()
}

async fn commits(log: &MemoryLog, n: usize) -> usize {
    log.read_to_end(&stream(n), 1).await.unwrap().len()
}

#[tokio::test]
async fn facts_are_recorded_in_order_and_once() {
    let log = MemoryLog::new();
    let port: Arc<dyn EventLog> = Arc::new(log.clone());
    let intake = DirectIntake::new(port);
    intake.put(Vec::new()).await.unwrap();
    for _ in 0..2 {
        intake.put(facts()).await.unwrap();
        let expected: Vec<_> = ["a", "c", "e"].map(|cause| commit(cause, 1).id).into();
        let there = log.read_to_end(&stream(0), 1).await.unwrap();
        assert_eq!(there.into_iter().map(|commit| commit.id).collect::<Vec<_>>(), expected);
        assert_eq!((commits(&log, 1).await, commits(&log, 2).await), (1, 1));
    }
}

#[tokio::test]
async fn facts_after_an_append_without_a_response_are_delayed_with_it() {
    for fault in [Fault::Before, Fault::After] {
        let log = MemoryLog::new();
        let intake = DirectIntake::new(FaultyLog::scripted(log.clone(), [Fault::None, Fault::None, fault]));
        let error = intake.put(facts()).await.unwrap_err();
        assert!(error.is_retryable());
        assert_eq!((&error.delayed[..], &error.refused[..]), (&facts()[2..], &[][..]));
        assert_eq!(error.to_string(), "3 facts were not accepted");
        assert_eq!(error.source().unwrap().to_string(), "the event log is not available");
        assert_eq!(commits(&log, 2).await, 0);
        intake.put(error.delayed).await.unwrap();
        assert_eq!((commits(&log, 0).await, commits(&log, 1).await, commits(&log, 2).await), (3, 1, 1));
    }
}

/// A log with one damaged stream.
struct Damaged(MemoryLog);

#[async_trait::async_trait]
impl EventLog for Damaged {
    async fn append(
        &self,
        of: &StreamId,
        expected: Expected,
        new: NewCommit,
    ) -> Result<Appended, AppendError> {
        if *of == stream(0) {
            return Err(AppendError::Damaged { stream: of.clone(), reason: "it has no end".to_owned() });
        }
        self.0.append(of, expected, new).await
    }

    async fn head(&self, of: &StreamId) -> Result<Head, ReadError> {
        self.0.head(of).await
    }

    async fn read(&self, of: &StreamId, from: u64, limit: usize) -> Result<StreamPage, ReadError> {
        self.0.read(of, from, limit).await
    }

    async fn scan(&self, part: Part, after: Option<&str>, limit: usize) -> Result<LogPage, ReadError> {
        self.0.scan(part, after, limit).await
    }
}

#[tokio::test]
async fn a_damaged_stream_refuses_only_its_own_facts() {
    let log = MemoryLog::new();
    let error = DirectIntake::new(Damaged(log.clone())).put(facts()).await.unwrap_err();
    assert!(!error.is_retryable());
    assert_eq!(error.refused, [fact(0, "a"), fact(0, "c"), fact(0, "e")]);
    assert_eq!((commits(&log, 1).await, commits(&log, 2).await), (1, 1));
}
