//! Tests of the intake: each fact is in the log exactly once, although deliveries repeat, fail and race.

mod dead_letters;
mod deliveries;
mod fixtures;
mod volume;

use std::sync::Arc;

use futures::executor::block_on;
use serde_json::json;
use streamio_core::intake::{FactOutcome, Intake, RecordFactsError};
use streamio_events::commit::{Commit, MAX_COMMIT_BYTES, NewCommit};
use streamio_events::event::RecordedEvent;
use streamio_events::fact::Fact;
use streamio_events::fault::{Fault, FaultyLog};
use streamio_events::id::CommitId;
use streamio_events::log::{AppendError, EventLog as _, EventLogExt as _};
use streamio_events::memory::MemoryLog;
use streamio_events::timestamp::Timestamp;

use crate::fixtures::{at, fact, stream};

fn record_all(intake: &Intake, facts: &[Fact]) -> (Vec<FactOutcome>, Option<RecordFactsError>) {
    let commits: Vec<&NewCommit> = facts.iter().map(Fact::commit).collect();
    let recorded = block_on(intake.record_facts(facts[0].stream(), &commits, at(100)));
    (recorded.outcomes, recorded.failure)
}

fn commits(log: &MemoryLog) -> Vec<Commit> {
    block_on(log.read_to_end(&stream(0), 1)).unwrap()
}

#[test]
fn one_fact_is_a_plain_commit_and_several_are_merged_into_one() {
    let log = MemoryLog::new();
    let intake = Intake::new(Arc::new(log.clone()));
    let facts: Vec<Fact> = (0..4).map(|name| fact(0, name, 1, 0)).collect();
    assert_eq!(record_all(&intake, &facts[..1]).0, [FactOutcome::Appended]);
    assert_eq!(
        record_all(&intake, &facts).0,
        [FactOutcome::Duplicate, FactOutcome::Appended, FactOutcome::Appended, FactOutcome::Appended]
    );
    let commits = commits(&log);
    let [plain, merged] = &commits[..] else { panic!("{commits:?}") };
    assert_eq!((&plain.id, &plain.events), (&facts[0].commit().id, &facts[0].commit().events));
    assert_eq!((plain.recorded_at, merged.recorded_at), (at(100), at(100)), "the time of recording");
    for (event, fact) in merged.events.iter().zip(&facts[1..]) {
        assert_eq!(event.fact.as_ref(), Some(&fact.commit().id));
    }
    let found = block_on(log.find(&stream(0), &facts[2].commit().id)).unwrap();
    assert_eq!(found.as_ref(), Some(merged));
}

/// The state at a past time never changes.
#[test]
fn a_late_fact_is_recorded_at_its_arrival_and_not_before_recorded_ones() {
    let log = MemoryLog::new();
    let intake = Intake::new(Arc::new(log.clone()));
    let facts: Vec<Fact> = (0..2).map(|name| fact(0, name, 1, 0)).collect();
    for (fact, now) in [(&facts[0], 200), (&facts[1], 150)] {
        let recorded = block_on(intake.record_facts(fact.stream(), &[fact.commit()], at(now)));
        assert_eq!(recorded.outcomes, [FactOutcome::Appended]);
    }
    let recorded: Vec<Timestamp> = commits(&log).iter().map(|commit| commit.recorded_at).collect();
    assert_eq!(recorded, [at(200), at(200)]);
    assert_eq!(commits(&log)[0].events[0].at, facts[0].commit().events[0].at, "the event keeps its own time");
}

#[test]
fn facts_too_large_for_one_commit_become_several() {
    let log = MemoryLog::new();
    let intake = Intake::new(Arc::new(log.clone()));
    let facts: Vec<Fact> = (0..9).map(|name| fact(0, name, 2, 100_000)).collect();
    assert_eq!(record_all(&intake, &facts).0, [FactOutcome::Appended; 9]);
    let counts: Vec<usize> = commits(&log).iter().map(|commit| commit.events.len()).collect();
    assert_eq!(counts, [6, 6, 6]);
}

/// Numbers are longer in canonical form than in the fact's JSON, so the estimate is too low.
#[test]
fn facts_whose_canonical_form_is_longer_are_split_further() {
    let log = MemoryLog::new();
    let intake = Intake::new(Arc::new(log.clone()));
    let numbers = |name: usize| {
        let event = RecordedEvent {
            kind: "galaxy.collided".to_owned(),
            version: 1,
            at: at(0),
            data: json!(vec![1e-6; 20_000]),
            fact: None,
        };
        let id = CommitId::derived_from(&["numbers", &name.to_string()]);
        Fact::new(stream(0), NewCommit { id, events: vec![event], recorded_at: at(0) }).unwrap()
    };
    let facts: Vec<Fact> = (0..4).map(numbers).collect();
    let estimate: usize = facts[..3].iter().map(|fact| fact.json().len()).sum();
    assert!(estimate < MAX_COMMIT_BYTES, "by estimate, three fit");
    let (outcomes, failure) = record_all(&intake, &facts);
    assert!(failure.is_none(), "{failure:?}");
    assert_eq!(outcomes, [FactOutcome::Appended; 4]);
    assert!(commits(&log).len() > 2);
}

#[test]
fn a_second_intake_detects_facts_that_the_first_one_merged() {
    let log = MemoryLog::new();
    let (one, other) = (Intake::new(Arc::new(log.clone())), Intake::new(Arc::new(log.clone())));
    let facts: Vec<Fact> = (0..3).map(|name| fact(0, name, 1, 0)).collect();
    assert_eq!(record_all(&other, &facts[2..]).0, [FactOutcome::Appended]);
    assert_eq!(record_all(&one, &facts[..2]).0, [FactOutcome::Appended; 2]);
    // Its cache lacks a merged commit.
    assert_eq!(record_all(&other, &facts[1..2]).0, [FactOutcome::Duplicate]);
    assert_eq!(commits(&log).len(), 2);
}

#[test]
fn facts_recorded_before_a_lost_response_are_duplicates_when_delivered_again() {
    let log = Arc::new(FaultyLog::scripted(MemoryLog::new(), [Fault::After]));
    let intake = Intake::new(Arc::<FaultyLog<MemoryLog>>::clone(&log));
    let facts: Vec<Fact> = (0..3).map(|name| fact(0, name, 1, 0)).collect();
    let (outcomes, failure) = record_all(&intake, &facts);
    assert!(
        outcomes.is_empty() && matches!(failure, Some(RecordFactsError::Append(AppendError::Unavailable(_))))
    );
    assert_eq!(record_all(&intake, &facts).0, [FactOutcome::Duplicate; 3]);
    assert_eq!(commits(log.inner()).len(), 1);
}

/// In the steady state a batch costs each stream one append and no read.
#[test]
fn appended_commits_are_not_read_again() {
    let log = Arc::new(FaultyLog::scripted(MemoryLog::new(), []));
    let intake = Intake::new(Arc::<FaultyLog<MemoryLog>>::clone(&log));
    record_all(&intake, &[fact(0, 0, 1, 0)]);
    log.plan_reads([Fault::Before]);
    assert_eq!(
        record_all(&intake, &[fact(0, 0, 1, 0), fact(0, 1, 1, 0)]).0,
        [FactOutcome::Duplicate, FactOutcome::Appended]
    );
    assert_eq!(log.injected(), 0, "no read was made");
}
