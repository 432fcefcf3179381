//! Batches of the feed out: records of the DynamoDB stream of the ledger, each of which is an item put there, a commit
//! (<https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html>). The stream's view type is `NEW_IMAGE`.

use aws_lambda_events::dynamodb::EventRecord;
use serde_json::Value;
use streamio_events::commit::Commit;
use streamio_events::dynamo::commit_from_item;
use streamio_events::timestamp::Timestamp;

use super::{UnexpectedEvent, records, text};
use crate::AdapterError;
use crate::batch::Record;

const EXPECTED: &str = "batch of a DynamoDB stream";

/// The ledger was changed where it may only grow. Whoever did that has rights that nobody should have.
#[derive(Debug, thiserror::Error)]
#[error("the ledger only grows, but one of its items has a record of {event_name}")]
pub struct LedgerTampered {
    /// `MODIFY` or `REMOVE`.
    pub event_name: String,
}

/// The commits of a batch, in the shard's order. A record of anything but a new item is poison.
pub fn read(event: Value) -> Result<Vec<Record<Commit>>, UnexpectedEvent> {
    records(EXPECTED, event)?.into_iter().map(record).collect()
}

fn record(raw: Value) -> Result<Record<Commit>, UnexpectedEvent> {
    let source = text(EXPECTED, &raw, "/eventSource")?;
    if source != "aws:dynamodb" {
        return Err(UnexpectedEvent { expected: EXPECTED, found: format!("a record is of {source}") });
    }
    let sequence = text(EXPECTED, &raw, "/dynamodb/SequenceNumber")?.to_owned();
    let id = text(EXPECTED, &raw, "/eventID")?.to_owned();
    let payload = raw.to_string();
    let (arrived_at, content) = match serde_json::from_value::<EventRecord>(raw) {
        Ok(record) => {
            let arrived_at = record.change.approximate_creation_date_time.timestamp_millis();
            (Timestamp::from_unix_millis(arrived_at), commit(record))
        }
        Err(error) => (Timestamp::default(), Err(error.into())),
    };
    Ok(Record { sequence, id, arrived_at, payload, content })
}

fn commit(record: EventRecord) -> Result<Commit, AdapterError> {
    if record.event_name != "INSERT" {
        return Err(LedgerTampered { event_name: record.event_name }.into());
    }
    Ok(commit_from_item(&record.change.new_image.into())?)
}
