//! Batches of the intake: Kinesis records with one fact each
//! (<https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html>).

use aws_lambda_events::kinesis::KinesisEventRecord;
use serde_json::Value;
use streamio_core::delivery::batch::Record;
use streamio_core::ports::AdapterError;
use streamio_events::fact::Fact;
use streamio_events::timestamp::Timestamp;

use super::UnexpectedEvent;
use super::ordered::OrderedSource;

const SOURCE: OrderedSource = OrderedSource {
    expected: "Kinesis batch",
    event_source: "aws:kinesis",
    sequence: "/kinesis/sequenceNumber",
};

/// The facts of a batch, in the shard's order.
pub fn read(event: Value) -> Result<Vec<Record<Fact>>, UnexpectedEvent> {
    SOURCE.read(event, |record: KinesisEventRecord| {
        let arrived_at = record.kinesis.approximate_arrival_timestamp.timestamp_millis();
        let fact = Fact::from_json(&record.kinesis.data).map_err(AdapterError::from);
        (Timestamp::from_unix_millis(arrived_at), fact)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn example() -> Value {
        serde_json::from_str(include_str!("../../tests/payloads/kinesis.json")).unwrap()
    }

    #[test]
    fn each_record_of_a_batch_is_read_by_itself() {
        let read = read(example()).unwrap();
        let ids: Vec<&str> = read.iter().map(|record| record.id.as_str()).collect();
        assert_eq!(
            ids,
            [
                "shardId-000000000006:49590338271490256608559692538361571095921575989136588898",
                "shardId-000000000006:49590338271490256608559692540925702759324208523137515618",
                "shardId-000000000006:49590338271490256608559692542134628579938823152312221794",
            ]
        );
        assert_eq!(read[0].sequence, "49590338271490256608559692538361571095921575989136588898");
        assert_eq!(read[0].arrived_at.to_string(), "2018-11-12T23:58:24.000Z");
        assert_eq!(read[1].arrived_at.to_string(), "2018-11-12T23:58:24.271Z");
        let fact = read[0].content.as_ref().unwrap();
        assert_eq!(fact.stream().to_string(), "grants/acme/2026010203/7");
        assert_eq!(fact.commit().events[0].kind, "playback.granted");
        let reasons: Vec<String> =
            read[1..].iter().map(|it| it.content.as_ref().unwrap_err().to_string()).collect();
        assert_eq!(reasons[0], "it is not the JSON of a fact");
        assert_eq!(
            reasons[1],
            "it has version 2, and this build reads versions up to 1; deploy the reader before the writer"
        );
    }

    /// A dead letter keeps the whole record.
    #[test]
    fn the_payload_is_the_whole_record() {
        for (record, raw) in read(example()).unwrap().iter().zip(example()["Records"].as_array().unwrap()) {
            assert_eq!(&serde_json::from_str::<Value>(&record.payload).unwrap(), raw);
        }
    }

    #[test]
    fn a_malformed_record_is_the_only_poison_record() {
        let mut event = example();
        event["Records"][0]["kinesis"]["data"] = json!("not base64 !");
        let read = read(event).unwrap();
        assert!(read[0].content.is_err());
        assert!(!read[0].sequence.is_empty() && read[0].payload.contains("not base64 !"));
    }

    #[test]
    fn an_event_of_another_source_is_an_error() {
        let refused = |event: Value| read(event).unwrap_err().to_string();
        assert_eq!(
            refused(json!({})),
            "the event is not of the expected kind (Kinesis batch): it has no list `Records`"
        );
        let mut event = example();
        event["Records"][1]["eventSource"] = json!("aws:dynamodb");
        assert_eq!(
            refused(event),
            "the event is not of the expected kind (Kinesis batch): a record is from aws:dynamodb"
        );
        let mut event = example();
        event["Records"][1]["kinesis"]["sequenceNumber"] = json!("");
        assert_eq!(
            refused(event),
            "the event is not of the expected kind (Kinesis batch): a record has no text at /kinesis/sequenceNumber"
        );
    }
}
