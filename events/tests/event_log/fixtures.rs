//! The frozen examples of every event type, which must always decode.
//!
//! `fixtures/{type}.v{version}.json` has all optional fields that the type had at first, `….min.json` none; fields that were added
//! later are in `….{name}.json`. A fixture is never edited: a changed shape
//! is a new version with new files, and `fixtures/SHA256SUMS` (as `sha256sum` writes it) gets their lines.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use sha2::{Digest, Sha256};
use streamio_events::event::{EVENT_TYPES, EventBody, RecordedEvent};
use streamio_events::timestamp::Timestamp;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// All fixtures by file name.
pub(crate) fn fixtures() -> BTreeMap<String, String> {
    fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap())
        })
        .collect()
}

pub(crate) fn event(json: &str) -> RecordedEvent {
    serde_json::from_str(json).unwrap()
}

/// The fixtures of event types: each with its name, its event, and whether it is the smallest one.
fn of_types() -> Vec<(String, RecordedEvent, bool)> {
    fixtures()
        .iter()
        .filter(|(name, _)| name.contains(".v"))
        .map(|(name, json)| (name.clone(), event(json), name.ends_with(".min.json")))
        .collect()
}

fn canonical(value: &impl serde::Serialize) -> String {
    serde_json_canonicalizer::to_string(value).unwrap()
}

#[test]
fn no_fixture_has_changed_or_disappeared() {
    let listed: BTreeMap<String, String> = fs::read_to_string(folder().join("SHA256SUMS"))
        .unwrap()
        .lines()
        .map(|line| line.split_once("  ").expect("digest, two spaces, name"))
        .map(|(digest, name)| (name.to_owned(), digest.to_owned()))
        .collect();
    let found: BTreeMap<String, String> = fixtures()
        .into_iter()
        .map(|(name, json)| (name, base16ct::lower::encode_string(&Sha256::digest(json))))
        .collect();
    for (name, digest) in &listed {
        assert_eq!(
            found.get(name),
            Some(digest),
            "{name} is frozen: a new shape is a new version in a new file"
        );
    }
    for name in found.keys() {
        assert!(listed.contains_key(name), "{name} is new: freeze it by adding its line to SHA256SUMS");
    }
}

#[test]
fn every_version_of_every_type_has_a_full_and_a_smallest_fixture() {
    let fixtures = fixtures();
    for (kind, current) in EVENT_TYPES {
        for version in 1..=*current {
            for name in [format!("{kind}.v{version}.json"), format!("{kind}.v{version}.min.json")] {
                let json = fixtures.get(&name).unwrap_or_else(|| panic!("{name} is missing"));
                assert_eq!((event(json).kind.as_str(), event(json).version), (*kind, version), "{name}");
            }
        }
    }
    for (name, event, _) in of_types() {
        let known = EVENT_TYPES.iter().find(|(kind, _)| *kind == event.kind);
        assert!(known.is_some_and(|(_, current)| event.version <= *current), "{name} is of no known type");
    }
}

#[test]
fn every_fixture_decodes_and_encodes_to_the_same_event() {
    for (name, recorded, smallest) in of_types() {
        let body = recorded.body().unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert!(!matches!(body, EventBody::Unknown { .. }), "{name}");
        let again = RecordedEvent::new(recorded.at, &body);
        assert_eq!(again.body().unwrap(), body, "{name}");
        let current = EVENT_TYPES.contains(&(recorded.kind.as_str(), recorded.version));
        if current && !smallest {
            assert_eq!(canonical(&again), canonical(&recorded), "{name}");
        } else if current {
            // Only absent fields may be added, with their default.
            assert!(
                contains(&again.data, &recorded.data),
                "{name}: {} lacks fields of {}",
                again.data,
                recorded.data
            );
        }
    }
}

/// Whether `whole` contains everything in `part`.
fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(name, part)| whole.get(name).is_some_and(|whole| contains(whole, part)))
        }
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(whole, part)| contains(whole, part))
        }
        _ => canonical(whole) == canonical(part),
    }
}

/// An optional field that is added to a type later is in another fixture than the first one.
#[test]
fn every_type_has_a_fixture_with_every_optional_field() {
    let mut complete: BTreeMap<String, bool> = BTreeMap::new();
    for (_, recorded, smallest) in of_types() {
        let body = format!("{:?}", recorded.body().unwrap());
        let is_complete = !smallest && !body.contains("None") && !body.contains("{}");
        *complete.entry(recorded.kind).or_default() |= is_complete;
    }
    for (kind, is_complete) in complete {
        assert!(is_complete, "each fixture of {kind} lacks an optional field");
    }
}

#[test]
fn a_smallest_fixture_has_no_field_that_could_be_left_out() {
    for (name, recorded, smallest) in of_types() {
        if !smallest {
            continue;
        }
        for (path, data) in without_one_field(&recorded.data) {
            let without = RecordedEvent { data, ..recorded.clone() };
            assert!(without.body().is_err(), "{name} could do without {path}");
        }
    }
}

/// All variants of `value` without one of its fields, at any depth, each with the path of the missing field.
fn without_one_field(value: &Value) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let mut without = fields.clone();
                without.remove(name);
                all.push((format!("/{name}"), Value::Object(without)));
                for (path, changed) in without_one_field(field) {
                    let mut with = fields.clone();
                    with.insert(name.clone(), changed);
                    all.push((format!("/{name}{path}"), Value::Object(with)));
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                for (path, changed) in without_one_field(item) {
                    let mut with = items.clone();
                    with[index] = changed;
                    all.push((format!("/{index}{path}"), Value::Array(with)));
                }
            }
        }
        _ => {}
    }
    all
}

#[test]
fn a_field_added_by_a_newer_build_is_ignored() {
    for (name, mut recorded, _) in of_types() {
        let body = recorded.body().unwrap();
        recorded.data.as_object_mut().unwrap().insert("addedLater".to_owned(), Value::from(1));
        assert_eq!(recorded.body().unwrap(), body, "{name}");
    }
}

#[test]
fn unknown_types_and_future_versions_are_kept() {
    for name in ["unknown-type.json", "future-version.json"] {
        let json = &fixtures()[name];
        let recorded = event(json);
        let body = recorded.body().unwrap();
        let EventBody::Unknown { kind, version, data } = &body else { panic!("{name} is known: {body:?}") };
        assert_eq!((kind, *version, data), (&recorded.kind, recorded.version, &recorded.data));
        assert_eq!(RecordedEvent::new(recorded.at, &body), recorded);
        assert_eq!(canonical(&recorded), canonical(&serde_json::from_str::<Value>(json).unwrap()));
    }
}

#[test]
fn a_known_type_with_foreign_data_is_an_error() {
    for (name, recorded, _) in of_types() {
        let foreign = RecordedEvent { data: Value::from("foreign"), at: Timestamp::default(), ..recorded };
        let error = foreign.body().expect_err(&name);
        assert_eq!((error.kind, error.version), (foreign.kind, foreign.version));
    }
}
