//! Files that this program did not write, or that were changed later.

use std::fs;

use rusqlite::Connection;
use streamio_events::audit::{self, Finding};
use streamio_events::log::{AppendError, ChangesError, EventLog, EventLogExt, Expected, Part, ReadError};
use streamio_events::retryable::Retryable as _;
use streamio_events::sqlite::{OpenError, SqliteLog};
use tempfile::TempDir;

use super::samples::{commit, stream};
use super::sqlite::open;

/// A log with three commits. The second one, alone in stream 1, is changed by `sql`.
async fn damaged_by(sql: &str) -> (TempDir, SqliteLog) {
    let folder = tempfile::tempdir().unwrap();
    let log = open(&folder);
    for (n, cause) in [(0, "before"), (1, "damaged"), (2, "after")] {
        log.append(&stream(n), Expected::Any, commit(cause, 2)).await.unwrap();
    }
    let file = Connection::open(folder.path().join("log.db")).unwrap();
    file.pragma_update(None, "ignore_check_constraints", true).unwrap();
    let changed = file.execute(sql, []).unwrap();
    assert_eq!(changed, 1, "{sql}");
    (folder, log)
}

#[tokio::test]
async fn an_invalid_row_is_an_error_that_states_the_reason() {
    for (damage, reason) in [
        ("events = 'not JSON'", "the events of its commit at 1 cannot be read"),
        ("events = '{}'", "the events of its commit at 1 cannot be read"),
        ("events = '[]'", "its commit of versions 1 to 2 has 0 events"),
        ("events = CAST(x'ff' AS TEXT)", "the events of its commit at 1 cannot be read"),
        ("last = 3", "its commit of versions 1 to 3 has 2 events"),
        ("recorded_at = 'yesterday'", "its commit at 1 has no valid time"),
        ("recorded_at = replace(recorded_at, '.000Z', 'Z')", "its commit at 1 has no valid time"),
        ("prev_hash = x'00'", "its commit at 1 has no valid previous hash"),
        ("hash = x''", "its commit at 1 has no valid hash"),
        ("commit_id = 'cmt_'", "the id of its commit at 1 is not a commit id"),
    ] {
        let (_folder, log) = damaged_by(&format!("UPDATE commits SET {damage} WHERE position = 2")).await;
        let assert_damaged = |error: ReadError| match error {
            ReadError::Damaged { stream: named, reason: actual } => {
                assert_eq!(named, stream(1).to_string());
                assert!(actual.starts_with(reason), "{damage}: {actual}");
            }
            error => panic!("{damage}: {error:?}"),
        };
        assert_damaged(log.read(&stream(1), 1, 10).await.unwrap_err());
        assert_damaged(log.scan(Part::WHOLE, None, 10).await.unwrap_err());
        // All other streams can be read and appended to.
        assert_eq!(log.read_to_end(&stream(0), 1).await.unwrap().len(), 1);
        log.append(&stream(2), Expected::Exactly(2), commit("more", 1)).await.unwrap();
    }
}

#[tokio::test]
async fn a_damaged_change_can_be_skipped_by_its_position() {
    let (_folder, log) = damaged_by("UPDATE commits SET events = 'not JSON' WHERE position = 2").await;
    let before = log.changes_after(0, 10).await.unwrap();
    assert_eq!(before.iter().map(|(position, _)| *position).collect::<Vec<_>>(), [1]);
    match log.changes_after(1, 10).await.unwrap_err() {
        ChangesError::Damaged { position, stream: named, .. } => {
            assert_eq!((position, named), (2, stream(1).to_string()));
        }
        error => panic!("{error:?}"),
    }
    let after = log.changes_after(2, 10).await.unwrap();
    assert_eq!(after.iter().map(|(position, _)| *position).collect::<Vec<_>>(), [3]);
}

#[tokio::test]
async fn a_row_without_a_valid_stream_is_found_by_scans_and_by_the_feed() {
    let (_folder, log) = damaged_by("UPDATE commits SET stream = 'nonsense' WHERE position = 2").await;
    let error = log.scan(Part::WHOLE, None, 10).await.unwrap_err();
    assert!(matches!(&error, ReadError::Damaged { stream, .. } if stream == "nonsense"), "{error:?}");
    assert!(!error.is_retryable());
    log.changes_after(1, 10).await.unwrap_err();
}

#[tokio::test]
async fn a_repeated_id_whose_commit_is_damaged_is_neither_appended_nor_retried() {
    let (_folder, log) = damaged_by("UPDATE commits SET events = 'not JSON' WHERE position = 2").await;
    let error = log.append(&stream(1), Expected::Any, commit("damaged", 2)).await.unwrap_err();
    assert!(matches!(error, AppendError::Damaged { .. }), "{error:?}");
    assert!(!error.is_retryable());
    assert_eq!(log.last_position().await.unwrap(), 3);
}

#[tokio::test]
async fn nothing_is_appended_after_a_head_that_cannot_be_read() {
    let (_folder, log) = damaged_by("UPDATE commits SET hash = x'' WHERE position = 2").await;
    let error = log.append(&stream(1), Expected::Any, commit("next", 1)).await.unwrap_err();
    assert!(matches!(error, AppendError::Damaged { .. }), "{error:?}");
    let error = log.head(&stream(1)).await.unwrap_err();
    assert!(matches!(error, ReadError::Damaged { .. }), "{error:?}");
}

