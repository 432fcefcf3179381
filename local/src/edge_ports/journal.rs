use async_trait::async_trait;
use streamio_edge::journal::{Journal, JournalError, Recorded};
use streamio_events::commit::NewCommit;
use streamio_events::event::RecordedEvent;
use streamio_events::id::CommitId;
use streamio_events::log::{EventLog as _, Expected};
use streamio_events::sqlite::SqliteLog;
use streamio_events::stream::StreamId;

/// Facts go straight into the log: accepted is recorded.
pub(crate) struct LogJournal(pub(crate) SqliteLog);

#[async_trait]
impl Journal for LogJournal {
    async fn record(&self, stream: &StreamId, commit: NewCommit) -> Result<Recorded, JournalError> {
        let appended =
            self.0.append(stream, Expected::Any, commit).await.map_err(|error| JournalError(error.into()))?;
        Ok(match appended.commit.events.into_iter().next() {
            Some(first) if appended.repeated => Recorded::Repeated(first),
            _ => Recorded::New,
        })
    }

    async fn recall(&self, stream: &StreamId, id: &CommitId) -> Result<Option<RecordedEvent>, JournalError> {
        let commit = self.0.find(stream, id).await.map_err(|error| JournalError(error.into()))?;
        Ok(commit.and_then(|commit| commit.events.into_iter().next()))
    }
}
