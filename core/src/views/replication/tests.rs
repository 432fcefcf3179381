//! Writers and sweeps that overlap, fail and end at any step.

mod steps;

use proptest::prelude::*;

use self::steps::{MAX_STEPS, Outcome, Process, TIMEOUT, World};
use super::*;

mod contract {
    use crate::ports::pending_replications::contract::PendingReplicationsHarness;
    use crate::testing::MemoryPending;

    struct Memory(MemoryPending);

    impl PendingReplicationsHarness for Memory {
        type Store = MemoryPending;

        async fn open(&self) -> MemoryPending {
            self.0.clone()
        }
    }

    crate::pending_replications_contract!(Memory(MemoryPending::default()));
}

/// The steps of a writer before its first write: it reads the log and adds its entry.
const BEFORE_WRITE: usize = 2;

/// Starts a writer that has read the log, and another one that replicates a later version before the first one writes.
fn late_writer(world: &std::sync::Arc<World>) -> Process<Result<(), ReplicationError>> {
    world.writer().finish().unwrap();
    world.append();
    let mut late = world.writer();
    late.steps(BEFORE_WRITE);
    world.append();
    world.writer().finish().unwrap();
    assert!(world.is_newest_at_edge());
    late
}

fn swept(world: &std::sync::Arc<World>) -> PendingReport {
    world.sweep().finish().unwrap()
}

const REPLICATED: PendingReport = PendingReport { replicated: 1, failed: 0, left: 0 };
const NOTHING: PendingReport = PendingReport { replicated: 0, failed: 0, left: 0 };

#[test]
fn a_writer_leaves_no_entry_when_the_log_has_nothing_newer() {
    let world = World::new();
    late_writer(&world).finish().unwrap();
    assert!(world.is_newest_at_edge());
    assert_eq!(world.pending.entries(), []);
}

#[test]
fn a_late_writer_whose_read_fails_is_followed_by_the_next_sweep() {
    let world = World::new();
    let mut late = late_writer(&world);
    late.steps(1);
    assert!(!world.is_newest_at_edge(), "the older record is the last");
    assert!(late.step(Outcome::Fails).is_none());
    assert!(late.finish().is_err(), "the log cannot be read");
    assert_eq!(swept(&world), REPLICATED);
    assert!(world.is_newest_at_edge());
}

#[test]
fn a_late_writer_that_ends_after_its_write_is_followed_by_a_sweep_when_it_has_ended_in_any_case() {
    let world = World::new();
    let mut late = late_writer(&world);
    late.steps(1);
    drop(late);
    assert!(!world.is_newest_at_edge(), "the older record is the last");
    assert_eq!(swept(&world), NOTHING);
    world.pass(LONGEST_WRITE);
    assert_eq!(swept(&world), REPLICATED);
    assert!(world.is_newest_at_edge());
    assert_eq!(world.pending.entries(), []);
}

/// One sweep is late, and the other one removes the entries of both.
#[test]
fn a_late_sweep_that_ends_after_its_write_is_followed_by_another_sweep() {
    let world = World::new();
    world.writer().finish().unwrap();
    world.append();
    let mut rejected = world.writer();
    rejected.steps(BEFORE_WRITE);
    assert!(rejected.step(Outcome::Fails).is_none());
    rejected.finish().unwrap();
    let mut late = world.sweep();
    late.steps(1 + BEFORE_WRITE);
    world.append();
    world.writer().finish().unwrap();
    assert_eq!(swept(&world), REPLICATED);
    late.steps(1);
    drop(late);
    assert!(!world.is_newest_at_edge(), "the older record is the last");
    world.pass(LONGEST_WRITE);
    assert_eq!(swept(&world), REPLICATED);
    assert!(world.is_newest_at_edge());
    assert_eq!(world.pending.entries(), []);
}

#[test]
fn a_write_that_takes_effect_after_the_sweep_has_retried_it_is_replaced() {
    let world = World::new();
    let mut late = late_writer(&world);
    assert!(late.step(Outcome::TakesEffectLater).is_none());
    late.finish().unwrap();
    assert_eq!(swept(&world), REPLICATED);
    world.take_effect(0);
    assert!(!world.is_newest_at_edge(), "the older record is the last");
    world.pass(LONGEST_WRITE);
    assert_eq!(swept(&world), REPLICATED);
    assert!(world.is_newest_at_edge());
    assert_eq!(world.pending.entries(), []);
}

/// The entry is not due while its writer may run: a sweep in the meantime would remove it before the write.
#[test]
fn no_sweep_handles_the_entry_of_a_writer_that_may_still_run() {
    let world = World::new();
    let late = late_writer(&world);
    world.pass(TIMEOUT);
    assert_eq!(swept(&world), NOTHING);
    drop(late);
}

#[test]
fn a_sweep_that_cannot_read_the_log_is_followed_by_another_sweep() {
    let world = World::new();
    let mut rejected = world.writer();
    rejected.steps(BEFORE_WRITE);
    assert!(rejected.step(Outcome::Fails).is_none());
    rejected.finish().unwrap();
    world.pass(LONGEST_WRITE);
    let mut failing = world.sweep();
    failing.steps(1);
    assert!(failing.step(Outcome::Fails).is_some_and(|result| result.unwrap().failed == 1));
    assert_eq!(swept(&world), REPLICATED);
    assert!(world.is_newest_at_edge());
}

