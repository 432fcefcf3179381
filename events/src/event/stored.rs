//! Events as they are stored: decoded one by one from canonical JSON, without building values that are thrown away.

use super::{EventBody, UnreadableEvent};
use crate::timestamp::Timestamp;

/// An event as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredEvent<'a> {
    /// `noun.verb`, such as `video.ready`.
    pub kind: &'a str,
    /// The version of the data's shape.
    pub version: u32,
    /// When the event happened.
    pub at: Timestamp,
    /// The event's data, as canonical JSON.
    pub data: &'a str,
}

impl StoredEvent<'_> {
    /// Returns the typed data, as [`RecordedEvent::body`](super::RecordedEvent::body) does.
    pub fn body(&self) -> Result<EventBody, UnreadableEvent> {
        EventBody::decode_text(self.kind, self.version, self.data)
    }
}

/// The events in the canonical JSON of a commit's events; `None` if the text has another form.
pub(crate) fn split(events: &str) -> Option<Vec<StoredEvent<'_>>> {
    let mut rest = events.strip_prefix('[')?;
    let mut found = Vec::new();
    loop {
        let (event, after) = next(rest)?;
        found.push(event);
        match after.strip_prefix(',') {
            Some(after) => rest = after,
            None => return (after == "]").then_some(found),
        }
    }
}

/// The first event of a text, and the rest.
fn next(text: &str) -> Option<(StoredEvent<'_>, &str)> {
    let (at, rest) = plain(text.strip_prefix(r#"{"at":""#)?)?;
    let rest = rest.strip_prefix(r#","data":"#)?;
    let (data, mut rest) = rest.split_at_checked(length_of_value(rest.as_bytes())?)?;
    if let Some(fact) = rest.strip_prefix(r#","fact":""#) {
        (_, rest) = plain(fact)?;
    }
    let (kind, rest) = plain(rest.strip_prefix(r#","type":""#)?)?;
    let (version, rest) = rest.strip_prefix(r#","v":"#)?.split_once('}')?;
    Some((StoredEvent { kind, version: version.parse().ok()?, at: at.parse().ok()?, data }, rest))
}

/// A text without escapes up to its closing quote, and what follows it.
fn plain(text: &str) -> Option<(&str, &str)> {
    text.split_once('"').filter(|(text, _)| !text.contains('\\'))
}

/// The length of the object or array with which the text begins. That it is valid JSON shows when it is parsed.
fn length_of_value(text: &[u8]) -> Option<usize> {
    let (mut depth, mut is_text, mut is_escaped) = (0usize, false, false);
    for (at, byte) in text.iter().enumerate() {
        if is_text {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => is_text = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => is_text = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            // Data is an object; for anything else there is the general parser.
            _ if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::canonical::canonical_events;
    use crate::event::RecordedEvent;
    use crate::id::CommitId;

    fn data() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<Vec<String>>().prop_map(|texts| json!({"metadata": {"a": texts}, "b\\\"{": [[], {}, "}]"]})),
            (any::<u32>(), any::<String>()).prop_map(|(generation, etag)| json!({
                "s3Key": "projects/acme/a", "generation": generation, "bytes": 7, "etag": etag, "sequencer": "",
                "found": false,
            })),
            Just(json!({})),
            Just(json!([1])),
            Just(json!(7)),
        ]
    }

    proptest! {
        #[test]
        fn stored_events_are_decoded_as_recorded_ones(
            events in prop::collection::vec((data(), any::<bool>(), 0i64..4_000_000_000_000), 1..5),
            kind in prop::sample::select(vec!["upload.completed", "video.updated", "project.suspended", "a\\.b"]),
            version in 1u32..3,
        ) {
            let events: Vec<RecordedEvent> = events
                .into_iter()
                .map(|(data, has_fact, millis)| RecordedEvent {
                    kind: kind.to_owned(),
                    version,
                    at: Timestamp::from_unix_millis(millis),
                    data,
                    fact: has_fact.then(|| CommitId::derived_from(&[kind])),
                })
                .collect();
            let text = String::from_utf8(canonical_events(&events)).unwrap();
            let Some(stored) = split(&text) else {
                // Left to the general parser.
                let is_plain = |event: &RecordedEvent| event.data.is_object() || event.data.is_array();
                prop_assert!(kind.contains('\\') || !events.iter().all(is_plain));
                return Ok(());
            };
            prop_assert_eq!(stored.len(), events.len());
            for (stored, event) in stored.iter().zip(&events) {
                prop_assert_eq!((stored.kind, stored.version, stored.at), (&*event.kind, event.version, event.at));
                prop_assert_eq!(&serde_json::from_str::<Value>(stored.data).unwrap(), &event.data);
                prop_assert_eq!(stored.body().ok(), event.body().ok());
            }
        }

        #[test]
        fn any_text_is_split_or_refused_without_a_panic(text in "(\\[|\\{\"at\":\"|\",\"data\":|\\{|\\}|\\]|.){0,30}") {
            let _ = split(&text);
        }
    }
}
