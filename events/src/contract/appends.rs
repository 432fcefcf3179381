//! Properties of consecutive appends.

use serde_json::json;

use super::fixtures::{all_of, assert_chained, commit, commit_with, stream};
use super::harness::LogHarness;
use crate::commit::{CommitHash, Head, MAX_COMMIT_BYTES};
use crate::log::{AppendError, EventLog, EventLogExt, Expected};
use crate::retryable::Retryable as _;
use crate::stream::StreamId;

/// A stream's events have the versions 1, 2, 3, … in the order of its appends.
pub async fn versions_have_no_gaps(harness: &impl LogHarness) {
    let log = harness.open().await;
    let (stream, other) = (stream("a"), stream("b"));
    let mut version = 0;
    for (cause, events) in [("1", 1), ("2", 3), ("3", 2), ("4", 1)] {
        log.append(&other, Expected::Any, commit(cause, 2)).await.unwrap();
        let appended = log.append(&stream, Expected::Any, commit(cause, events)).await.unwrap();
        assert!(!appended.repeated);
        assert_eq!(appended.commit.stream, stream);
        assert_eq!(appended.commit.first, version + 1);
        assert_eq!(appended.commit.events, commit(cause, events).events);
        version += events as u64;
        assert_eq!(appended.commit.last(), version);
        assert_eq!(log.head(&stream).await.unwrap(), appended.commit.head());
    }
    let numbers: Vec<u64> = all_of(&log, &stream).await.iter().flat_map(|it| it.first..=it.last()).collect();
    assert_eq!(numbers, (1..=7).collect::<Vec<_>>());
}

/// The stream's version is accepted; any other version is a conflict that names both.
pub async fn an_exact_expectation_is_met_or_conflicts(harness: &impl LogHarness) {
    let log = harness.open().await;
    let stream = stream("a");
    for (wrong, actual) in [(1, 0), (u64::MAX, 0)] {
        assert_conflict(&log, &stream, wrong, actual).await;
    }
    log.append(&stream, Expected::Exactly(0), commit("first", 2)).await.unwrap();
    for wrong in [0, 1, 3, u64::MAX] {
        assert_conflict(&log, &stream, wrong, 2).await;
    }
    let appended = log.append(&stream, Expected::Exactly(2), commit("second", 1)).await.unwrap();
    assert_eq!(appended.commit.first, 3);
}

async fn assert_conflict(log: &impl EventLog, of: &StreamId, wrong: u64, is: u64) {
    let result = log.append(of, Expected::Exactly(wrong), commit("refused", 1)).await;
    match result.unwrap_err() {
        AppendError::Conflict { stream, expected, actual } => {
            assert_eq!((&stream, expected, actual), (of, wrong, is));
        }
        error => panic!("not a conflict: {error}"),
    }
}

/// A conflict changes nothing, and the commit's id stays unused.
pub async fn a_conflict_changes_nothing(harness: &impl LogHarness) {
    let log = harness.open().await;
    let stream = stream("a");
    log.append(&stream, Expected::Any, commit("first", 1)).await.unwrap();
    let before = all_of(&log, &stream).await;
    log.append(&stream, Expected::Exactly(7), commit("second", 1)).await.unwrap_err();
    assert_eq!(all_of(&log, &stream).await, before);
    assert_eq!(log.head(&stream).await.unwrap(), before[0].head());
    let appended = log.append(&stream, Expected::Exactly(1), commit("second", 1)).await.unwrap();
    assert!(!appended.repeated);
}

/// `Expected::Any` succeeds on every stream.
pub async fn expecting_any_version_never_conflicts(harness: &impl LogHarness) {
    let (one, other) = (harness.open().await, harness.open().await);
    let stream = stream("a");
    for n in 0..20 {
        let log = if n % 3 == 0 { &one } else { &other };
        let appended = log.append(&stream, Expected::Any, commit(&n.to_string(), 1)).await.unwrap();
        assert_eq!(appended.commit.first, n + 1);
    }
}

/// A retry returns the stored commit, even if its own events differ, and changes nothing.
pub async fn a_repeated_id_returns_the_existing_commit(harness: &impl LogHarness) {
    let (log, other) = (harness.open().await, harness.open().await);
    let stream = stream("a");
    let first = log.append(&stream, Expected::Any, commit("cause", 2)).await.unwrap().commit;
    log.append(&stream, Expected::Any, commit("later", 1)).await.unwrap();
    let before = all_of(&log, &stream).await;
    for retry in [commit("cause", 2), commit("cause", 5), commit_with("cause", json!({"quite": "different"}))]
    {
        for log in [&log, &other] {
            let again = log.append(&stream, Expected::Any, retry.clone()).await.unwrap();
            assert!(again.repeated);
            assert_eq!(again.commit, first);
        }
    }
    assert_eq!(all_of(&log, &stream).await, before);
}

