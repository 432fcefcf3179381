//! Batches of the ledger's DynamoDB stream: each record is a new item of the table, a commit
//! (<https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html>). The stream's view type is `NEW_IMAGE`.

use aws_lambda_events::dynamodb::EventRecord;
use serde_json::Value;
use streamio_core::delivery::batch::Record;
use streamio_core::ports::AdapterError;
use streamio_events::commit::Commit;
use streamio_events::dynamo::commit_from_item;
use streamio_events::timestamp::Timestamp;

use super::UnexpectedEvent;
use super::ordered::OrderedSource;

const SOURCE: OrderedSource = OrderedSource {
    expected: "DynamoDB stream batch",
    event_source: "aws:dynamodb",
    sequence: "/dynamodb/SequenceNumber",
};

/// An item of the append-only ledger was changed or removed, with permissions that no program should have.
#[derive(Debug, thiserror::Error)]
#[error("the ledger is append-only, but the stream has a {event_name} of one of its items")]
pub struct LedgerTampered {
    /// `MODIFY` or `REMOVE`.
    pub event_name: String,
}

/// The commits of a batch, in the shard's order. A record of anything but a new item is a poison record.
pub fn read(event: Value) -> Result<Vec<Record<Commit>>, UnexpectedEvent> {
    SOURCE.read(event, |record: EventRecord| {
        let arrived_at = record.change.approximate_creation_date_time.timestamp_millis();
        (Timestamp::from_unix_millis(arrived_at), commit(record))
    })
}

fn commit(record: EventRecord) -> Result<Commit, AdapterError> {
    if record.event_name != "INSERT" {
        return Err(LedgerTampered { event_name: record.event_name }.into());
    }
    Ok(commit_from_item(&record.change.new_image.into())?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn example() -> Value {
        serde_json::from_str(include_str!("../../tests/payloads/ledger_stream.json")).unwrap()
    }

    #[test]
    fn new_items_are_read_as_the_commits_that_were_appended() {
        let read = read(example()).unwrap();
        let commits: Vec<&Commit> = read[..2].iter().map(|it| it.content.as_ref().unwrap()).collect();
        for commit in &commits {
            assert_eq!(commit.computed_hash(), commit.hash);
            assert_eq!(commit.stream.to_string(), "video/acme/vid_ry2swymkfhztemfam2udtfsaam");
        }
        assert_eq!(commits[1].prev_hash, commits[0].hash);
        assert_eq!((commits[1].first, commits[1].last()), (2, 3));
        assert_eq!(commits[0].events[0].kind, "upload.granted");
        assert_eq!(commits[0].events[0].data["metadata"]["title"], "Éclair");
        assert!(commits[1].events.iter().all(|event| event.fact.is_some()));
        assert_eq!(read[0].sequence, "4421584500000000017450439091");
        assert_eq!(read[0].id, "c4ca4238a0b923820dcc509a6f758490");
        assert_eq!(read[0].arrived_at.to_string(), "2026-01-02T03:04:06.000Z");
    }

    /// It becomes a dead letter, so that an operator sees what was done to the ledger.
    #[test]
    fn a_changed_or_removed_item_is_a_poison_record() {
        let read = read(example()).unwrap();
        let reasons: Vec<String> =
            read[2..].iter().map(|it| it.content.as_ref().unwrap_err().to_string()).collect();
        assert_eq!(reasons[0], "the ledger is append-only, but the stream has a MODIFY of one of its items");
        assert_eq!(reasons[1], "the ledger is append-only, but the stream has a REMOVE of one of its items");
        assert!(reasons[2].ends_with("its commit at 2 states 3 events and has 2"), "{}", reasons[2]);
    }

    #[test]
    fn the_payload_is_the_whole_record() {
        for (record, raw) in read(example()).unwrap().iter().zip(example()["Records"].as_array().unwrap()) {
            assert_eq!(&serde_json::from_str::<Value>(&record.payload).unwrap(), raw);
        }
    }

    #[test]
    fn malformed_records_are_the_only_poison_records() {
        let mut event = example();
        event["Records"][0]["dynamodb"]["NewImage"] = json!([]);
        // The stream has another view type.
        event["Records"][1]["dynamodb"].as_object_mut().unwrap().remove("NewImage");
        let read = read(event).unwrap();
        assert!(read[0].content.is_err() && read[1].content.is_err());
        assert_eq!(read.len(), 5);
    }

    #[test]
    fn an_event_of_another_source_is_an_error() {
        let mut event = example();
        event["Records"][0]["eventSource"] = json!("aws:kinesis");
        assert_eq!(
            read(event).unwrap_err().to_string(),
            "the event is not of the expected kind (DynamoDB stream batch): a record is from aws:kinesis"
        );
    }
}
