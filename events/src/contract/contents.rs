//! Properties of the contents of commits.

use serde_json::{Value, json};

use super::fixtures::{all_of, assert_chained, at, commit, commit_with, pages, stream};
use super::harness::LogHarness;
use crate::commit::{Commit, MAX_COMMIT_BYTES, NewCommit, canonical_json};
use crate::event::{EventBody, RecordedEvent};
use crate::id::CommitId;
use crate::log::{EventLog, Expected};
use crate::timestamp::Timestamp;

/// Appends `new` through one handle, reads it back through another, and returns it.
async fn append_and_read_back(harness: &impl LogHarness, new: NewCommit) -> Commit {
    let (writer, reader) = (harness.open().await, harness.open().await);
    let stream = stream("a");
    let appended = writer.append(&stream, Expected::Any, new.clone()).await.unwrap().commit;
    let read = all_of(&reader, &stream).await;
    assert_eq!(read.last(), Some(&appended), "an append returns what is read later");
    let again = reader.append(&stream, Expected::Any, new).await.unwrap();
    assert_eq!((again.repeated, &again.commit), (true, &appended));
    assert_chained(&stream, &read);
    appended
}

/// Types and versions that this build does not know keep all their fields.
pub async fn unknown_events_are_kept_unchanged(harness: &impl LogHarness) {
    let unknown = |kind: &str, version, data| RecordedEvent {
        kind: kind.to_owned(),
        version,
        at: at(),
        data,
        fact: None,
    };
    let events = vec![
        unknown("galaxy.collided", 1, json!({"b": [1, null, {"z": true, "a": ""}], "a": {"deep": {}}})),
        unknown("video.ready", u32::MAX, json!({"shape": "of the future"})),
        unknown("video.deleted", 1, json!({"generation": 1, "unknownField": [[]]})),
        unknown("", 0, json!(null)),
    ];
    let new =
        NewCommit { id: CommitId::derived_from(&["unknown"]), events: events.clone(), recorded_at: at() };
    let commit = append_and_read_back(harness, new).await;
    assert_eq!(commit.events, events);
    assert!(matches!(commit.events[0].body(), Ok(EventBody::Unknown { .. })));
    assert!(matches!(commit.events[1].body(), Ok(EventBody::Unknown { .. })));
}

/// Numbers are returned as canonical JSON writes them, by the append and by every read.
pub async fn numbers_are_kept_in_canonical_form(harness: &impl LogHarness) {
    let data = json!({
        "whole": 30.0, "negativeZero": -0.0, "fraction": 29.97, "tiny": 5e-324, "largest": 9_007_199_254_740_991_u64,
        "smallest": -9_007_199_254_740_991_i64, "third": 1.0 / 3.0,
    });
    let commit = append_and_read_back(harness, commit_with("numbers", data)).await;
    let canonical = json!({
        "whole": 30, "negativeZero": 0, "fraction": 29.97, "tiny": 5e-324, "largest": 9_007_199_254_740_991_u64,
        "smallest": -9_007_199_254_740_991_i64, "third": 1.0 / 3.0,
    });
    assert_eq!(commit.events[0].data, canonical);
}

/// Every character survives in texts, field names and types: control characters, quotes, supplementary planes,
/// unnormalized text.
pub async fn unusual_text_is_kept_unchanged(harness: &impl LogHarness) {
    let mut texts: Vec<String> =
        ["", "\u{0}", "\"\\/", "\u{7f}\u{80}\u{2028}\u{2029}", "e\u{301} é", "\u{fffe}\u{ffff}"]
            .map(str::to_owned)
            .into();
    texts.extend(
        ["\u{10ffff}😀👩‍👩‍👧", "\u{202e}abc", "a\r\nb\tc", "' OR 1=1; --", "\u{feff}x", "\u{d7ff}\u{e000}"]
            .map(str::to_owned),
    );
    texts.push((0..0x80u8).map(char::from).collect());
    let fields: serde_json::Map<String, Value> =
        texts.iter().map(|text| (text.clone(), Value::from(text.clone()))).collect();
    for (n, text) in texts.iter().enumerate() {
        let event = RecordedEvent {
            kind: text.clone(),
            version: 1,
            at: Timestamp::from_unix_millis(i64::MAX),
            data: Value::from(fields.clone()),
            fact: None,
        };
        let id = CommitId::derived_from(&["text", &n.to_string()]);
        let commit =
            append_and_read_back(harness, NewCommit { id, events: vec![event.clone()], recorded_at: at() })
                .await;
        assert_eq!(commit.events, [event]);
    }
}

/// A commit of exactly the maximum size is kept; with one byte more it is refused.
pub async fn a_commit_of_the_maximum_size_is_kept(harness: &impl LogHarness) {
    let of_bytes = |cause: &str, bytes: usize| {
        let empty = canonical_json(&commit_with(cause, json!("")).events).len();
        // Two bytes per character, so that confusing bytes with characters fails.
        let text = "é".repeat((bytes - empty) / 2) + &"e".repeat((bytes - empty) % 2);
        commit_with(cause, json!(text))
    };
    for bytes in [MAX_COMMIT_BYTES - 1, MAX_COMMIT_BYTES] {
        let commit = append_and_read_back(harness, of_bytes(&bytes.to_string(), bytes)).await;
        assert_eq!(canonical_json(&commit.events).len(), bytes);
    }
    let log = harness.open().await;
    log.append(&stream("a"), Expected::Any, of_bytes("more", MAX_COMMIT_BYTES + 1)).await.unwrap_err();
}

/// When commits exceed an adapter's page size in bytes, several pages return each commit once.
pub async fn pages_of_large_commits_return_each_commit_once(harness: &impl LogHarness) {
    let log = harness.open().await;
    let stream = stream("a");
    let mut commits = Vec::new();
    for n in 0..30 {
        let new = commit_with(&n.to_string(), json!("x".repeat(MAX_COMMIT_BYTES - 200)));
        commits.push(log.append(&stream, Expected::Any, new).await.unwrap().commit);
    }
    for limit in [1, 29, 30, 1000] {
        let read = pages(&log, &stream, 1, limit).await;
        assert!(read == commits, "limit {limit}: {} commits", read.len());
    }
}

/// All events of one commit stay together.
pub async fn a_commit_of_many_events_is_kept_whole(harness: &impl LogHarness) {
    let commit = append_and_read_back(harness, commit("many", 1000)).await;
    assert_eq!((commit.first, commit.last(), commit.events.len()), (1, 1000, 1000));
    let log = harness.open().await;
    let page = log.read(&stream("a"), 500, 1).await.unwrap();
    assert_eq!((page.commits, page.next), (vec![commit], None));
}
