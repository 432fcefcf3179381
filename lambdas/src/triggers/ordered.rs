use serde::de::DeserializeOwned;
use serde_json::Value;
use streamio_core::delivery::batch::Record;
use streamio_core::ports::AdapterError;
use streamio_events::timestamp::Timestamp;

use super::{UnexpectedEvent, records, text};

/// A source with ordered records, and the form of its batches.
pub(super) struct OrderedSource {
    /// What the function expects, for error messages.
    pub(super) expected: &'static str,
    /// The `eventSource` of each record.
    pub(super) event_source: &'static str,
    /// The JSON pointer to the sequence number of a record.
    pub(super) sequence: &'static str,
}

impl OrderedSource {
    /// The records of a batch, in the shard's order. `content` returns the arrival time and the content of a record that was
    /// parsed as `R`; a record that is not an `R` is a poison record.
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
            return Err(UnexpectedEvent { expected, found: format!("a record is from {source}") });
        }
        let sequence = text(expected, &raw, self.sequence)?.to_owned();
        // Sequence numbers are unique only within a shard.
        let id = text(expected, &raw, "/eventID")?.to_owned();
        let payload = raw.to_string();
        let (arrived_at, content) = match serde_json::from_value(raw) {
            Ok(record) => content(record),
            Err(error) => (Timestamp::default(), Err(error.into())),
        };
        Ok(Record { sequence, id, arrived_at, payload, content })
    }
}
