//! The events that AWS invokes functions with.

use serde_json::Value;
use streamio_core::delivery::batch::Record;
use streamio_core::uploads::EventNotification;
use streamio_lambdas::triggers::{ecs_task, function_url, kinesis, ledger_stream, s3, schedule};

/// A batch has as many records as the event, each with its whole payload. Keys of S3 are decoded as forms are.
pub fn check(data: &[u8]) {
    let Ok(event) = serde_json::from_slice::<Value>(data) else { return };
    let raw = event.get("Records").and_then(Value::as_array).cloned().unwrap_or_default();
    if let Ok(records) = kinesis::read(event.clone()) {
        are_whole(&records, &raw);
    }
    if let Ok(records) = ledger_stream::read(event.clone()) {
        are_whole(&records, &raw);
        for commit in records.iter().filter_map(|record| record.content.as_ref().ok()) {
            assert!(!commit.events.is_empty());
        }
    }
    if let Ok(records) = s3::read(event.clone()) {
        check_created(&records, &raw);
    }
    if let Ok(record) = ecs_task::read(event.clone()) {
        assert_eq!(payload(&record), event);
    }
    if let Ok(function_url::Request::Refused(reply)) = function_url::parse_request(event.clone()) {
        assert!((400..500).contains(&reply.status));
    }
    let _ = schedule::read(event);
}

fn payload<T>(record: &Record<T>) -> Value {
    serde_json::from_str(&record.payload).expect("the payload is the record")
}

fn are_whole<T>(records: &[Record<T>], raw: &[Value]) {
    assert_eq!(records.len(), raw.len());
    for (record, raw) in records.iter().zip(raw) {
        assert!(!record.id.is_empty() && !record.sequence.is_empty());
        assert_eq!(&payload(record), raw);
    }
}

fn check_created(records: &[Record<s3::Created>], raw: &[Value]) {
    assert!(raw.is_empty() || records.len() <= raw.len());
    for record in records {
        let payload = payload(record);
        assert!(raw.is_empty() || raw.contains(&payload));
        let Ok(created) = &record.content else { continue };
        if let Some(encoded) = payload.pointer("/s3/object/key").and_then(Value::as_str)
            && !raw.is_empty()
        {
            // A form has one name without a value, unless the key has a separator that is not encoded.
            if !encoded.contains(['&', '=']) {
                let decoded = url::form_urlencoded::parse(encoded.as_bytes()).next();
                assert_eq!(decoded.map(|(name, _)| name.into_owned()).unwrap_or_default(), created.key);
            }
        }
        match &created.notification {
            EventNotification::Complete(object) => assert_eq!(object.key, created.key),
            EventNotification::KeyOnly(key) => assert_eq!(key, &created.key),
        }
    }
}
