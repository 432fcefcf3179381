//! Properties of concurrent appends.

use std::sync::Arc;

use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::fixtures::{all_of, assert_chained, commit, stream};
use super::harness::LogHarness;
use crate::audit::Verifier;
use crate::log::{AppendError, Appended, EventLog, Expected};

/// Number of concurrent tasks.
const RACERS: usize = 8;

/// Appends concurrently through each of `logs`, one task per handle. `cause_of` gives the cause of each task.
async fn race<B: LogHarness>(
    logs: &[Arc<B::Log>],
    name: &str,
    expected: Expected,
    cause_of: impl Fn(usize) -> String,
) -> Vec<Result<Appended, AppendError>> {
    let start = Arc::new(Barrier::new(RACERS));
    let mut racers = JoinSet::new();
    for (racer, log) in logs.iter().enumerate() {
        let (log, start, cause, stream) =
            (Arc::clone(log), Arc::clone(&start), cause_of(racer), stream(name));
        racers.spawn(async move {
            start.wait().await;
            log.append(&stream, expected, commit(&cause, 1 + racer % 3)).await
        });
    }
    racers.join_all().await
}

async fn handles<B: LogHarness>(harness: &B) -> Vec<Arc<B::Log>> {
    let mut logs = Vec::new();
    for _ in 0..RACERS {
        logs.push(Arc::new(harness.open().await));
    }
    logs
}

/// Of eight appends that expect the same version one succeeds, and seven conflict with it.
pub async fn exactly_one_of_racing_decisions_succeeds<B: LogHarness>(harness: &B) {
    let logs = handles(harness).await;
    let mut version = 0;
    for round in 0..12 {
        let results =
            race::<B>(&logs, "a", Expected::Exactly(version), |racer| format!("{round}-{racer}")).await;
        let mut won = Vec::new();
        for result in results {
            match result {
                Ok(appended) => won.push(appended),
                Err(AppendError::Conflict { expected, actual, .. }) => {
                    assert_eq!(expected, version);
                    assert!((version + 1..=version + 3).contains(&actual));
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(won.len(), 1, "round {round}");
        assert!(!won[0].repeated);
        assert_eq!(won[0].commit.first, version + 1);
        version = won[0].commit.last();
        assert_eq!(logs[round % RACERS].head(&stream("a")).await.unwrap(), won[0].commit.head());
    }
    assert_chained(&stream("a"), &all_of(&*logs[0], &stream("a")).await);
}

/// Appends without an expectation all succeed, one after another.
pub async fn racing_facts_are_all_kept<B: LogHarness>(harness: &B) {
    let logs = handles(harness).await;
    let mut acknowledged = Vec::new();
    for round in 0..8 {
        for result in race::<B>(&logs, "a", Expected::Any, |racer| format!("{round}-{racer}")).await {
            let appended = result.unwrap();
            assert!(!appended.repeated);
            acknowledged.push(appended.commit);
        }
    }
    acknowledged.sort_by_key(|commit| commit.first);
    let commits = all_of(&*logs[0], &stream("a")).await;
    assert_chained(&stream("a"), &commits);
    assert_eq!(commits, acknowledged);
}

/// Eight concurrent retries of one commit append it once. All return the same commit, and exactly one as newly
/// appended.
pub async fn racing_retries_append_once<B: LogHarness>(harness: &B) {
    let logs = handles(harness).await;
    for (round, expected) in
        [Expected::Exactly(0), Expected::Any, Expected::Exactly(0)].into_iter().enumerate()
    {
        let name = format!("stream-{round}");
        let results = race::<B>(&logs, &name, expected, |_| "cause".to_owned()).await;
        let results: Vec<Appended> = results.into_iter().map(Result::unwrap).collect();
        assert_eq!(results.iter().filter(|appended| !appended.repeated).count(), 1);
        let commits = all_of(&*logs[0], &stream(&name)).await;
        assert_eq!(commits.len(), 1);
        assert!(results.iter().all(|appended| appended.commit == commits[0]));
    }
}

/// A reader that is concurrent with writers sees a state that the stream once had: whole commits, chained, without gaps, and
/// never fewer than it saw before.
pub async fn readers_during_writes_see_whole_commits_in_order<B: LogHarness>(harness: &B) {
    let stream = stream("a");
    let mut writers = JoinSet::new();
    for writer in 0..4 {
        let (log, stream) = (harness.open().await, stream.clone());
        writers.spawn(async move {
            for n in 0..25 {
                log.append(&stream, Expected::Any, commit(&format!("{writer}-{n}"), 1 + n % 4))
                    .await
                    .unwrap();
            }
        });
    }
    let log = harness.open().await;
    let mut verifier = Verifier::new(stream.clone(), None);
    let (mut read_count, mut version) = (0, 0);
    loop {
        while let Some(ended) = writers.try_join_next() {
            ended.unwrap();
        }
        let all_is_written = writers.is_empty();
        let head = log.head(&stream).await.unwrap();
        assert!(head.version >= version, "the head went back from {version} to {}", head.version);
        let page = log.read(&stream, version + 1, 7).await.unwrap();
        for commit in &page.commits {
            verifier.follow(commit).unwrap_or_else(|finding| panic!("{finding}"));
            version = commit.last();
        }
        read_count += page.commits.len();
        if head.version > version {
            assert!(
                page.next.is_some(),
                "the stream is longer than what was read, but the page has no `next`"
            );
        }
        if all_is_written && page.next.is_none() {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(read_count, 100);
}
