//! Properties of reading one stream.

use super::fixtures::{all_of, commit, pages, stream};
use super::harness::LogHarness;
use crate::commit::{Commit, Head};
use crate::event::RecordedEvent;
use crate::id::CommitId;
use crate::log::{EventLog, Expected};

/// The number of events of each commit of the stream.
const SIZES: [usize; 9] = [1, 3, 1, 1, 5, 2, 1, 4, 1];

async fn append_commits(log: &impl EventLog) -> Vec<Commit> {
    let mut commits = Vec::new();
    for (n, size) in SIZES.into_iter().enumerate() {
        let commit = commit(&n.to_string(), size);
        commits.push(log.append(&stream("a"), Expected::Any, commit).await.unwrap().commit);
        log.append(&stream("b"), Expected::Any, super::fixtures::commit(&n.to_string(), 1)).await.unwrap();
    }
    commits
}

/// A stream without events has a head at version 0 and one empty page. An unknown stream is not an error.
pub async fn a_stream_without_events_reads_as_empty(harness: &impl LogHarness) {
    let log = harness.open().await;
    log.append(&stream("b"), Expected::Any, commit("cause", 1)).await.unwrap();
    assert_eq!(log.head(&stream("a")).await.unwrap(), Head::EMPTY);
    for from in [0, 1, 2, u64::MAX] {
        let page = log.read(&stream("a"), from, 10).await.unwrap();
        assert_eq!((page.commits, page.next), (vec![], None));
    }
}

/// Pages of every size return the same commits, each once, and a correct `next`.
pub async fn every_page_limit_reads_the_same_commits(harness: &impl LogHarness) {
    let log = harness.open().await;
    let commits = append_commits(&log).await;
    for limit in (0..=SIZES.len() + 1).chain([1000, usize::MAX]) {
        assert_eq!(pages(&log, &stream("a"), 1, limit).await, commits, "limit {limit}");
    }
    assert_eq!(all_of(&log, &stream("b")).await.len(), SIZES.len());
}

/// Reading from a version within a commit returns the whole commit; reading beyond the end returns nothing.
pub async fn reading_begins_with_the_commit_that_holds_the_version(harness: &impl LogHarness) {
    let log = harness.open().await;
    let commits = append_commits(&log).await;
    let end = commits.last().unwrap().last();
    for from in (0..=end + 2).chain([1 << 40, u64::MAX]) {
        let expected: Vec<Commit> = commits.iter().filter(|commit| commit.last() >= from).cloned().collect();
        for limit in [1, 2, 100] {
            assert_eq!(pages(&log, &stream("a"), from, limit).await, expected, "from {from}, limit {limit}");
        }
    }
}

/// A commit is found by its id and by the ids of the facts that were merged into it. Each id selects the events of its
/// cause.
pub async fn a_commit_is_found_by_its_id_and_by_those_of_its_facts(harness: &impl LogHarness) {
    let (log, other) = (harness.open().await, harness.open().await);
    let commits = append_commits(&log).await;
    let mut merged = commit("merged", 3);
    for (event, fact) in merged.events.iter_mut().zip(["one", "one", "two"]) {
        event.fact = Some(CommitId::derived_from(&[fact]));
    }
    let merged = log.append(&stream("a"), Expected::Any, merged).await.unwrap().commit;
    // Data that looks like a fact's id must not match.
    let third = CommitId::derived_from(&["three"]);
    let text = format!("\"fact\":\"{third}\"");
    let quoted = super::fixtures::commit_with("quoted", serde_json::json!({ "fact": third, "text": text }));
    log.append(&stream("a"), Expected::Any, quoted).await.unwrap();
    for log in [&log, &other] {
        for commit in &commits {
            assert_eq!(log.find(&stream("a"), &commit.id).await.unwrap().as_ref(), Some(commit));
            assert!(commit.events_of(&commit.id).map(|(_, event)| event).eq(&commit.events));
        }
        for (cause, stated) in [("merged", 0..3), ("one", 0..2), ("two", 2..3)] {
            let id = CommitId::derived_from(&[cause]);
            assert_eq!(log.find(&stream("a"), &id).await.unwrap().as_ref(), Some(&merged), "{cause}");
            let expected: Vec<(u64, &RecordedEvent)> = merged.numbered().collect();
            assert_eq!(merged.events_of(&id).collect::<Vec<_>>(), expected[stated]);
        }
        for (name, id) in [("a", &third), ("b", &merged.id), ("c", &merged.id)] {
            assert_eq!(log.find(&stream(name), id).await.unwrap(), None);
        }
    }
    let ids: Vec<CommitId> = merged.ids().cloned().collect();
    assert_eq!(ids, ["merged", "one", "two"].map(|cause| CommitId::derived_from(&[cause])));
}
