//! Handles that use the same file concurrently.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Barrier};
use std::thread;

use rusqlite::{Connection, TransactionBehavior};
use streamio_events::log::{EventLog, EventLogExt, Expected};
use streamio_events::sqlite::SqliteLog;
use tokio::task::JoinSet;

use super::samples::{commit, stream};
use super::sqlite::open;

#[test]
fn several_processes_may_create_a_log_concurrently() {
    for _ in 0..25 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.db");
        let start = Barrier::new(8);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    SqliteLog::open(&path).unwrap()
                });
            }
        });
    }
}

/// Counts the transactions in a write-ahead log: frames that state the size of the database after them.
/// <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>
fn transactions(wal: &Path) -> usize {
    let bytes = fs::read(wal).unwrap();
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    let page_size = number(8) as usize;
    (32..bytes.len()).step_by(24 + page_size).filter(|frame| number(frame + 4) != 0).count()
}

#[tokio::test(flavor = "current_thread")]
async fn appends_that_wait_together_are_committed_together() {
    const APPENDS: usize = 40;
    let folder = tempfile::tempdir().unwrap();
    let wal = folder.path().join("log.db-wal");
    let log = Arc::new(open(&folder));
    log.append(&stream(0), Expected::Any, commit("first", 1)).await.unwrap();
    let before = transactions(&wal);

    let mut other = Connection::open(folder.path().join("log.db")).unwrap();
    let lock = other.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    let mut appends = JoinSet::new();
    for n in 0..APPENDS {
        let log = Arc::clone(&log);
        appends.spawn(async move { log.append(&stream(0), Expected::Any, commit(&n.to_string(), 1)).await });
    }
    // On this single thread all appends are polled, and so wait for the writer, before this task continues (after at
    // most 61 others, the default `event_interval`).
    tokio::task::yield_now().await;
    assert_eq!(
        appends.try_join_next().map(|_| ()),
        None,
        "no append returns while another process has the lock"
    );
    lock.rollback().unwrap();
    for result in appends.join_all().await {
        assert!(!result.unwrap().repeated);
    }

    // The first group is what the writer took before the other appends were queued.
    let groups = transactions(&wal) - before;
    assert!((1..=2).contains(&groups), "{groups} transactions for {APPENDS} appends");
    assert_eq!(log.head(&stream(0)).await.unwrap().version, APPENDS as u64 + 1);
}

#[tokio::test]
async fn reads_do_not_wait_for_a_writer() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(&folder);
    log.append(&stream(0), Expected::Any, commit("a", 1)).await.unwrap();
    let mut other = Connection::open(folder.path().join("log.db")).unwrap();
    let lock = other.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    assert_eq!(log.read_to_end(&stream(0), 1).await.unwrap().len(), 1);
    assert_eq!(log.changes_after(0, 10).await.unwrap().len(), 1);
    lock.rollback().unwrap();
}

#[tokio::test]
async fn a_queued_append_is_written_although_its_caller_stopped_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(&folder);
    let mut other = Connection::open(folder.path().join("log.db")).unwrap();
    let lock = other.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    let append = tokio::spawn({
        let log = log.clone();
        async move { log.append(&stream(0), Expected::Any, commit("a", 1)).await }
    });
    tokio::task::yield_now().await;
    append.abort();
    assert!(append.await.unwrap_err().is_cancelled());
    lock.rollback().unwrap();
    // Dropping the last handle lets the writer finish.
    drop(log);
    let retry = open(&folder).append(&stream(0), Expected::Exactly(0), commit("a", 1)).await.unwrap();
    assert!(retry.repeated);
}

#[tokio::test]
async fn only_the_log_file_remains_after_the_last_handle_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(&folder);
    let clone = log.clone();
    log.append(&stream(0), Expected::Any, commit("a", 1)).await.unwrap();
    log.read_to_end(&stream(0), 1).await.unwrap();
    drop(log);
    clone.append(&stream(0), Expected::Any, commit("b", 1)).await.unwrap();
    drop(clone);
    let names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["log.db"]);
}
