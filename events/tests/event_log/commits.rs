//! What a commit's hash covers, and that its JSON is complete.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use streamio_events::commit::{Commit, CommitHash, Head, NewCommit};
use streamio_events::event::RecordedEvent;
use streamio_events::id::CommitId;
use streamio_events::log::admit;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

fn data() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-9_007_199_254_740_991i64..=9_007_199_254_740_991).prop_map(Value::from),
        (-1e9f64..1e9).prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(".{0,4}", inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

fn timestamp() -> impl Strategy<Value = Timestamp> {
    (0i64..=253_402_300_799_999).prop_map(Timestamp::from_unix_millis)
}

prop_compose! {
    fn event()(kind in "[a-z]{1,8}\\.[a-z]{1,8}|.{0,8}", version in 0u32.., at in timestamp(), data in data()) -> RecordedEvent {
        RecordedEvent { kind, version, at, data, fact: None }
    }
}

prop_compose! {
    fn commit()(
        stream in "project/[a-z]{3,9}|grants/[a-z]{3}/[0-9]{10}/[1-9]",
        cause in ".{0,8}",
        events in vec(event(), 1..5),
        recorded_at in timestamp(),
        version in 0u64..1 << 40,
        before: [u8; 32],
    ) -> Commit {
        let stream = stream.parse().unwrap();
        let new = NewCommit { id: CommitId::derived_from(&[&cause]), events, recorded_at };
        let new = admit(&stream, new).unwrap();
        Commit::following(stream, Head { version, hash: CommitHash::from_bytes(before) }, new)
    }
}

/// `value` as text, with the fields of all its objects in reverse order.
fn backwards(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .rev()
                .map(|(name, field)| format!("{}: {}", json!(name), backwards(field)))
                .collect();
            format!("{{ {} }}", fields.join(" , "))
        }
        Value::Array(items) => format!("[ {} ]", items.iter().map(backwards).collect::<Vec<_>>().join(" , ")),
        other => other.to_string(),
    }
}

proptest! {
    #[test]
    fn a_commit_survives_serialization(commit in commit()) {
        let text = serde_json::to_string(&commit).unwrap();
        let read: Commit = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(read.computed_hash(), commit.hash);
        prop_assert_eq!(read, commit);
    }

    #[test]
    fn the_hash_does_not_depend_on_the_order_of_fields_or_on_white_space(commit in commit()) {
        let text = backwards(&serde_json::to_value(&commit).unwrap());
        let read: Commit = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(read.computed_hash(), commit.hash);
    }

    #[test]
    fn the_hash_covers_everything(one in commit(), other in commit(), added in event()) {
        let project = one.stream.project_id().clone();
        let mut variants = vec![
            Commit { stream: StreamId::grants(project.clone(), added.at, &one.id), ..one.clone() },
            Commit { stream: StreamId::Project(project), ..one.clone() },
            Commit { stream: other.stream, ..one.clone() },
            Commit { first: other.first, ..one.clone() },
            Commit { id: other.id, ..one.clone() },
            Commit { events: other.events, ..one.clone() },
            Commit { recorded_at: other.recorded_at, ..one.clone() },
            Commit { prev_hash: other.prev_hash, ..one.clone() },
        ];
        for n in 0..one.events.len() {
            let mut vary = |change: &dyn Fn(&mut RecordedEvent)| {
                let mut variant = one.clone();
                change(&mut variant.events[n]);
                variants.push(variant);
            };
            vary(&|event| event.kind.push('x'));
            vary(&|event| event.version = event.version.wrapping_add(1));
            vary(&|event| event.at = added.at);
            vary(&|event| event.data = json!([event.data]));
            vary(&|event| event.fact = Some(CommitId::derived_from(&["fact", &added.kind])));
            let mut variant = one.clone();
            variant.events.insert(n, added.clone());
            variants.push(variant);
            let mut variant = one.clone();
            variant.events.remove(n);
            variants.push(variant);
        }
        for variant in variants {
            prop_assert_eq!(variant == one, variant.computed_hash() == one.hash, "{:?}", variant);
        }
    }

    #[test]
    fn a_commit_follows_the_given_head(commit in commit(), events in vec(event(), 1..5)) {
        let head = commit.head();
        prop_assert_eq!(head.version, commit.first + commit.events.len() as u64 - 1);
        let new = NewCommit { id: commit.id.clone(), events, recorded_at: commit.recorded_at };
        let next = Commit::following(commit.stream.clone(), head, new);
        prop_assert_eq!((next.first, next.prev_hash), (commit.last() + 1, commit.hash));
        let versions: Vec<u64> = commit.numbered().chain(next.numbered()).map(|(version, _)| version).collect();
        prop_assert!(versions.iter().copied().eq(commit.first..=next.last()));
    }
}

#[test]
fn the_hash_can_be_computed_independently() {
    let at: Timestamp = "2026-01-02T03:04:05.678Z".parse().unwrap();
    let event = RecordedEvent {
        kind: "video.deleted".to_owned(),
        version: 1,
        at,
        data: Value::Object(Map::from_iter([
            ("generation".to_owned(), json!(1)),
            ("é".to_owned(), json!(29.97)),
        ])),
        fact: None,
    };
    let new = NewCommit { id: CommitId::derived_from(&["a"]), events: vec![event], recorded_at: at };
    let commit = Commit::following("project/acme".parse().unwrap(), Head::EMPTY, new);
    // Computed with Python's hashlib: SHA-256 of 32 zero bytes and
    // {"commitId":"cmt_hmmw7veqppw7khbqsduygxzpps","events":[{"at":"2026-01-02T03:04:05.678Z","data":{"generation":1,
    // "é":29.97},"type":"video.deleted","v":1}],"first":1,"recordedAt":"2026-01-02T03:04:05.678Z","stream":"project/acme"}
    // without the line breaks.
    assert_eq!(commit.hash.to_string(), "7caa1bf6a6ae566b94892ad4003314aaaf81c144958c7f6f22755d21add31d71");
}

/// The id of a merged fact is a separate field, which other events do not have.
#[test]
fn an_event_of_a_merged_fact_names_the_fact() {
    let event = |fact| RecordedEvent {
        kind: "video.deleted".to_owned(),
        version: 1,
        at: "2026-01-02T03:04:05.678Z".parse().unwrap(),
        data: json!({ "generation": 1 }),
        fact,
    };
    let plain =
        json!({"type": "video.deleted", "v": 1, "at": "2026-01-02T03:04:05.678Z", "data": {"generation": 1}});
    assert_eq!(serde_json::to_value(event(None)).unwrap(), plain);
    let mut merged = plain;
    let fact = CommitId::derived_from(&["fact"]);
    merged["fact"] = json!("cmt_7wogd2mecabyrojr4hvhmdbf5z");
    assert_eq!(serde_json::to_value(event(Some(fact.clone()))).unwrap(), merged);
    assert_eq!(serde_json::from_value::<RecordedEvent>(merged).unwrap().fact, Some(fact));
}

#[test]
fn a_hash_is_parsed_only_in_its_written_form() {
    let text = "0123456789abcdef".repeat(4);
    let hash: CommitHash = serde_json::from_value(json!(text)).unwrap();
    assert_eq!(hash.to_string(), text);
    for other in [text.to_uppercase(), text[2..].to_owned(), format!("{text}00"), String::new()] {
        assert!(serde_json::from_value::<CommitHash>(json!(other)).is_err(), "{other}");
    }
}
