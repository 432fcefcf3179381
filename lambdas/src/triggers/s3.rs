//! S3 event notifications of created objects, in both of their forms.
//!
//! | | direct notification | EventBridge |
//! |---|---|---|
//! | form | `{"Records": […]}` with `eventName: ObjectCreated:…` | one event, `detail-type: Object Created` |
//! | keys | form-URL-encoded: `+` is a space | not encoded |
//! | source | <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html> | <https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html> |
//!
//! They are delivered at least once and in any order. Records of one key in one event are sorted into S3's order.

use aws_lambda_events::eventbridge::EventBridgeEvent;
use aws_lambda_events::s3::S3EventRecord;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use streamio_core::delivery::batch::Record;
use streamio_core::ports::AdapterError;
use streamio_core::uploads::{CreatedObject, EventNotification};
use streamio_events::timestamp::Timestamp;
use streamio_events::video::sequencer_order;

use super::{UnexpectedEvent, records, text};

const EXPECTED: &str = "event notification of S3";

/// An object was created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The bucket.
    pub bucket: String,
    /// The key, decoded.
    pub key: String,
    /// S3's order of the events of one key; empty if the event has none.
    pub sequencer: String,
    /// The object as the event describes it.
    pub notification: EventNotification,
}

/// The created objects. Events of other kinds, and the test event of a new notification configuration, have none.
pub fn read(event: Value) -> Result<Vec<Record<Created>>, UnexpectedEvent> {
    if event.get("detail-type").is_some() {
        return Ok(of_eventbridge(event)?.into_iter().collect());
    }
    if event.get("Event").and_then(Value::as_str) == Some("s3:TestEvent") {
        return Ok(Vec::new());
    }
    let mut created = Vec::new();
    for raw in records(EXPECTED, event)? {
        let source = text(EXPECTED, &raw, "/eventSource")?;
        if source != "aws:s3" {
            return Err(UnexpectedEvent { expected: EXPECTED, found: format!("a record is from {source}") });
        }
        // The configuration of notifications has the prefix `s3:`, the events do not.
        let name = text(EXPECTED, &raw, "/eventName")?;
        if name.trim_start_matches("s3:").starts_with("ObjectCreated:") {
            created.push(of_notification(raw)?);
        }
    }
    let order = |record: &Record<Created>| {
        let content = record.content.as_ref().ok();
        content.map(|created| (created.bucket.clone(), created.key.clone(), created.sequencer.clone()))
    };
    created.sort_by(|a, b| match (order(a), order(b)) {
        (Some(a), Some(b)) => (&a.0, &a.1).cmp(&(&b.0, &b.1)).then_with(|| sequencer_order(&a.2, &b.2)),
        (a, b) => a.is_some().cmp(&b.is_some()),
    });
    Ok(created)
}

fn of_notification(raw: Value) -> Result<Record<Created>, UnexpectedEvent> {
    let bucket = text(EXPECTED, &raw, "/s3/bucket/name")?.to_owned();
    let encoded_key = text(EXPECTED, &raw, "/s3/object/key")?.to_owned();
    let sequencer = text(EXPECTED, &raw, "/s3/object/sequencer").unwrap_or_default().to_owned();
    let id = format!("{bucket}/{encoded_key}/{sequencer}");
    let payload = raw.to_string();
    let (arrived_at, content) = match serde_json::from_value::<S3EventRecord>(raw) {
        Ok(record) => {
            let arrived_at = Timestamp::from_unix_millis(record.event_time.timestamp_millis());
            let object = record.s3.object;
            let created = decoded(&encoded_key).map(|key| {
                let fields = Fields {
                    size: object.size,
                    etag: object.e_tag,
                    sequencer,
                    version_id: object.version_id,
                };
                Created::new(bucket, key, fields, arrived_at)
            });
            (arrived_at, created)
        }
        Err(error) => (Timestamp::default(), Err(error.into())),
    };
    Ok(Record { sequence: id.clone(), id, arrived_at, payload, content })
}

/// The key of a direct notification, decoded.
fn decoded(key: &str) -> Result<String, AdapterError> {
    let spaced = key.replace('+', " ");
    Ok(percent_decode_str(&spaced).decode_utf8()?.into_owned())
}

