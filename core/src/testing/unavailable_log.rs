//! A log that is unavailable.

use async_trait::async_trait;
use streamio_events::commit::{Head, NewCommit};
use streamio_events::log::{AppendError, Appended, EventLog, Expected, LogPage, Part, ReadError, StreamPage};
use streamio_events::stream::StreamId;

/// A log whose every operation fails as unavailable.
pub struct UnavailableLog;

#[async_trait]
impl EventLog for UnavailableLog {
    async fn append(&self, _: &StreamId, _: Expected, _: NewCommit) -> Result<Appended, AppendError> {
        Err(AppendError::Unavailable("unavailable".into()))
    }

    async fn head(&self, _: &StreamId) -> Result<Head, ReadError> {
        Err(ReadError::Unavailable("unavailable".into()))
    }

    async fn read(&self, _: &StreamId, _: u64, _: usize) -> Result<StreamPage, ReadError> {
        Err(ReadError::Unavailable("unavailable".into()))
    }

    async fn scan(&self, _: Part, _: Option<&str>, _: usize) -> Result<LogPage, ReadError> {
        Err(ReadError::Unavailable("unavailable".into()))
    }
}
