use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::commit::NewCommit;
use crate::id::CommitId;
use crate::log::{EventLog as _, EventLogExt as _, Expected};
use crate::sqlite::SqliteLog;

/// Appends a commit of some events to the stream `grants/acme/2026010203/{stream}` for each entry.
async fn append(log: &SqliteLog, entries: &[(u8, u64)]) {
    for (number, (stream, events)) in entries.iter().enumerate() {
        let at = Timestamp::from_unix_seconds(1_767_323_045 + i64::try_from(number).unwrap());
        let event = RecordedEvent {
            kind: "video.updated".to_owned(),
            version: 1,
            at,
            data: json!({"metadata": {"n": number.to_string()}}),
            fact: None,
        };
        let events = (0..*events).map(|_| event.clone()).collect();
        let commit =
            NewCommit { id: CommitId::derived_from(&[&number.to_string()]), events, recorded_at: at };
        let stream = format!("grants/acme/2026010203/{stream}").parse().unwrap();
        log.append(&stream, Expected::Any, commit).await.unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn ranges_have_all_streams_once_with_all_their_commits_in_order(
        entries in prop::collection::vec((0u8..20, 1u64..4), 0..60),
        parts in 1usize..10,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("log.db");
        let log = runtime.block_on(async { SqliteLog::open(&path) }).unwrap();
        runtime.block_on(append(&log, &entries));
        let reader = StoredReader::open(&path).unwrap();
        let whole = StreamRange::of_prefix("grants/");
        let ranges = reader.divide(&whole, parts).unwrap();
        prop_assert!(ranges.len() <= parts);
        prop_assert_eq!(reader.count(&whole, u64::MAX).unwrap(), entries.len() as u64);
        let mut found: BTreeMap<String, Vec<Commit>> = BTreeMap::new();
        let mut heads: BTreeMap<String, Head> = BTreeMap::new();
        for range in &ranges {
            let read = reader.streams(range, u64::MAX, |stored| {
                let stored = stored.unwrap();
                let head = heads.entry(stored.stream.to_owned()).or_insert(Head::EMPTY);
                *head = stored.follow(*head).unwrap();
                found.entry(stored.stream.to_owned()).or_default().push(stored.commit().unwrap());
                ControlFlow::Continue(())
            });
            read.unwrap();
        }
        for (stream, commits) in &found {
            let stream = stream.parse().unwrap();
            prop_assert_eq!(&runtime.block_on(log.read_to_end(&stream, 1)).unwrap(), commits);
        }
        prop_assert_eq!(found.values().map(Vec::len).sum::<usize>(), entries.len());
        let mut positions = Vec::new();
        let after = reader.last_position().unwrap() / 2;
        let read = reader.positions(after, u64::MAX, |stored| {
            positions.push(stored.unwrap().position);
            ControlFlow::Continue(())
        });
        read.unwrap();
        prop_assert_eq!(positions, (after + 1..=entries.len() as u64).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_changed_a_missing_and_an_unreadable_commit_are_found() {
    for (change, reason) in [
        ("UPDATE commits SET events = replace(events, '\"n\":\"1\"', '\"n\":\"7\"')", "it was changed"),
        ("UPDATE commits SET recorded_at = '2026-01-02T03:04:05.999Z' WHERE position = 2", "it was changed"),
        (
            "UPDATE commits SET prev_hash = zeroblob(32) WHERE position = 2",
            "it does not follow the one before it",
        ),
        ("DELETE FROM commits WHERE position = 2", "version 3 should be next, but there is version 5"),
        (
            "UPDATE commits SET commit_id = CAST(x'ff' AS TEXT) WHERE position = 2",
            "a column has no valid value",
        ),
    ] {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("log.db");
        let log = SqliteLog::open(&path).unwrap();
        append(&log, &[(1, 2), (1, 2), (1, 2)]).await;
        Connection::open(&path).unwrap().execute_batch(change).unwrap();
        let (mut head, mut found) = (Head::EMPTY, None);
        let read =
            StoredReader::open(&path).unwrap().streams(&StreamRange::of_prefix("grants/"), 9, |stored| {
                match stored.and_then(|stored| stored.follow(head)) {
                    Ok(next) => head = next,
                    Err(damaged) => {
                        found.get_or_insert(damaged);
                    }
                }
                ControlFlow::Continue(())
            });
        read.unwrap();
        let found = found.unwrap_or_else(|| panic!("{change} is not found"));
        assert_eq!(found.reason, reason, "{change}");
        assert_eq!(found.stream, "grants/acme/2026010203/1");
    }
}
