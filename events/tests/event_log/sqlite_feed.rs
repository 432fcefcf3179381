//! Positions, the feed of changes and its notifications, with several handles of one file.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use streamio_events::commit::Commit;
use streamio_events::log::{EventLog, EventLogExt, Expected};
use streamio_events::sqlite::SqliteLog;
use streamio_events::stream::StreamId;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::samples::{commit, stream};
use super::sqlite::open;

#[tokio::test]
async fn changes_are_returned_in_the_order_of_appends_with_every_limit() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (open(&folder), open(&folder));
    assert_eq!(one.last_position().await.unwrap(), 0);
    assert_eq!(one.changes_after(0, 10).await.unwrap(), vec![]);
    let mut appended = Vec::new();
    for n in 0..20 {
        let log = if n % 2 == 0 { &one } else { &other };
        let new = commit(&n.to_string(), 1 + n % 3);
        appended.push(log.append(&stream(n % 4), Expected::Any, new.clone()).await.unwrap().commit);
        // Neither a repeated id nor a conflict gets a position.
        assert!(log.append(&stream(n % 4), Expected::Any, new).await.unwrap().repeated);
        log.append(&stream(n % 4), Expected::Exactly(999), commit("refused", 1)).await.unwrap_err();
    }
    for limit in [0, 1, 2, 7, 19, 20, 21, usize::MAX] {
        let mut changes: Vec<(u64, Commit)> = Vec::new();
        loop {
            let after = changes.last().map_or(0, |(position, _)| *position);
            let page = other.changes_after(after, limit).await.unwrap();
            assert!(page.len() <= limit.max(1));
            assert!(page.iter().all(|(position, _)| *position > after));
            if page.is_empty() {
                break;
            }
            changes.extend(page);
        }
        assert!(changes.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(changes.iter().map(|(_, commit)| commit).eq(&appended), "limit {limit}");
        assert_eq!(changes.last().unwrap().0, other.last_position().await.unwrap());
    }
    assert_eq!(one.changes_after(u64::MAX, 10).await.unwrap(), vec![]);
}

/// The property that every consumer relies on: a consumer that stores only its last position misses no commit.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_change_ever_appears_before_a_position_that_was_read() {
    const WRITERS: usize = 4;
    const COMMITS: usize = 60;
    let folder = tempfile::tempdir().unwrap();
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let log = open(&folder);
        writers.spawn(async move {
            let mut appends = JoinSet::new();
            let log = Arc::new(log);
            for n in 0..COMMITS {
                let log = Arc::clone(&log);
                appends.spawn(async move {
                    let new = commit(&format!("{writer}-{n}"), 1);
                    log.append(&stream(n % 5), Expected::Any, new).await.unwrap();
                });
            }
            appends.join_all().await;
        });
    }
    let reader = open(&folder);
    let mut changed = reader.watch();
    let mut changes_read: Vec<(u64, Commit)> = Vec::new();
    loop {
        let all_is_written = writers.is_empty();
        let last = changes_read.last().map_or(0, |(position, _)| *position);
        let page = reader.changes_after(last, 3).await.unwrap();
        if page.is_empty() {
            if all_is_written {
                break;
            }
            tokio::select! {
                changed = changed.changed() => changed.unwrap(),
                Some(ended) = writers.join_next() => ended.unwrap(),
            }
        }
        changes_read.extend(page);
    }
    assert_eq!(changes_read.len(), WRITERS * COMMITS);
    assert_eq!(reader.changes_after(0, usize::MAX).await.unwrap(), changes_read);
    let mut streams: BTreeMap<StreamId, Vec<Commit>> = BTreeMap::new();
    for (_, commit) in changes_read {
        streams.entry(commit.stream.clone()).or_default().push(commit);
    }
    for (stream, commits) in streams {
        assert_eq!(reader.read_to_end(&stream, 1).await.unwrap(), commits);
    }
}

#[tokio::test]
async fn an_append_through_this_handle_notifies_before_it_returns() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(&folder);
    let mut changed = log.clone().watch();
    assert!(!changed.has_changed().unwrap());
    log.append(&stream(0), Expected::Any, commit("a", 2)).await.unwrap();
    assert!(changed.has_changed().unwrap());
    let position = *changed.borrow_and_update();
    assert_eq!(position, log.last_position().await.unwrap());
    assert!(log.append(&stream(0), Expected::Any, commit("a", 2)).await.unwrap().repeated);
    assert!(!changed.has_changed().unwrap(), "nothing was appended");
}

#[tokio::test]
async fn an_append_through_another_handle_notifies_too() {
    let folder = tempfile::tempdir().unwrap();
    let (log, other) = (open(&folder), open(&folder));
    let mut changed = log.watch();
    for n in 0..3 {
        other.append(&stream(n), Expected::Any, commit("a", 1)).await.unwrap();
        let position = other.last_position().await.unwrap();
        // The limit measures nothing: it turns a missing notification into a failure.
        let notification = changed.wait_for(|known| *known >= position);
        timeout(Duration::from_mins(1), notification).await.expect("a notification").unwrap();
    }
}

#[tokio::test]
async fn a_reopened_log_knows_its_last_position() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(&folder);
    for n in 0..5 {
        log.append(&stream(n), Expected::Any, commit("a", 1)).await.unwrap();
    }
    let position = log.last_position().await.unwrap();
    drop(log);
    assert_eq!(*open(&folder).watch().borrow(), position);
}

/// Whatever is appended through which handle: the commits of each project have the places 0, 1, 2, … in the order of their positions. A
/// file of the version without places gets the same ones.
#[tokio::test]
async fn the_commits_of_a_project_have_places_without_gaps() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let (one, other) = (open(&folder), open(&folder));
    let streams: Vec<StreamId> =
        ["project/acme", "webhooks/acme", "project/zebra", "grants/acme/2026010203/1"]
            .map(|name| name.parse().unwrap())
            .into();
    let mut appends = JoinSet::new();
    for n in 0..200 {
        let log = if n % 3 == 0 { one.clone() } else { other.clone() };
        let stream = streams[n * 7 / 5 % streams.len()].clone();
        let new = commit(&n.to_string(), 1 + n % 3);
        appends.spawn(async move { log.append(&stream, Expected::Any, new).await.unwrap() });
    }
    appends.join_all().await;
    assert!(one.append(&streams[0], Expected::Exactly(9999), commit("refused", 1)).await.is_err());
    let check = async |log: &SqliteLog| {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for (_, commit) in log.changes_after(0, 1000).await.unwrap() {
            let count = counts.entry(commit.stream.project_id().to_string()).or_default();
            assert_eq!(log.place_of(&commit.stream, commit.first).await.unwrap(), Some(*count));
            *count += 1;
        }
        assert_eq!((counts.len(), counts.values().sum::<u64>()), (2, 200));
        assert_eq!(log.place_of(&streams[0], 9999).await.unwrap(), None);
    };
    check(&one).await;
    drop((one, other));
    let earlier = "DROP TRIGGER commits_have_the_next_place; ALTER TABLE commits DROP COLUMN place;
        PRAGMA user_version = 1;";
    Connection::open(&path).unwrap().execute_batch(earlier).unwrap();
    let migrated = open(&folder);
    check(&migrated).await;
    migrated.append(&streams[0], Expected::Any, commit("later", 1)).await.unwrap();
    let places = migrated.changes_of_project(&"acme".parse().unwrap(), 0, 1000).await.unwrap().len();
    let last = migrated.head(&streams[0]).await.unwrap().version;
    assert_eq!(migrated.place_of(&streams[0], last).await.unwrap(), Some(places as u64 - 1));
}
