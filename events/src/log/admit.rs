use serde_json::{Number, Value};

use super::AppendError;
use crate::canonical::canonical_events;
use crate::commit::{MAX_COMMIT_BYTES, NewCommit};
use crate::stream::StreamId;

/// The largest magnitude up to which every JSON reader agrees on every integer: 2^53 - 1 (RFC 7493, section 2.2).
pub(crate) const LARGEST_NUMBER: u64 = (1 << 53) - 1;

/// Maximum nesting depth of an event's data. JSON parsers commonly stop at 128 levels, and events are embedded in
/// other objects.
const MAX_LEVELS: usize = 64;

/// Validates `commit` and returns it in canonical form (RFC 8785). Every adapter calls this first. Refused are:
///
/// - a commit without events;
/// - a commit whose events have more than [`MAX_COMMIT_BYTES`] as canonical JSON;
/// - a number beyond ±(2^53 - 1), which canonical JSON cannot distinguish from its neighbours;
/// - data nested deeper than 64 levels, which could be written but not parsed again;
/// - a stream whose name does not parse to the same stream.
pub fn admit(stream: &StreamId, commit: NewCommit) -> Result<NewCommit, AppendError> {
    admit_encoded(stream, commit).map(|(commit, _)| commit)
}

/// [`admit`], also returning the events as canonical JSON.
pub(crate) fn admit_encoded(
    stream: &StreamId,
    commit: NewCommit,
) -> Result<(NewCommit, Vec<u8>), AppendError> {
    let invalid = |reason: String| AppendError::Invalid { stream: stream.clone(), reason };
    check(stream, &commit).map_err(invalid)?;
    let canonical = canonical_events(&commit.events);
    if canonical.len() > MAX_COMMIT_BYTES {
        return Err(invalid(format!(
            "its events have {} bytes, more than {MAX_COMMIT_BYTES}; split them into several commits",
            canonical.len()
        )));
    }
    // Only real numbers have several forms.
    if !commit.events.iter().any(|event| has_real(&event.data)) {
        return Ok((commit, canonical));
    }
    let events = serde_json::from_slice(&canonical)
        .map_err(|error| invalid(format!("its events cannot be parsed again: {error}")))?;
    Ok((NewCommit { events, ..commit }, canonical))
}

/// Whether a number of the value is stored as a real one.
fn has_real(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(has_real),
        Value::Object(fields) => fields.values().any(has_real),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

/// Checks everything except the commit's size. The error is the reason of the refusal.
pub(crate) fn check(stream: &StreamId, commit: &NewCommit) -> Result<(), String> {
    if stream.to_string().parse().as_ref() != Ok(stream) {
        return Err("the stream's name is malformed".to_owned());
    }
    if commit.events.is_empty() {
        return Err("it has no events".to_owned());
    }
    for event in &commit.events {
        check_value(&event.data, MAX_LEVELS)
            .map_err(|reason| format!("the data of its {} {reason}", event.kind))?;
    }
    Ok(())
}

fn check_value(value: &Value, levels: usize) -> Result<(), String> {
    let below = || {
        levels.checked_sub(1).ok_or_else(|| format!("is nested deeper than {MAX_LEVELS} levels; flatten it"))
    };
    match value {
        Value::Number(number) if !is_portable(number) => {
            Err(format!("has the number {number}, beyond ±(2^53 - 1); write it as text"))
        }
        Value::Array(items) => {
            let levels = below()?;
            items.iter().try_for_each(|item| check_value(item, levels))
        }
        Value::Object(fields) => {
            let levels = below()?;
            fields.values().try_for_each(|field| check_value(field, levels))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

fn is_portable(number: &Number) -> bool {
    if let Some(integer) = number.as_i64() {
        return integer.unsigned_abs() <= LARGEST_NUMBER;
    }
    if let Some(integer) = number.as_u64() {
        return integer <= LARGEST_NUMBER;
    }
    #[expect(clippy::cast_precision_loss, reason = "2^53 - 1 is exact in 53 bits")]
    number.as_f64().is_some_and(|real| real.abs() <= LARGEST_NUMBER as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::canonical::tests::any_json;
    use crate::commit::canonical_json;
    use crate::event::RecordedEvent;
    use crate::id::CommitId;
    use crate::timestamp::Timestamp;

    fn admitted(data: Value) -> Result<Value, String> {
        let at = Timestamp::from_unix_millis(0);
        let event = RecordedEvent { kind: "galaxy.collided".to_owned(), version: 1, at, data, fact: None };
        let commit = NewCommit { id: CommitId::derived_from(&["a"]), events: vec![event], recorded_at: at };
        match admit(&"project/acme".parse().unwrap(), commit) {
            Ok(commit) => Ok(commit.events[0].data.clone()),
            Err(AppendError::Invalid { reason, .. }) => Err(reason),
            Err(error) => panic!("{error}"),
        }
    }

    proptest! {
        #[test]
        fn an_admitted_value_parses_to_itself(data in any_json()) {
            if let Ok(canonical) = admitted(data.clone()) {
                let text = canonical_json(&data);
                prop_assert_eq!(&serde_json::from_slice::<Value>(&text).unwrap(), &canonical);
                prop_assert_eq!(canonical_json(&canonical), text);
                prop_assert_eq!(admitted(canonical.clone()), Ok(canonical));
            }
        }

        #[test]
        fn different_numbers_stay_different(a in -(1i64 << 54)..1i64 << 54, near in -2i64..=2) {
            let (one, other) = (admitted(json!({"n": a})), admitted(json!({"n": a + near})));
            if one.is_ok() && other.is_ok() {
                prop_assert_eq!(one == other, near == 0);
            }
        }
    }

    #[test]
    fn each_refusal_states_what_to_do() {
        assert_eq!(
            admitted(json!({"n": 1u64 << 53})),
            Err("the data of its galaxy.collided has the number 9007199254740992, beyond ±(2^53 - 1); write it as text"
                .to_owned())
        );
        assert!(admitted(json!({"n": (1u64 << 53) - 1})).is_ok());
        assert!(admitted(json!({"n": -1e300})).is_err());
        let nested = |levels| (0..levels).fold(json!(0), |inner, _| json!([inner]));
        assert!(admitted(nested(64)).is_ok());
        assert!(admitted(nested(65)).unwrap_err().contains("nested deeper than 64 levels"));
        let text = |bytes| json!("a".repeat(bytes));
        assert!(admitted(text(MAX_COMMIT_BYTES - 100)).is_ok());
        assert!(admitted(text(MAX_COMMIT_BYTES)).unwrap_err().contains("more than 358400"));
    }

    #[test]
    fn a_stream_whose_name_does_not_parse_is_refused() {
        let stream =
            StreamId::Grants { project_id: "acme".parse().unwrap(), interval: "a/b".to_owned(), shard: 0 };
        let at = Timestamp::from_unix_millis(0);
        let event =
            RecordedEvent { kind: "galaxy.collided".to_owned(), version: 1, at, data: json!({}), fact: None };
        let commit = NewCommit { id: CommitId::derived_from(&["a"]), events: vec![event], recorded_at: at };
        assert!(matches!(admit(&stream, commit), Err(AppendError::Invalid { .. })));
    }
}