/// A sweep that cannot remove an entry goes on, and the entry is handled once more.
#[test]
fn a_sweep_that_cannot_remove_an_entry_continues() {
    let world = World::new();
    let mut rejected = world.writer();
    rejected.steps(BEFORE_WRITE);
    assert!(rejected.step(Outcome::Fails).is_none());
    rejected.finish().unwrap();
    let mut failing = world.sweep();
    // It reads the list, writes, reads the log again, and removes its own entry.
    failing.steps(1 + BEFORE_WRITE + 3);
    let report = failing.step(Outcome::Fails).expect("the sweep returns");
    assert_eq!(report.unwrap(), REPLICATED);
    assert_eq!(swept(&world), REPLICATED);
    assert_eq!(swept(&world), NOTHING);
}

/// However often the sweep is rejected, the entries of a project are few: one that is due, and those of the writers that may still run.
#[test]
fn an_outage_of_the_store_does_not_lengthen_the_list() {
    let world = World::new();
    for _ in 0..100 {
        let mut process = world.sweep();
        if world.pending.entries().is_empty() {
            let mut writer = world.writer();
            writer.steps(BEFORE_WRITE);
            assert!(writer.step(Outcome::Fails).is_none());
            writer.finish().unwrap();
        }
        process.steps(1 + BEFORE_WRITE);
        assert!(process.step(Outcome::Fails).is_none());
        assert_eq!(process.finish().unwrap(), PendingReport { failed: 1, ..NOTHING });
        world.pass(Duration::from_mins(1));
        assert!(world.pending.entries().len() <= 18, "{:?}", world.pending.entries());
    }
    assert_eq!(swept(&world), REPLICATED);
}

#[derive(Debug, Clone, Copy)]
enum Action {
    Append,
    Writer,
    Sweep,
    /// A step of one of the processes.
    Step(usize, Outcome),
    /// One of the processes runs to its end.
    Finish(usize),
    /// One of the processes ends.
    End(usize),
    Minutes(u64),
    /// A write that is in flight takes effect.
    TakesEffect(usize),
}

fn action() -> impl Strategy<Value = Action> {
    let outcome = prop_oneof![
        6 => Just(Outcome::Succeeds),
        1 => Just(Outcome::Fails),
        1 => Just(Outcome::LosesResponse),
        1 => Just(Outcome::TakesEffectLater),
    ];
    prop_oneof![
        3 => Just(Action::Append),
        4 => Just(Action::Writer),
        3 => Just(Action::Sweep),
        16 => (0_usize..6, outcome).prop_map(|(process, outcome)| Action::Step(process, outcome)),
        4 => (0_usize..6).prop_map(Action::Finish),
        2 => (0_usize..6).prop_map(Action::End),
        2 => (1_u64..20).prop_map(Action::Minutes),
        1 => (0_usize..6).prop_map(Action::TakesEffect),
    ]
}

enum Running {
    Writer(Process<Result<(), ReplicationError>>),
    Sweep(Process<Result<PendingReport, PendingReplicationError>>),
}

impl Running {
    /// Makes a step. Returns `None` if the process has not ended, and else the version up to which it has replicated commits.
    fn step(&mut self, outcome: Outcome) -> Option<u64> {
        match self {
            Self::Writer(process) => {
                process.step(outcome).map(|result| if result.is_ok() { process.begun_with } else { 0 })
            }
            Self::Sweep(process) => process.step(outcome).map(|_| 0),
        }
    }

    fn begun_at(&self) -> Timestamp {
        match self {
            Self::Writer(process) => process.begun_at,
            Self::Sweep(process) => process.begun_at,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Each commit is projected until a writer that began after it has succeeded. Whatever fails or ends at which step: while the
    /// edge's store lacks the newest records of projected commits, the project has an entry; and when all entries are handled, the
    /// store has the newest records.
    #[test]
    fn the_edge_gets_the_newest_records_whatever_writer_is_late(
        actions in prop::collection::vec(action(), 1..100),
    ) {
        let world = World::new();
        let mut processes: Vec<Running> = Vec::new();
        let mut projected = 0;
        for action in actions {
            match action {
                Action::Append => world.append(),
                Action::Writer => processes.push(Running::Writer(world.writer())),
                Action::Sweep => processes.push(Running::Sweep(world.sweep())),
                Action::Step(process, outcome) if !processes.is_empty() => {
                    let place = process % processes.len();
                    if let Some(version) = processes[place].step(outcome) {
                        projected = version.max(projected);
                        processes.remove(place);
                    }
                }
                Action::End(process) if !processes.is_empty() => {
                    let place = process % processes.len();
                    processes.remove(place);
                }
                Action::Finish(process) if !processes.is_empty() => {
                    let mut process = processes.remove(process % processes.len());
                    let version = (0..MAX_STEPS).find_map(|_| process.step(Outcome::Succeeds));
                    projected = projected.max(version.expect("the process returns"));
                }
                Action::Step(..) | Action::Finish(_) | Action::End(_) => {}
                Action::Minutes(minutes) => {
                    world.pass(Duration::from_mins(minutes));
                    processes.retain(|process| world.now().since(process.begun_at()) < TIMEOUT);
                }
                Action::TakesEffect(place) => world.take_effect(place),
            }
            prop_assert!(
                projected < world.version() || world.is_newest_at_edge() || !world.pending.entries().is_empty(),
                "the edge lacks version {projected}, and nothing is pending after {action:?}"
            );
        }
        drop(processes);
        if projected < world.version() {
            world.writer().finish().unwrap();
        }
        for _ in 0..2 {
            world.pass(LONGEST_WRITE);
            swept(&world);
        }
        prop_assert_eq!(world.pending.entries(), []);
        prop_assert!(world.is_newest_at_edge());
    }
}
