//! Batches of the queue of webhook deliveries: SQS messages that each name a delivery
//! (<https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>).

use aws_lambda_events::sqs::SqsMessage;
use serde_json::{Value, json};
use streamio_core::delivery::batch::Record;
use streamio_core::ports::AdapterError;
use streamio_core::ports::delivery_store::DeliveryKey;
use streamio_events::timestamp::Timestamp;

use super::{UnexpectedEvent, records, text};

const EXPECTED: &str = "SQS batch";

/// The `eventSource` of each record.
const EVENT_SOURCE: &str = "aws:sqs";

/// The attribute with the time at which a message was sent, in milliseconds.
const SENT: &str = "SentTimestamp";

/// The body of the message about a delivery.
pub fn body_of(key: &DeliveryKey) -> String {
    json!(key).to_string()
}

/// The deliveries of a batch. Failures are reported by the messages' ids.
pub fn read(event: Value) -> Result<Vec<Record<DeliveryKey>>, UnexpectedEvent> {
    records(EXPECTED, event)?.into_iter().map(record).collect()
}

fn record(raw: Value) -> Result<Record<DeliveryKey>, UnexpectedEvent> {
    let source = text(EXPECTED, &raw, "/eventSource")?;
    if source != EVENT_SOURCE {
        return Err(UnexpectedEvent { expected: EXPECTED, found: format!("a record is from {source}") });
    }
    let id = text(EXPECTED, &raw, "/messageId")?.to_owned();
    let payload = raw.to_string();
    let (arrived_at, content) = match serde_json::from_value::<SqsMessage>(raw) {
        Ok(message) => {
            let sent = message.attributes.get(SENT).and_then(|sent| sent.parse().ok());
            (
                sent.map(Timestamp::from_unix_millis).unwrap_or_default(),
                key_of(&message.body.unwrap_or_default()),
            )
        }
        Err(error) => (Timestamp::default(), Err(error.into())),
    };
    Ok(Record { sequence: id.clone(), id, arrived_at, payload, content })
}

fn key_of(body: &str) -> Result<DeliveryKey, AdapterError> {
    Ok(serde_json::from_str(body)?)
}

#[cfg(test)]
mod tests {
    use streamio_events::id::{MessageId, WebhookId};

    use super::*;

    fn example() -> Value {
        serde_json::from_str(include_str!("../../tests/payloads/sqs.json")).unwrap()
    }

    #[test]
    fn each_message_of_a_batch_is_read_by_itself() {
        let read = read(example()).unwrap();
        let ids: Vec<&str> = read.iter().map(|record| record.sequence.as_str()).collect();
        assert_eq!(ids, ["059f36b4-87a3-44ab-83d2-661975830a7d", "2e1424d4-f796-459a-8184-9c92662be6da"]);
        assert_eq!(read[0].arrived_at.to_string(), "2018-12-07T19:11:40.182Z");
        let key = read[0].content.as_ref().unwrap();
        assert_eq!(key.project_id.as_str(), "acme");
        assert_eq!(key.webhook_id, WebhookId::derived_from(&[b"endpoint"]));
        assert_eq!(key.message_id, MessageId::derived_from(&["message"]));
        assert!(read[1].content.is_err(), "its body is not that of a delivery");
        assert!(read[1].payload.contains("Test message."));
    }

    #[test]
    fn a_body_is_read_as_the_delivery_for_which_it_was_written() {
        let key = DeliveryKey {
            project_id: "acme".parse().unwrap(),
            webhook_id: WebhookId::derived_from(&[b"endpoint"]),
            message_id: MessageId::derived_from(&["message"]),
        };
        assert_eq!(key_of(&body_of(&key)).unwrap(), key);
    }

    #[test]
    fn an_event_of_another_source_is_an_error() {
        let refused = |event: Value| read(event).unwrap_err().to_string();
        let mut event = example();
        event["Records"][1]["eventSource"] = json!("aws:kinesis");
        assert_eq!(
            refused(event),
            "the event is not of the expected kind (SQS batch): a record is from aws:kinesis"
        );
        let mut event = example();
        event["Records"][0].as_object_mut().unwrap().remove("messageId");
        assert_eq!(
            refused(event),
            "the event is not of the expected kind (SQS batch): a record has no text at /messageId"
        );
    }
}
