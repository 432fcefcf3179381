//! Laws of appends at the same time.

use std::sync::Arc;

use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::TestBed;
use super::given::{all_of, assert_chained, commit, stream};
use crate::audit::Verifier;
use crate::log::{AppendError, Appended, EventLog, Expected};

/// How many race.
const RACERS: usize = 8;

/// Lets eight tasks append at once, with handles of their own, what `commit_of` and `expected` say.
async fn race<B: TestBed>(
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

async fn handles<B: TestBed>(bed: &B) -> Vec<Arc<B::Log>> {
    let mut logs = Vec::new();
    for _ in 0..RACERS {
        logs.push(Arc::new(bed.open().await));
    }
    logs
}

/// Of eight appends that expect the same version one succeeds, and seven conflict with what it made.
pub async fn of_racing_decisions_exactly_one_wins<B: TestBed>(bed: &B) {
    let logs = handles(bed).await;
    let mut version = 0;
    for round in 0..12 {
        let answers =
            race::<B>(&logs, "a", Expected::Exactly(version), |racer| format!("{round}-{racer}")).await;
        let mut won = Vec::new();
        for answer in answers {
            match answer {
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

/// Appends that expect nothing all succeed, one after another.
pub async fn racing_facts_are_all_kept<B: TestBed>(bed: &B) {
    let logs = handles(bed).await;
    let mut acknowledged = Vec::new();
    for round in 0..8 {
        for answer in race::<B>(&logs, "a", Expected::Any, |racer| format!("{round}-{racer}")).await {
            let appended = answer.unwrap();
            assert!(!appended.repeated);
            acknowledged.push(appended.commit);
        }
    }
    acknowledged.sort_by_key(|commit| commit.first);
    let commits = all_of(&*logs[0], &stream("a")).await;
    assert_chained(&stream("a"), &commits);
    assert_eq!(commits, acknowledged);
}

/// Eight retries of one commit append it once, and all get the same answer but for one that made it.
pub async fn racing_retries_append_once<B: TestBed>(bed: &B) {
    let logs = handles(bed).await;
    for (round, expected) in
        [Expected::Exactly(0), Expected::Any, Expected::Exactly(0)].into_iter().enumerate()
    {
        let name = format!("stream-{round}");
        let answers = race::<B>(&logs, &name, expected, |_| "cause".to_owned()).await;
        let answers: Vec<Appended> = answers.into_iter().map(Result::unwrap).collect();
        assert_eq!(answers.iter().filter(|appended| !appended.repeated).count(), 1);
        let commits = all_of(&*logs[0], &stream(&name)).await;
        assert_eq!(commits.len(), 1);
        assert!(answers.iter().all(|appended| appended.commit == commits[0]));
    }
}

/// Whoever reads while others append sees a stream that was there at some time: whole commits, chained, without gaps,
/// and never less than was seen before.
pub async fn readers_beside_writers_see_whole_commits_in_order<B: TestBed>(bed: &B) {
    let stream = stream("a");
    let mut writers = JoinSet::new();
    for writer in 0..4 {
        let (log, stream) = (bed.open().await, stream.clone());
        writers.spawn(async move {
            for n in 0..25 {
                log.append(&stream, Expected::Any, commit(&format!("{writer}-{n}"), 1 + n % 4))
                    .await
                    .unwrap();
            }
        });
    }
    let log = bed.open().await;
    let mut verifier = Verifier::new(stream.clone(), None);
    let (mut seen, mut version) = (0, 0);
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
        seen += page.commits.len();
        if head.version > version {
            assert!(
                page.next.is_some(),
                "the stream is longer than what was read, but it is said to end here"
            );
        }
        if all_is_written && page.next.is_none() {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(seen, 100);
}
