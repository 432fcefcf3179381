//! Clients that retry through every kind of fault, which the idempotence of the contract allows.

use proptest::prelude::*;
use serde_json::json;
use streamio_events::audit;
use streamio_events::commit::NewCommit;
use streamio_events::contract::LogHarness;
use streamio_events::event::RecordedEvent;
use streamio_events::fault::{Fault, FaultyLog};
use streamio_events::id::CommitId;
use streamio_events::log::{AppendError, EventLog, EventLogExt, Expected};
use streamio_events::memory::MemoryLog;
use streamio_events::retryable::Retryable as _;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

fn stream() -> StreamId {
    "project/acme".parse().unwrap()
}

fn commit(cause: &str) -> NewCommit {
    let at = Timestamp::from_unix_seconds(1_767_323_045);
    let event = RecordedEvent {
        kind: "test.noted".to_owned(),
        version: 1,
        at,
        data: json!({ "cause": cause }),
        fact: None,
    };
    NewCommit { id: CommitId::derived_from(&[cause]), events: vec![event], recorded_at: at }
}

mod without_faults {
    use super::*;

    struct Harness(MemoryLog);

    impl LogHarness for Harness {
        type Log = FaultyLog<MemoryLog>;

        async fn open(&self) -> Self::Log {
            FaultyLog::scripted(self.0.clone(), [])
        }
    }

    streamio_events::event_log_contract!(Harness(MemoryLog::new()));
}

#[tokio::test]
async fn a_call_that_never_arrived_may_be_retried() {
    let log = FaultyLog::scripted(MemoryLog::new(), [Fault::Before]);
    let error = log.append(&stream(), Expected::Exactly(0), commit("a")).await.unwrap_err();
    assert!(error.is_retryable());
    assert_eq!(log.inner().last_position().await.unwrap(), 0);
    assert!(!log.append(&stream(), Expected::Exactly(0), commit("a")).await.unwrap().repeated);
    assert_eq!(log.injected(), 1);
}

#[tokio::test]
async fn a_retry_after_a_lost_response_finds_its_own_commit() {
    let log = FaultyLog::scripted(MemoryLog::new(), [Fault::After]);
    assert!(log.append(&stream(), Expected::Exactly(0), commit("a")).await.unwrap_err().is_retryable());
    assert_eq!(log.inner().last_position().await.unwrap(), 1);
    // The stream has grown meanwhile: the expectation is stale, but the commit is found.
    log.append(&stream(), Expected::Exactly(1), commit("b")).await.unwrap();
    let retry = log.append(&stream(), Expected::Exactly(0), commit("a")).await.unwrap();
    assert!(retry.repeated);
    assert_eq!(retry.commit.first, 1);
    assert_eq!(log.head(&stream()).await.unwrap().version, 2);
}

#[tokio::test]
async fn a_rival_append_makes_decisions_conflict_but_not_facts() {
    let faults = [Fault::Race, Fault::Race, Fault::RaceWith(commit("rival"))];
    let log = FaultyLog::scripted(MemoryLog::new(), faults);
    let error = log.append(&stream(), Expected::Exactly(0), commit("a")).await.unwrap_err();
    assert!(matches!(error, AppendError::Conflict { expected: 0, actual: 1, .. }), "{error}");
    let fact = log.append(&stream(), Expected::Any, commit("b")).await.unwrap();
    assert_eq!(fact.commit.first, 3);
    log.append(&stream(), Expected::Exactly(3), commit("c")).await.unwrap_err();
    let commits = log.read_to_end(&stream(), 1).await.unwrap();
    assert_eq!(commits.last().unwrap().id, commit("rival").id);
    audit::verify(&stream(), &commits, None).unwrap();
}

#[tokio::test]
async fn reads_fail_as_planned_and_then_succeed() {
    let log = FaultyLog::scripted(MemoryLog::new(), []);
    log.plan_reads([Fault::Before, Fault::None, Fault::After]);
    assert!(log.head(&stream()).await.unwrap_err().is_retryable());
    log.head(&stream()).await.unwrap();
    assert!(log.read_to_end(&stream(), 1).await.unwrap_err().is_retryable());
    log.scan_to_end().await.unwrap();
    assert_eq!(log.injected(), 2);
}

/// Reads, appends at the version that was read, and starts over after any failure, always with the same id.
async fn append_until_accepted(log: &impl EventLog, cause: &str) {
    loop {
        let Ok(head) = log.head(&stream()).await else { continue };
        match log.append(&stream(), Expected::Exactly(head.version), commit(cause)).await {
            Ok(_) => return,
            Err(AppendError::Conflict { .. } | AppendError::Unavailable(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

async fn history(seed: u64, rate: u8, causes: usize) -> (Vec<CommitId>, u64) {
    let log = FaultyLog::seeded(MemoryLog::new(), seed, rate);
    for cause in 0..causes {
        append_until_accepted(&log, &cause.to_string()).await;
    }
    let commits = log.inner().read_to_end(&stream(), 1).await.unwrap();
    audit::verify(&stream(), &commits, None).unwrap();
    (commits.into_iter().map(|commit| commit.id).collect(), log.injected())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

proptest! {
    #[test]
    fn every_retried_commit_is_stored_once_and_in_order(seed: u64, rate in 0u8..=160, causes in 1usize..20) {
        let (ids, injected) = runtime().block_on(history(seed, rate, causes));
        let own: Vec<CommitId> = (0..causes).map(|cause| commit(&cause.to_string()).id).collect();
        let stored: Vec<CommitId> = ids.into_iter().filter(|id| own.contains(id)).collect();
        prop_assert_eq!(stored, own);
        prop_assert!(rate > 0 || injected == 0);
    }

    #[test]
    fn the_same_seed_meets_the_same_faults(seed: u64) {
        let first = runtime().block_on(history(seed, 128, 12));
        prop_assert_eq!(&first, &runtime().block_on(history(seed, 128, 12)));
        prop_assert!(first.1 > 0);
    }
}
