//! Compares the log with a small model: any interleaving of calls gives the same results and the same content.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::fixtures::{commit, stream_of};
use super::harness::LogHarness;
use crate::commit::{Commit, CommitHash, Head, NewCommit};
use crate::log::{AppendError, Appended, EventLog, EventLogExt, Expected};
use crate::stream::StreamId;

/// Interleavings to test.
const CASES: u32 = 48;
/// Streams, handles and causes in one interleaving. Few, so that calls collide.
const STREAMS: usize = 3;
const HANDLES: usize = 3;
const CAUSES: usize = 10;

/// One call on a handle.
#[derive(Debug, Clone)]
enum Step {
    Append { stream: usize, cause: usize, events: usize, expect: Expect },
    Head { stream: usize },
    Read { stream: usize, from: u64, limit: usize },
}

/// What an append expects, relative to the stream's actual version.
#[derive(Debug, Clone, Copy)]
pub(super) enum Expect {
    Any,
    Current,
    Off(i64),
}

impl Expect {
    pub(super) fn at(self, version: u64) -> Expected {
        match self {
            Self::Any => Expected::Any,
            Self::Current => Expected::Exactly(version),
            Self::Off(by) => Expected::Exactly(version.saturating_add_signed(by)),
        }
    }
}

pub(super) fn expect() -> impl Strategy<Value = Expect> {
    prop_oneof![Just(Expect::Any), Just(Expect::Current), (-3i64..=3).prop_map(Expect::Off)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0..STREAMS, 0..CAUSES, 0..4usize, expect())
            .prop_map(|(stream, cause, events, expect)| Step::Append { stream, cause, events, expect }),
        1 => (0..STREAMS).prop_map(|stream| Step::Head { stream }),
        2 => (0..STREAMS, 0..24u64, 1..6usize)
            .prop_map(|(stream, from, limit)| Step::Read { stream, from, limit }),
    ]
}

/// The contract of one stream as a simple model.
#[derive(Debug, Default)]
struct ModelStream {
    commits: Vec<Commit>,
    ids: HashSet<String>,
}

#[derive(Debug, PartialEq)]
enum Outcome {
    Appended(Appended),
    Conflict { expected: u64, actual: u64 },
    Invalid,
}

impl ModelStream {
    fn version(&self) -> u64 {
        self.commits.iter().map(|commit| commit.events.len() as u64).sum()
    }

    fn append(&mut self, stream: &StreamId, expected: Expected, new: NewCommit) -> Outcome {
        if new.events.is_empty() {
            return Outcome::Invalid;
        }
        if self.ids.contains(new.id.as_str()) {
            let there = self.commits.iter().find(|commit| commit.id == new.id);
            return Outcome::Appended(Appended { commit: there.cloned().unwrap(), repeated: true });
        }
        let actual = self.version();
        match expected {
            Expected::Exactly(expected) if expected != actual => {
                return Outcome::Conflict { expected, actual };
            }
            _ => {}
        }
        let mut commit = Commit {
            stream: stream.clone(),
            first: actual + 1,
            id: new.id,
            events: new.events,
            recorded_at: new.recorded_at,
            prev_hash: self.commits.last().map_or(CommitHash::GENESIS, |before| before.hash),
            hash: CommitHash::GENESIS,
        };
        commit.hash = commit.computed_hash();
        self.ids.insert(commit.id.to_string());
        self.commits.push(commit.clone());
        Outcome::Appended(Appended { commit, repeated: false })
    }
}

fn outcome_of(result: Result<Appended, AppendError>) -> Outcome {
    match result {
        Ok(appended) => Outcome::Appended(appended),
        Err(AppendError::Conflict { expected, actual, .. }) => Outcome::Conflict { expected, actual },
        Err(AppendError::Invalid { .. }) => Outcome::Invalid,
        Err(error) => panic!("{error}"),
    }
}

/// Returns a project id that no other case of this process uses: cases share one log and must not see one another's
/// streams.
pub(super) fn fresh_project() -> String {
    static CASE: AtomicU32 = AtomicU32::new(0);
    format!("case-{}", CASE.fetch_add(1, Ordering::Relaxed))
}

pub(super) fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

pub(super) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .expect("a runtime can be built")
}

/// Any sequence of appends (valid, stale, repeated, empty) and reads, on several streams through several handles,
/// returns what the model returns and leaves the same content.
pub fn any_interleaving_of_calls_matches_the_model<B: LogHarness>(harness: &B) {
    let runtime = runtime();
    let logs: Vec<B::Log> =
        runtime.block_on(async { vec![harness.open().await, harness.open().await, harness.open().await] });
    assert_eq!(logs.len(), HANDLES);
    let outcome = runner(CASES).run(&vec((0..HANDLES, step()), 1..60), |steps| {
        runtime.block_on(replay(&logs, steps));
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

async fn replay(logs: &[impl EventLog], steps: Vec<(usize, Step)>) {
    let project = fresh_project();
    let names: Vec<StreamId> = (0..STREAMS).map(|n| stream_of(&project, &n.to_string())).collect();
    let mut model: Vec<ModelStream> = (0..STREAMS).map(|_| ModelStream::default()).collect();
    for (handle, step) in steps {
        let log = &logs[handle];
        match step {
            Step::Append { stream, cause, events, expect } => {
                let expected = expect.at(model[stream].version());
                let new = commit(&cause.to_string(), events);
                let from_log = outcome_of(log.append(&names[stream], expected, new.clone()).await);
                assert_eq!(from_log, model[stream].append(&names[stream], expected, new));
            }
            Step::Head { stream } => {
                let head = log.head(&names[stream]).await.unwrap();
                assert_eq!(head, model[stream].commits.last().map_or(Head::EMPTY, Commit::head));
            }
            Step::Read { stream, from, limit } => {
                let page = log.read(&names[stream], from, limit).await.unwrap();
                let rest: Vec<&Commit> =
                    model[stream].commits.iter().filter(|it| it.last() >= from).collect();
                assert!(page.commits.iter().eq(rest.iter().take(page.commits.len()).copied()));
                assert!(page.commits.len() <= limit);
                // These commits are small: no adapter has a reason to return fewer than the limit.
                assert_eq!(page.commits.len(), rest.len().min(limit));
                assert_eq!(page.next, rest.get(page.commits.len()).map(|commit| commit.first));
            }
        }
    }
    for (name, expected) in names.iter().zip(&model) {
        for log in logs {
            assert_eq!(log.read_to_end(name, 1).await.unwrap(), expected.commits);
        }
    }
    let whole = logs[0].scan_to_end().await.unwrap();
    for (name, expected) in names.iter().zip(&model) {
        assert!(whole.iter().filter(|commit| commit.stream == *name).eq(&expected.commits));
    }
}
