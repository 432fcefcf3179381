//! Properties of the replicated directory, over random simulations.

use std::time::Duration;

use proptest::prelude::*;
use streamio_edge::directory::{DirectoryConfig, Tolerance};

use crate::simulation::{ResultCounts, Simulation, look_up};
use crate::test_directory::{Health, LOCATIONS, STORE_DELAY, TestDirectory, hash, unlimited_calls};

const ISOLATES: usize = 3;
/// Keys that may be created.
const KEYS: u16 = 3;
/// The number of a key that is never created.
const INVENTED: u16 = 3;

#[derive(Debug, Clone)]
enum Step {
    Advance(u64),
    Lookup { isolate: usize, key: u16, stale: bool, at_once: bool },
    PollLookup(usize),
    DropLookup(usize),
    FinishTask { index: usize, run: bool },
    Create(u16),
    Revoke(u16),
    Suspend(u16, bool),
    Store(usize, Health),
    Home(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let millis = prop_oneof![
        4 => 0u64..2_000,
        6 => 2_000u64..30_000,
        3 => 30_000u64..120_000,
        1 => 120_000u64..1_200_000,
    ];
    let health = prop_oneof![3 => Just(Health::Up), 2 => Just(Health::Down), 1 => Just(Health::Garbled)];
    let lookup = (0..ISOLATES, 0..=INVENTED, any::<bool>(), prop::bool::weighted(0.7));
    prop_oneof![
        8 => millis.prop_map(Step::Advance),
        16 => lookup.prop_map(|(isolate, key, stale, at_once)| Step::Lookup { isolate, key, stale, at_once }),
        3 => any::<usize>().prop_map(Step::PollLookup),
        1 => any::<usize>().prop_map(Step::DropLookup),
        4 => (any::<usize>(), prop::bool::weighted(0.7)).prop_map(|(index, run)| Step::FinishTask { index, run }),
        2 => (0..KEYS).prop_map(Step::Create),
        1 => (0..KEYS).prop_map(Step::Revoke),
        1 => (0..KEYS, any::<bool>()).prop_map(|(key, suspended)| Step::Suspend(key, suspended)),
        2 => (0..LOCATIONS, health).prop_map(|(location, health)| Step::Store(location, health)),
        2 => any::<bool>().prop_map(Step::Home),
    ]
}

fn run(harness: &TestDirectory, config: DirectoryConfig, steps: Vec<Step>) -> ResultCounts {
    let mut simulation = Simulation::new(harness.clone(), ISOLATES, config);
    for step in steps {
        let exists = |key| harness.state().records.contains_key(&hash(key));
        match step {
            Step::Advance(millis) => harness.advance(Duration::from_millis(millis)),
            Step::Lookup { isolate, key, stale, at_once } => {
                let tolerance = if stale { Tolerance::Stale } else { Tolerance::Strict };
                simulation.start_lookup(isolate, key, tolerance);
                if at_once {
                    simulation.finish();
                }
            }
            Step::PollLookup(index) => {
                simulation.poll_lookup(index);
            }
            Step::DropLookup(index) => simulation.drop_lookup(index),
            Step::FinishTask { index, run } => simulation.finish_task(index, run),
            Step::Create(key) if !exists(key) => harness.create(&hash(key)),
            Step::Revoke(key) if exists(key) => harness.write(&hash(key), |tenant| tenant.revoked = true),
            Step::Suspend(key, suspended) if exists(key) => {
                harness.write(&hash(key), |tenant| tenant.suspended = suspended);
            }
            Step::Create(_) | Step::Revoke(_) | Step::Suspend(..) => {}
            Step::Store(location, health) => harness.state().store[location] = health,
            Step::Home(is_up) => harness.set_home(is_up),
        }
    }
    simulation.finish();
    simulation.result_counts
}

fn lags() -> impl Strategy<Value = Vec<u16>> {
    prop::collection::vec(prop_oneof![1 => Just(0u16), 1 => Just(1000), 3 => 0u16..=1000], 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_revoked_key_is_refused_within_the_bound_and_no_valid_key_is_unknown(
        steps in prop::collection::vec(step(), 1..150), lags in lags(),
    ) {
        let harness = TestDirectory::new();
        harness.state().lags = lags;
        run(&harness, unlimited_calls(), steps);
    }

    #[test]
    fn the_bound_holds_when_the_cache_is_too_small_for_all_keys(
        steps in prop::collection::vec(step(), 1..150), lags in lags(),
    ) {
        let harness = TestDirectory::new();
        harness.state().lags = lags;
        run(&harness, DirectoryConfig { max_tenants: 1, max_unknown_keys: 1, ..unlimited_calls() }, steps);
    }

    #[test]
    fn versions_never_go_back_when_the_store_is_rolled_back(
        steps in prop::collection::vec(step(), 1..150), lags in lags(), location in 0..LOCATIONS,
    ) {
        let harness = TestDirectory::new();
        harness.state().lags = lags;
        harness.state().rolled_back[location] = true;
        run(&harness, unlimited_calls(), steps);
    }
}

/// The worst case reaches the bound to the millisecond: the key is confirmed just before the tombstone becomes visible,
/// and every refresh is dropped.
#[test]
fn a_revoked_key_is_accepted_until_the_bound_and_no_longer() {
    let millisecond = Duration::from_millis(1);
    for (tolerance, outage, longest) in [
        (Tolerance::Strict, false, Duration::ZERO),
        (Tolerance::Stale, false, Duration::ZERO),
        (Tolerance::Strict, true, Duration::ZERO),
        (Tolerance::Stale, true, DirectoryConfig::default().stale),
    ] {
        let harness = TestDirectory::new();
        harness.state().lags = vec![1000];
        harness.create(&hash(1));
        harness.advance(STORE_DELAY * 2);
        harness.write(&hash(1), |tenant| tenant.revoked = true);
        harness.advance(STORE_DELAY.checked_sub(millisecond).unwrap());
        let isolate = harness.isolate(0, &unlimited_calls());
        let accepted = || {
            let result = look_up(&harness, &isolate, 1, tolerance);
            harness.state().tasks.clear();
            matches!(result, Ok(Some(known)) if !known.tenant.revoked)
        };
        assert!(accepted());
        if outage {
            harness.set_store(Health::Down);
            harness.set_home(false);
        }
        let mut rest = DirectoryConfig::default().hard + longest;
        while rest > Duration::ZERO {
            let step = rest.min(Duration::from_secs(7));
            harness.advance(step);
            rest -= step;
            assert!(accepted(), "{rest:?} before the bound");
        }
        harness.advance(millisecond);
        assert!(!accepted(), "{tolerance:?}");
    }
}

/// The properties are checked for each result, so the simulations must produce every kind of result.
#[test]
fn the_simulations_produce_every_kind_of_result() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let mut all = ResultCounts::default();
    for _ in 0..100 {
        let steps = prop::collection::vec(step(), 150).new_tree(&mut runner).unwrap().current();
        let harness = TestDirectory::new();
        harness.state().lags = lags().new_tree(&mut runner).unwrap().current();
        let counts = run(&harness, unlimited_calls(), steps);
        all.accepted += counts.accepted;
        all.accepted_after_revocation += counts.accepted_after_revocation;
        all.refused += counts.refused;
        all.stale += counts.stale;
        all.unknown += counts.unknown;
        all.unavailable += counts.unavailable;
    }
    let ResultCounts { accepted, accepted_after_revocation, refused, stale, unknown, unavailable } = all;
    assert!(
        [accepted, accepted_after_revocation, refused, stale, unknown, unavailable].iter().min() > Some(&20),
        "{all:?}"
    );
}
