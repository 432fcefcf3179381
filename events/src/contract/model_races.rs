//! Properties of a log after any race: its content agrees with every result that it returned.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use tokio::task::JoinSet;

use super::fixtures::{assert_chained, commit, stream_of};
use super::harness::LogHarness;
use super::model::{Expect, expect, fresh_project, runner, runtime};
use crate::commit::{Commit, NewCommit};
use crate::log::{AppendError, Appended, EventLog, EventLogExt, Expected};
use crate::stream::StreamId;

const CASES: u32 = 24;
const STREAMS: usize = 2;
const TASKS: usize = 4;
const CAUSES: usize = 12;

/// An append by a racing task, whose expectation is relative to the head that it reads just before.
#[derive(Debug, Clone)]
struct Racing {
    stream: usize,
    cause: usize,
    events: usize,
    expect: Expect,
}

fn racing() -> impl Strategy<Value = Racing> {
    (0..STREAMS, 0..CAUSES, 1..4usize, expect()).prop_map(|(stream, cause, events, expect)| Racing {
        stream,
        cause,
        events,
        expect,
    })
}

#[derive(Debug)]
struct Attempt {
    stream: StreamId,
    expected: Expected,
    new: NewCommit,
    result: Result<Appended, AppendError>,
}

/// Tasks with separate handles append concurrently. Afterwards each acknowledged commit is stored once and as it was
/// returned, nothing else is stored, and each conflict names a version that the stream had.
pub fn after_any_race_the_log_agrees_with_its_results<B: LogHarness>(harness: &B) {
    let runtime = runtime();
    let logs: Vec<Arc<B::Log>> = runtime.block_on(async {
        let mut logs = Vec::new();
        for _ in 0..TASKS {
            logs.push(Arc::new(harness.open().await));
        }
        logs
    });
    let outcome = runner(CASES).run(&vec(vec(racing(), 0..16), TASKS), |plans| {
        runtime.block_on(async {
            let project = fresh_project();
            let attempts = race(&logs, &project, plans).await;
            check(&*logs[0], &project, &attempts).await;
        });
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

async fn race<L: EventLog + 'static>(
    logs: &[Arc<L>],
    project: &str,
    plans: Vec<Vec<Racing>>,
) -> Vec<Attempt> {
    let mut tasks = JoinSet::new();
    for (log, plan) in logs.iter().zip(plans) {
        let (log, project) = (Arc::clone(log), project.to_owned());
        tasks.spawn(async move {
            let mut attempts = Vec::new();
            for Racing { stream, cause, events, expect } in plan {
                let stream = stream_of(&project, &stream.to_string());
                let expected = expect.at(log.head(&stream).await.unwrap().version);
                let new = commit(&cause.to_string(), events);
                let result = log.append(&stream, expected, new.clone()).await;
                attempts.push(Attempt { stream, expected, new, result });
            }
            attempts
        });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}

async fn check(log: &impl EventLog, project: &str, attempts: &[Attempt]) {
    let mut streams: BTreeMap<StreamId, Vec<Commit>> = BTreeMap::new();
    for n in 0..STREAMS {
        let stream = stream_of(project, &n.to_string());
        let commits = log.read_to_end(&stream, 1).await.unwrap();
        assert_chained(&stream, &commits);
        streams.insert(stream, commits);
    }
    let mut made: HashMap<(&StreamId, &str), u32> = HashMap::new();
    for Attempt { stream, expected, new, result } in attempts {
        let commits = &streams[stream];
        match result {
            Ok(Appended { commit, repeated }) => {
                assert_eq!(commit.id, new.id);
                assert_eq!(
                    commits.iter().filter(|there| there.id == new.id).count(),
                    1,
                    "an id is used once"
                );
                assert!(commits.contains(commit), "an acknowledged commit is stored as it was returned");
                if !repeated {
                    assert_eq!(commit.events, new.events);
                    *made.entry((stream, new.id.as_str())).or_default() += 1;
                    if let Expected::Exactly(version) = expected {
                        assert_eq!(commit.first, version + 1);
                    }
                }
            }
            Err(AppendError::Conflict { expected: reported, actual, .. }) => {
                assert_eq!(Expected::Exactly(*reported), *expected);
                assert_ne!(reported, actual);
                assert!(*actual == 0 || commits.iter().any(|commit| commit.last() == *actual));
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(made.values().all(|times| *times == 1), "exactly one append made each commit");
    assert_eq!(
        made.len(),
        streams.values().map(Vec::len).sum::<usize>(),
        "nothing is stored that was not appended"
    );
}
