use serde::de::DeserializeOwned;
use serde_json::Value;
use streamio_events::timestamp::Timestamp;

use super::{UnexpectedEvent, records, text};
use streamio_core::delivery::batch::Record;
use streamio_core::ports::AdapterError;

/// A source that keeps its records in order, and how its batches look.
pub(super) struct OrderedSource {
    /// What the function is invoked with.
    pub(super) expected: &'static str,
    /// Each record's `eventSource`.
    pub(super) event_source: &'static str,
    /// Where in a record its sequence number is.
    pub(super) sequence: &'static str,
}

impl OrderedSource {
    /// The records of a batch, in the shard's order. `content` says of each, read as `R`, since when the source has had it
    /// and what it tells; one that is no `R` is poison.
    pub(super) fn read<R: DeserializeOwned, T>(
        &self,
        event: Value,
        content: impl Fn(R) -> (Timestamp, Result<T, AdapterError>),
    ) -> Result<Vec<Record<T>>, UnexpectedEvent> {
        let record = |raw| self.record(raw, &content);
        records(self.expected, event)?.into_iter().map(record).collect()
    }

    fn record<R: DeserializeOwned, T>(
        &self,
        raw: Value,
        content: &impl Fn(R) -> (Timestamp, Result<T, AdapterError>),
    ) -> Result<Record<T>, UnexpectedEvent> {
        let expected = self.expected;
        let source = text(expected, &raw, "/eventSource")?;
        if source != self.event_source {
            return Err(UnexpectedEvent { expected, found: format!("a record is of {source}") });
        }
        let sequence = text(expected, &raw, self.sequence)?.to_owned();
        // Sequence numbers alone are a shard's own.
        let id = text(expected, &raw, "/eventID")?.to_owned();
        let payload = raw.to_string();
        let (arrived_at, content) = match serde_json::from_value(raw) {
            Ok(record) => content(record),
            Err(error) => (Timestamp::default(), Err(error.into())),
        };
        Ok(Record { sequence, id, arrived_at, payload, content })
    }
}