#[tokio::test]
async fn an_audit_finds_changes_in_the_file() {
    for (n, sql) in [
        "UPDATE commits SET events = replace(events, '\"n\":0', '\"n\":7') WHERE position = 3",
        "UPDATE commits SET recorded_at = '2026-01-02T03:04:05.001Z' WHERE position = 3",
        "UPDATE commits SET hash = zeroblob(32) WHERE position = 3",
        "UPDATE commits SET prev_hash = zeroblob(32) WHERE position = 3",
        "DELETE FROM commits WHERE position = 3",
        "UPDATE commits SET first = 10, last = 11 WHERE position = 5",
        "UPDATE commits SET stream = (SELECT stream FROM commits WHERE position = 2), first = 50, last = 51
         WHERE position = 4",
        "DELETE FROM commits WHERE position = 5",
    ]
    .into_iter()
    .enumerate()
    {
        let folder = tempfile::tempdir().unwrap();
        let log = open(&folder);
        for position in 1..=5 {
            let stream = stream(usize::from(position == 2));
            log.append(&stream, Expected::Any, commit(&position.to_string(), 2)).await.unwrap();
        }
        let known = log.head(&stream(0)).await.unwrap();
        let file = Connection::open(folder.path().join("log.db")).unwrap();
        assert_eq!(file.execute(sql, []).unwrap(), 1);
        let commits = log.read_to_end(&stream(0), 1).await.unwrap();
        let finding = audit::verify(&stream(0), &commits, Some(known)).expect_err(sql);
        let expected = match n {
            0..=2 => matches!(finding, Finding::Changed { first: 3, .. }),
            3 => matches!(finding, Finding::BrokenLink { first: 3, .. }),
            4 => matches!(finding, Finding::Gap { expected: 3, found: 5, .. }),
            5 => matches!(finding, Finding::Gap { expected: 7, found: 10, .. }),
            6 => matches!(finding, Finding::Gap { expected: 5, found: 7, .. }),
            _ => matches!(finding, Finding::CutTail { known: 8, found: 6, .. }),
        };
        assert!(expected, "{sql}: {finding:?}");
    }
}

#[tokio::test]
async fn a_file_with_overwritten_pages_is_damaged_and_not_retried() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let log = open(&folder);
    for n in 0..200 {
        log.append(&stream(n % 7), Expected::Any, commit(&n.to_string(), 3)).await.unwrap();
    }
    drop(log);
    let mut bytes = fs::read(&path).unwrap();
    for byte in &mut bytes[4096..] {
        *byte = 0x5a;
    }
    fs::write(&path, bytes).unwrap();
    match SqliteLog::open(&path) {
        Err(OpenError::Failed { .. } | OpenError::NotALog { .. }) => {}
        Err(error) => panic!("{error:?}"),
        Ok(log) => {
            let error = log.read(&stream(0), 1, 10).await.unwrap_err();
            assert!(!error.is_retryable(), "{error:?}");
            let error = log.append(&stream(0), Expected::Any, commit("more", 1)).await.unwrap_err();
            assert!(!error.is_retryable(), "{error:?}");
        }
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused_with_both_versions() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    drop(open(&folder));
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 4).unwrap();
    let error = SqliteLog::open(&path).unwrap_err();
    assert!(matches!(error, OpenError::NewerSchema { found: 4, .. }), "{error:?}");
    let message = error.to_string().replace(&path.display().to_string(), "log.db");
    insta::assert_snapshot!(message, @"the event log log.db has schema version 4, this program knows 3; use a newer Streamio");
}

#[tokio::test]
async fn a_file_of_another_program_is_refused_and_stays_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let foreign = folder.path().join("foreign.db");
    Connection::open(&foreign)
        .unwrap()
        .execute_batch("CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)")
        .unwrap();
    let versioned = folder.path().join("versioned.db");
    Connection::open(&versioned).unwrap().pragma_update(None, "user_version", 1).unwrap();
    let text = folder.path().join("notes.txt");
    fs::write(&text, "no database at all, but long enough to be read as the header of one: ".repeat(20))
        .unwrap();
    for path in [&foreign, &versioned, &text] {
        let before = fs::read(path).unwrap();
        let error = SqliteLog::open(path).unwrap_err();
        assert!(matches!(error, OpenError::NotALog { .. }), "{}: {error:?}", path.display());
        assert_eq!(fs::read(path).unwrap(), before);
    }
}

#[tokio::test]
async fn a_missing_folder_is_named_and_not_created() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing").join("log.db");
    let error = SqliteLog::open(&path).unwrap_err();
    assert!(matches!(error, OpenError::NoFolder { .. }), "{error:?}");
    assert!(error.to_string().contains("make it first"));
    assert!(!folder.path().join("missing").exists());
    assert!(matches!(SqliteLog::open(folder.path()), Err(OpenError::Failed { .. })));
}

#[tokio::test]
async fn an_unusual_path_is_still_a_path() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["file:log.db?mode=memory", ":memory:", "a b%20c.db", "lög?.db"] {
        let path = folder.path().join(name);
        let log = SqliteLog::open(&path).unwrap();
        log.append(&stream(0), Expected::Any, commit("a", 1)).await.unwrap();
        drop(log);
        assert_eq!(SqliteLog::open(&path).unwrap().last_position().await.unwrap(), 1, "{name}");
        assert!(path.is_file(), "{name}");
    }
}
