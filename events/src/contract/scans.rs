//! Properties of scanning the whole log.

use std::collections::{BTreeMap, BTreeSet};

use tokio::task::JoinSet;

use super::fixtures::{all_of, assert_chained, commit, stream};
use super::harness::LogHarness;
use crate::commit::Commit;
use crate::log::{EventLog, Expected, Part, ReadError};
use crate::stream::StreamId;

const STREAMS: usize = 24;

async fn append_streams(log: &impl EventLog) -> BTreeMap<StreamId, Vec<Commit>> {
    let mut streams: BTreeMap<StreamId, Vec<Commit>> = BTreeMap::new();
    for n in 0..STREAMS * 3 {
        let stream = stream(&format!("s{}", n % STREAMS));
        let appended = log.append(&stream, Expected::Any, commit(&n.to_string(), 1 + n % 4)).await.unwrap();
        streams.entry(stream).or_default().push(appended.commit);
    }
    streams
}

async fn scanned(log: &impl EventLog, part: Part, limit: usize) -> Vec<Commit> {
    let mut commits = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = log.scan(part, cursor.as_deref(), limit).await.expect("the log can be scanned");
        assert!(page.commits.len() <= limit.max(1), "a page of {} for limit {limit}", page.commits.len());
        commits.extend(page.commits);
        cursor = page.next;
        if cursor.is_none() {
            return commits;
        }
    }
}

fn by_stream(commits: Vec<Commit>) -> BTreeMap<StreamId, Vec<Commit>> {
    let mut streams: BTreeMap<StreamId, Vec<Commit>> = BTreeMap::new();
    for commit in commits {
        streams.entry(commit.stream.clone()).or_default().push(commit);
    }
    streams
}

/// Pages of every size return all commits, each once, those of one stream in order.
pub async fn every_page_limit_scans_the_same_commits(harness: &impl LogHarness) {
    let log = harness.open().await;
    assert_eq!(scanned(&log, Part::WHOLE, 10).await, vec![]);
    let streams = append_streams(&log).await;
    for limit in [0, 1, 2, 5, 7, STREAMS * 3 - 1, STREAMS * 3, STREAMS * 3 + 1, usize::MAX] {
        assert_eq!(by_stream(scanned(&log, Part::WHOLE, limit).await), streams, "limit {limit}");
    }
}

/// Each stream is in exactly one part, completely.
pub async fn parts_are_disjoint_and_complete(harness: &impl LogHarness) {
    let log = harness.open().await;
    let streams = append_streams(&log).await;
    for of in [1, 2, 3, 7, 16, 100, u32::MAX] {
        let mut seen = BTreeSet::new();
        let mut together = BTreeMap::new();
        // Of very many parts, read only those that hold a stream in adapters that use `Part::slot`.
        let indices: BTreeSet<u32> = if of > 100 {
            streams.keys().map(|stream| Part::slot(stream) % of).collect()
        } else {
            (0..of).collect()
        };
        for index in indices {
            let part = by_stream(scanned(&log, Part::new(index, of).unwrap(), 3).await);
            for (stream, commits) in part {
                assert!(seen.insert(stream.clone()), "{stream} is in two of {of} parts");
                together.insert(stream, commits);
            }
        }
        assert_eq!(together, streams, "{of} parts");
    }
}

/// Commits that were stored when the scan began are returned exactly once, independent of concurrent appends.
pub async fn a_scan_during_appends_returns_earlier_commits_exactly_once<B: LogHarness>(harness: &B) {
    let log = harness.open().await;
    let before = append_streams(&log).await;
    let mut writers = JoinSet::new();
    for writer in 0..3 {
        let other = harness.open().await;
        writers.spawn(async move {
            for n in 0..20 {
                let stream = stream(&format!("s{}", n % (STREAMS + 4)));
                other.append(&stream, Expected::Any, commit(&format!("{writer}+{n}"), 1)).await.unwrap();
            }
        });
    }
    for _ in 0..3 {
        let after = by_stream(scanned(&log, Part::WHOLE, 4).await);
        for (stream, commits) in &after {
            assert_chained(stream, commits);
        }
        for (stream, commits) in &before {
            assert_eq!(&after[stream][..commits.len()], commits);
        }
    }
    writers.join_all().await;
    let whole = by_stream(scanned(&log, Part::WHOLE, 9).await);
    for (stream, commits) in &whole {
        assert_eq!(&all_of(&log, stream).await, commits);
    }
    assert_eq!(whole.values().map(Vec::len).sum::<usize>(), STREAMS * 3 + 60);
}

/// An invalid cursor is an error that repeats it, never a page.
pub async fn an_invalid_cursor_is_refused(harness: &impl LogHarness) {
    let log = harness.open().await;
    log.append(&stream("a"), Expected::Any, commit("cause", 1)).await.unwrap();
    for cursor in ["", " ", "not a cursor", "-1", "\u{0}", "18446744073709551616", "1e3"] {
        match log.scan(Part::WHOLE, Some(cursor), 10).await {
            Err(ReadError::InvalidCursor(refused)) => assert_eq!(refused, cursor),
            other => panic!("{cursor:?} returned {other:?}"),
        }
    }
}
