use serde_json::{Value, json};

use crate::commit::{Commit, NewCommit};
use crate::event::RecordedEvent;
use crate::id::{CommitId, VideoId};
use crate::log::{EventLog, EventLogExt};
use crate::stream::StreamId;
use crate::timestamp::Timestamp;

/// The stream of a video named `name`.
pub(super) fn stream(name: &str) -> StreamId {
    stream_of("contract", name)
}

pub(super) fn stream_of(project: &str, name: &str) -> StreamId {
    let key = format!("projects/{project}/{name}").parse().expect("test names are object keys");
    StreamId::Video(project.parse().expect("test names are project ids"), VideoId::of(&key))
}

pub(super) fn at() -> Timestamp {
    Timestamp::from_unix_millis(1_767_323_045_678)
}

pub(super) fn event(data: Value) -> RecordedEvent {
    RecordedEvent { kind: "test.noted".to_owned(), version: 1, at: at(), data, fact: None }
}

/// A commit with the id of `cause` and that many events.
pub(super) fn commit(cause: &str, events: usize) -> NewCommit {
    let events = (0..events).map(|n| event(json!({ "cause": cause, "n": n }))).collect();
    NewCommit { id: CommitId::derived_from(&[cause]), events, recorded_at: at() }
}

pub(super) fn commit_with(cause: &str, data: Value) -> NewCommit {
    NewCommit { id: CommitId::derived_from(&[cause]), events: vec![event(data)], recorded_at: at() }
}

pub(super) async fn all_of(log: &impl EventLog, stream: &StreamId) -> Vec<Commit> {
    log.read_to_end(stream, 1).await.expect("the stream can be read")
}

/// Reads page by page with `limit`, and checks the contract of pages.
pub(super) async fn pages(log: &impl EventLog, stream: &StreamId, from: u64, limit: usize) -> Vec<Commit> {
    let mut commits: Vec<Commit> = Vec::new();
    let mut next = Some(from);
    while let Some(version) = next {
        let page = log.read(stream, version, limit).await.expect("the stream can be read");
        assert!(page.commits.len() <= limit.max(1), "a page of {} for limit {limit}", page.commits.len());
        if let Some(version) = page.next {
            let last = page.commits.last().expect("a page that is not the last has commits").last();
            assert_eq!(version, last + 1, "the next page follows");
        }
        commits.extend(page.commits);
        next = page.next;
    }
    commits
}

/// Asserts that `commits` are a stream from its beginning: versions from 1 without gaps, chained by hash.
pub(super) fn assert_chained(stream: &StreamId, commits: &[Commit]) {
    if let Err(finding) = crate::audit::verify(stream, commits, None) {
        panic!("{finding}");
    }
}