#[derive(Debug, Serialize, Deserialize)]
struct Detail {
    bucket: Bucket,
    object: Object,
}

#[derive(Debug, Serialize, Deserialize)]
struct Bucket {
    name: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Object {
    key: String,
    size: Option<i64>,
    etag: Option<String>,
    #[serde(default)]
    sequencer: String,
    #[serde(rename = "version-id")]
    version_id: Option<String>,
}

/// The fields of an object in both forms.
struct Fields {
    size: Option<i64>,
    etag: Option<String>,
    sequencer: String,
    version_id: Option<String>,
}

fn of_eventbridge(event: Value) -> Result<Option<Record<Created>>, UnexpectedEvent> {
    let (source, kind) = (text(EXPECTED, &event, "/source")?, text(EXPECTED, &event, "/detail-type")?);
    if source != "aws.s3" {
        return Err(UnexpectedEvent { expected: EXPECTED, found: format!("it is from {source}") });
    }
    if kind != "Object Created" {
        return Ok(None);
    }
    let id = text(EXPECTED, &event, "/id")?.to_owned();
    let payload = event.to_string();
    let (arrived_at, content) = match serde_json::from_value::<EventBridgeEvent<Detail>>(event) {
        Ok(event) => {
            let arrived_at = event.time.map(|time| Timestamp::from_unix_millis(time.timestamp_millis()));
            let arrived_at = arrived_at.unwrap_or_default();
            let Detail { bucket, object } = event.detail;
            let Object { key, size, etag, sequencer, version_id } = object;
            let fields = Fields { size, etag, sequencer, version_id };
            (arrived_at, Ok(Created::new(bucket.name, key, fields, arrived_at)))
        }
        Err(error) => (Timestamp::default(), Err(error.into())),
    };
    Ok(Some(Record { sequence: id.clone(), id, arrived_at, payload, content }))
}

impl Created {
    fn new(
        bucket: String,
        key: String,
        Fields { size, etag, sequencer, version_id }: Fields,
        created_at: Timestamp,
    ) -> Self {
        let version_id = version_id.filter(|id| !id.is_empty());
        let bytes = size.and_then(|size| u64::try_from(size).ok());
        let etag = etag.map(|etag| etag.trim_matches('"').to_owned()).filter(|etag| !etag.is_empty());
        let notification = match (bytes, etag) {
            (Some(bytes), Some(etag)) if !sequencer.is_empty() => {
                EventNotification::Complete(CreatedObject {
                    key: key.clone(),
                    bytes,
                    etag,
                    sequencer: sequencer.clone(),
                    version_id,
                    created_at,
                })
            }
            _ => EventNotification::KeyOnly(key.clone()),
        };
        Self { bucket, key, sequencer, notification }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const LATEST: Option<&str> = Some("IYV3p45BT0ac8hjHg1houSdS1a.Mro8e");

    fn notification() -> Value {
        serde_json::from_str(include_str!("../../tests/payloads/s3_notification.json")).unwrap()
    }

    fn eventbridge() -> Value {
        serde_json::from_str(include_str!("../../tests/payloads/s3_eventbridge.json")).unwrap()
    }

    fn created(event: Value) -> Vec<Created> {
        read(event).unwrap().into_iter().map(|record| record.content.unwrap()).collect()
    }

    fn cafe(bytes: u64, etag: &str, sequencer: &str, version_id: Option<&str>, created_at: &str) -> Created {
        let key = "projects/acme/summer films/café + 100%.mp4".to_owned();
        Created {
            bucket: "streamio-raw".to_owned(),
            key: key.clone(),
            sequencer: sequencer.to_owned(),
            notification: EventNotification::Complete(CreatedObject {
                key,
                bytes,
                etag: etag.to_owned(),
                sequencer: sequencer.to_owned(),
                version_id: version_id.map(str::to_owned),
                created_at: created_at.parse().unwrap(),
            }),
        }
    }

    #[test]
    fn a_notification_is_read_in_the_order_of_s3_with_its_keys_decoded() {
        let read = created(notification());
        let [copied, first, second] = &read[..] else { panic!("{read:?}") };
        assert_eq!(copied.notification, EventNotification::KeyOnly("projects/acme/copied.mp4".to_owned()));
        assert_eq!(
            *first,
            cafe(
                7_340_032,
                "3858f62230ac3c915f300c664312c11f-2",
                "0055AED6DCD90281E5",
                Some("L4kqtJlcpXroDTDmpUMLUo"),
                "2026-01-02T03:04:04.001Z"
            )
        );
        let later = "2026-01-02T03:04:05.678Z";
        assert_eq!(
            *second,
            cafe(1_055_736, "9b2cf535f27731c974343645a3985328", "0055AED6DCD90281E5FF", LATEST, later)
        );
    }

    #[test]
    fn an_eventbridge_event_is_read_without_decoding_its_key() {
        let at = "2026-01-02T03:04:05.000Z";
        let expected = |version_id| {
            cafe(1_055_736, "9b2cf535f27731c974343645a3985328", "0055AED6DCD90281E5FF", version_id, at)
        };
        assert_eq!(created(eventbridge()), [expected(LATEST)]);
        let mut without_versions = eventbridge();
        without_versions["detail"]["object"].as_object_mut().unwrap().remove("version-id");
        assert_eq!(created(without_versions), [expected(None)]);
        let record = read(eventbridge()).unwrap().remove(0);
        assert_eq!(record.arrived_at.to_string(), "2026-01-02T03:04:05.000Z");
        assert_eq!(record.id, "17793124-05d4-b198-2fde-7ededc63b103");
        assert_eq!(serde_json::from_str::<Value>(&record.payload).unwrap(), eventbridge());
    }

    #[test]
    fn test_events_and_events_of_other_kinds_have_no_object() {
        let test = serde_json::from_str(include_str!("../../tests/payloads/s3_test_event.json")).unwrap();
        assert!(read(test).unwrap().is_empty());
        let mut deleted = eventbridge();
        deleted["detail-type"] = json!("Object Deleted");
        assert!(read(deleted).unwrap().is_empty());
    }

    #[test]
    fn an_event_without_size_etag_or_sequencer_yields_only_the_key() {
        for missing in ["size", "etag", "sequencer"] {
            let mut event = eventbridge();
            event["detail"]["object"].as_object_mut().unwrap().remove(missing);
            assert!(matches!(created(event)[0].notification, EventNotification::KeyOnly(_)), "{missing}");
        }
    }

    #[test]
    fn a_malformed_record_is_the_only_poison_record() {
        for (pointer, strange) in
            [("/Records/0/s3/object/key", json!("projects/acme/%FF.mp4")), ("/Records/0/eventTime", json!(7))]
        {
            let mut event = notification();
            *event.pointer_mut(pointer).unwrap() = strange;
            let read = read(event).unwrap();
            assert_eq!(read.iter().filter(|record| record.content.is_err()).count(), 1, "{pointer}");
            assert_eq!(read.len(), 3);
        }
        let mut event = eventbridge();
        event["detail"]["bucket"] = json!([]);
        assert!(read(event).unwrap()[0].content.is_err());
    }

    #[test]
    fn an_event_of_another_source_is_an_error() {
        let refused = |event: Value| read(event).unwrap_err().to_string();
        assert_eq!(
            refused(json!({})),
            "the event is not of the expected kind (event notification of S3): it has no list `Records`"
        );
        let mut event = notification();
        event["Records"][0]["eventSource"] = json!("aws:sqs");
        assert_eq!(
            refused(event),
            "the event is not of the expected kind (event notification of S3): a record is from aws:sqs"
        );
        let mut event = eventbridge();
        event["source"] = json!("aws.ecs");
        assert_eq!(
            refused(event),
            "the event is not of the expected kind (event notification of S3): it is from aws.ecs"
        );
    }

    proptest! {
        #[test]
        fn every_key_survives_the_form_encoding(key in "projects/acme/[ +%a-z0-9é&=/]{1,24}") {
            // application/x-www-form-urlencoded, except for slashes.
            let encoded: String = key
                .bytes()
                .map(|byte| match byte {
                    b' ' => "+".to_owned(),
                    b'a'..=b'z' | b'0'..=b'9' | b'/' => char::from(byte).to_string(),
                    byte => format!("%{byte:02X}"),
                })
                .collect();
            prop_assert_eq!(decoded(&encoded).unwrap(), key);
        }
    }
}
