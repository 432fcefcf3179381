//! Batches of the feed out: records of the DynamoDB stream of the ledger, each of which is an item put there, a commit
//! (<https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html>). The stream's view type is `NEW_IMAGE`.

use aws_lambda_events::dynamodb::EventRecord;
use serde_json::Value;
use streamio_events::commit::Commit;
use streamio_events::dynamo::commit_from_item;
use streamio_events::timestamp::Timestamp;

use super::UnexpectedEvent;
use super::ordered::OrderedSource;
use crate::AdapterError;
use crate::batch::Record;

const SOURCE: OrderedSource = OrderedSource {
    expected: "batch of a DynamoDB stream",
    event_source: "aws:dynamodb",
    sequence: "/dynamodb/SequenceNumber",
};

/// The ledger was changed where it may only grow. Whoever did that has rights that nobody should have.
#[derive(Debug, thiserror::Error)]
#[error("the ledger only grows, but one of its items has a record of {event_name}")]
pub struct LedgerTampered {
    /// `MODIFY` or `REMOVE`.
    pub event_name: String,
}

/// The commits of a batch, in the shard's order. A record of anything but a new item is poison.
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
    fn new_items_are_commits_as_they_were_appended() {
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

    /// Loud, and kept: an operator must see what was done to the ledger.
    #[test]
    fn a_change_of_what_was_there_is_poison() {
        let read = read(example()).unwrap();
        let reasons: Vec<String> =
            read[2..].iter().map(|it| it.content.as_ref().unwrap_err().to_string()).collect();
        assert_eq!(reasons[0], "the ledger only grows, but one of its items has a record of MODIFY");
        assert_eq!(reasons[1], "the ledger only grows, but one of its items has a record of REMOVE");
        assert!(reasons[2].ends_with("its commit at 2 states 3 events and has 2"), "{}", reasons[2]);
    }

    #[test]
    fn the_payload_is_the_whole_record() {
        for (record, raw) in read(example()).unwrap().iter().zip(example()["Records"].as_array().unwrap()) {
            assert_eq!(&serde_json::from_str::<Value>(&record.payload).unwrap(), raw);
        }
    }

    #[test]
    fn a_record_in_a_strange_form_is_poison_alone() {
        let mut event = example();
        event["Records"][0]["dynamodb"]["NewImage"] = json!([]);
        // As when the stream's view type is another one.
        event["Records"][1]["dynamodb"].as_object_mut().unwrap().remove("NewImage");
        let read = read(event).unwrap();
        assert!(read[0].content.is_err() && read[1].content.is_err());
        assert_eq!(read.len(), 5);
    }

    #[test]
    fn what_is_no_batch_of_dynamodb_goes_back() {
        let mut event = example();
        event["Records"][0]["eventSource"] = json!("aws:kinesis");
        assert_eq!(
            read(event).unwrap_err().to_string(),
            "the event is no batch of a DynamoDB stream: a record is of aws:kinesis"
        );
    }
}
