//! Canonical JSON ([RFC 8785](https://www.rfc-editor.org/rfc/rfc8785)) of events, written directly.
//!
//! Events are encoded at every append and hashed at every verification. A general encoder collects and sorts the members of every object;
//! those of an event have a known order, and those of its data are sorted already.

use serde_json::{Map, Value};

use crate::commit::canonical_json;
use crate::event::RecordedEvent;
use crate::log::LARGEST_NUMBER;

/// The events as canonical JSON.
pub(crate) fn canonical_events(events: &[RecordedEvent]) -> Vec<u8> {
    let mut json = Vec::with_capacity(256 * events.len());
    json.push(b'[');
    for (index, event) in events.iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        write_event(&mut json, event);
    }
    json.push(b']');
    json
}

fn write_event(json: &mut Vec<u8>, event: &RecordedEvent) {
    let RecordedEvent { kind, version, at, data, fact } = event;
    json.extend_from_slice(br#"{"at":"#);
    write_text(json, &at.to_string());
    json.extend_from_slice(br#","data":"#);
    write_value(json, data);
    if let Some(fact) = fact {
        json.extend_from_slice(br#","fact":"#);
        write_text(json, fact.as_str());
    }
    json.extend_from_slice(br#","type":"#);
    write_text(json, kind);
    json.extend_from_slice(br#","v":"#);
    json.extend_from_slice(version.to_string().as_bytes());
    json.push(b'}');
}

fn write_value(json: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => json.extend_from_slice(b"null"),
        Value::Bool(true) => json.extend_from_slice(b"true"),
        Value::Bool(false) => json.extend_from_slice(b"false"),
        Value::Number(number) => match number.as_i64() {
            // Canonical JSON writes it digit by digit, as ECMAScript does.
            Some(integer) if integer.unsigned_abs() <= LARGEST_NUMBER => {
                json.extend_from_slice(integer.to_string().as_bytes());
            }
            _ => json.extend_from_slice(&canonical_json(number)),
        },
        Value::String(text) => write_text(json, text),
        Value::Array(items) => {
            json.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    json.push(b',');
                }
                write_value(json, item);
            }
            json.push(b']');
        }
        Value::Object(members) => write_object(json, members),
    }
}

fn write_object(json: &mut Vec<u8>, members: &Map<String, Value>) {
    // The order is that of UTF-16, which is that of bytes for ASCII.
    let is_ordered = members.keys().all(|name| name.is_ascii()) && members.keys().is_sorted();
    if is_ordered {
        write_members(json, members.iter());
    } else {
        let mut sorted: Vec<_> = members.iter().collect();
        sorted.sort_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
        write_members(json, sorted.into_iter());
    }
}

fn write_members<'a>(json: &mut Vec<u8>, members: impl Iterator<Item = (&'a String, &'a Value)>) {
    json.push(b'{');
    for (index, (name, value)) in members.enumerate() {
        if index > 0 {
            json.push(b',');
        }
        write_text(json, name);
        json.push(b':');
        write_value(json, value);
    }
    json.push(b'}');
}

/// Writes a text. Every encoder of JSON writes texts as canonical JSON does that escapes only what it must.
fn write_text(json: &mut Vec<u8>, text: &str) {
    // Writing to memory does not fail.
    let _ = serde_json::to_writer(json, text);
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::CommitId;
    use crate::timestamp::Timestamp;

    /// Any value, also one that a log refuses.
    pub(crate) fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            (-1000i32..1000).prop_map(|number| Value::from(f64::from(number) / 4.0)),
            any::<String>().prop_map(Value::from),
            "[\\x00-\\x7f]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                // Names whose order differs in UTF-8 and UTF-16, too.
                prop::collection::btree_map(
                    "[a-c\u{e000}\u{ffff}\u{10000}\u{10ffff}]{0,3}|.{0,6}",
                    inner,
                    0..6
                )
                .prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn events_are_written_as_a_general_encoder_writes_them(
            data in prop::collection::vec(any_json(), 0..4),
            kind in "[a-z]{1,8}\\.[a-z]{1,8}|.{0,6}",
            version in any::<u32>(),
            millis in 0i64..4_000_000_000_000,
            has_fact in any::<bool>(),
        ) {
            let fact = has_fact.then(|| CommitId::derived_from(&[&kind]));
            let at = Timestamp::from_unix_millis(millis);
            let events: Vec<RecordedEvent> = data
                .into_iter()
                .map(|data| RecordedEvent { kind: kind.clone(), version, at, data, fact: fact.clone() })
                .collect();
            let (ours, general) = (canonical_events(&events), canonical_json(&events));
            prop_assert_eq!(String::from_utf8(ours).unwrap(), String::from_utf8(general).unwrap());
        }
    }
}