/// The id is checked before the expected version: a retry after a lost response expects the version from before it.
pub async fn a_repeated_id_takes_precedence_over_every_expectation(harness: &impl LogHarness) {
    let log = harness.open().await;
    let stream = stream("a");
    let first = log.append(&stream, Expected::Exactly(0), commit("cause", 2)).await.unwrap().commit;
    log.append(&stream, Expected::Exactly(2), commit("later", 1)).await.unwrap();
    for expected in [Expected::Exactly(0), Expected::Exactly(2), Expected::Exactly(3), Expected::Exactly(9)] {
        let again = log.append(&stream, expected, commit("cause", 2)).await.unwrap();
        assert!(again.repeated, "{expected:?}");
        assert_eq!(again.commit, first);
    }
    assert_eq!(log.head(&stream).await.unwrap().version, 3);
}

/// Ids are unique within a stream, not among streams.
pub async fn an_id_may_be_used_in_several_streams(harness: &impl LogHarness) {
    let log = harness.open().await;
    for name in ["a", "b", "c"] {
        let appended = log.append(&stream(name), Expected::Exactly(0), commit("cause", 1)).await.unwrap();
        assert!(!appended.repeated);
        assert_eq!(appended.commit.stream, stream(name));
    }
}

/// A commit without events or with too many bytes is `Invalid`, for every version of the stream and every commit id.
pub async fn an_inadmissible_commit_is_refused_and_changes_nothing(harness: &impl LogHarness) {
    let log = harness.open().await;
    let stream = stream("a");
    log.append(&stream, Expected::Any, commit("there", 1)).await.unwrap();
    let before = all_of(&log, &stream).await;
    let large = |cause| commit_with(cause, json!("x".repeat(MAX_COMMIT_BYTES)));
    for refused in [commit("new", 0), commit("there", 0), large("new"), large("there")] {
        for expected in [Expected::Any, Expected::Exactly(1), Expected::Exactly(5)] {
            let error = log.append(&stream, expected, refused.clone()).await.unwrap_err();
            assert!(matches!(error, AppendError::Invalid { .. }), "{error}");
            assert!(!error.is_retryable());
        }
    }
    assert_eq!(all_of(&log, &stream).await, before);
    assert!(!log.append(&stream, Expected::Exactly(1), commit("new", 1)).await.unwrap().repeated);
}

/// The first commit follows the genesis hash, each later one the hash of the previous commit.
pub async fn each_commit_is_chained_to_the_one_before(harness: &impl LogHarness) {
    let log = harness.open().await;
    let (one, other) = (stream("a"), stream("b"));
    assert_eq!(log.head(&one).await.unwrap(), Head::EMPTY);
    for n in 0..5 {
        log.append(&one, Expected::Any, commit(&n.to_string(), 1 + n % 3)).await.unwrap();
        log.append(&other, Expected::Any, commit(&n.to_string(), 1 + n % 3)).await.unwrap();
    }
    let commits = all_of(&log, &one).await;
    assert_chained(&one, &commits);
    assert_eq!(commits[0].prev_hash, CommitHash::GENESIS);
    assert!(commits.windows(2).all(|pair| pair[1].prev_hash == pair[0].hash));
    assert_eq!(log.head(&one).await.unwrap(), commits.last().unwrap().head());
    let others = all_of(&log, &other).await;
    assert_chained(&other, &others);
    assert!(
        commits.iter().zip(&others).all(|(a, b)| a.hash != b.hash),
        "the stream is part of what is hashed"
    );
}

/// A handle that is opened later sees all commits and appends after them.
pub async fn acknowledged_commits_exist_after_the_log_is_opened_again(harness: &impl LogHarness) {
    let mut acknowledged = Vec::new();
    for round in 0..3 {
        let log = harness.open().await;
        assert_eq!(log.scan_to_end().await.unwrap(), acknowledged);
        for n in 0..4 {
            let cause = format!("{round}-{n}");
            // The log has one stream, and a scan returns the commits of one stream in order.
            acknowledged
                .push(log.append(&stream("a"), Expected::Any, commit(&cause, 2)).await.unwrap().commit);
        }
        drop(log);
    }
    assert_chained(&stream("a"), &acknowledged);
}
