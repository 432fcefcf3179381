//! The laws of the replicated directory, over random worlds.

use std::time::Duration;

use proptest::prelude::*;
use streamio_edge::directory::{DirectoryConfig, Tolerance};

use crate::simulation::{Simulation, Tally, look_up};
use crate::world::{Health, LOCATIONS, STORE_DELAY, World, hash, unlimited};

const ISOLATES: usize = 3;
/// Keys that come to exist.
const KEYS: u16 = 3;
/// The number of a key that never does.
const JUNK: u16 = 3;

#[derive(Debug, Clone)]
enum Step {
    Pass(u64),
    Look { isolate: usize, key: u16, stale: bool, at_once: bool },
    GoOn(usize),
    Drop(usize),
    EndTask { index: usize, run: bool },
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
    let look = (0..ISOLATES, 0..=JUNK, any::<bool>(), prop::bool::weighted(0.7));
    prop_oneof![
        8 => millis.prop_map(Step::Pass),
        16 => look.prop_map(|(isolate, key, stale, at_once)| Step::Look { isolate, key, stale, at_once }),
        3 => any::<usize>().prop_map(Step::GoOn),
        1 => any::<usize>().prop_map(Step::Drop),
        4 => (any::<usize>(), prop::bool::weighted(0.7)).prop_map(|(index, run)| Step::EndTask { index, run }),
        2 => (0..KEYS).prop_map(Step::Create),
        1 => (0..KEYS).prop_map(Step::Revoke),
        1 => (0..KEYS, any::<bool>()).prop_map(|(key, suspended)| Step::Suspend(key, suspended)),
        2 => (0..LOCATIONS, health).prop_map(|(location, health)| Step::Store(location, health)),
        2 => any::<bool>().prop_map(Step::Home),
    ]
}

fn run(world: &World, config: DirectoryConfig, steps: Vec<Step>) -> Tally {
    let mut simulation = Simulation::new(world.clone(), ISOLATES, config);
    for step in steps {
        let exists = |key| world.state().records.contains_key(&hash(key));
        match step {
            Step::Pass(millis) => world.pass(Duration::from_millis(millis)),
            Step::Look { isolate, key, stale, at_once } => {
                let tolerance = if stale { Tolerance::Stale } else { Tolerance::Strict };
                simulation.begin(isolate, key, tolerance);
                if at_once {
                    simulation.finish();
                }
            }
            Step::GoOn(index) => {
                simulation.go_on(index);
            }
            Step::Drop(index) => simulation.drop_lookup(index),
            Step::EndTask { index, run } => simulation.end_task(index, run),
            Step::Create(key) if !exists(key) => world.create(&hash(key)),
            Step::Revoke(key) if exists(key) => world.write(&hash(key), |tenant| tenant.revoked = true),
            Step::Suspend(key, suspended) if exists(key) => {
                world.write(&hash(key), |tenant| tenant.suspended = suspended);
            }
            Step::Create(_) | Step::Revoke(_) | Step::Suspend(..) => {}
            Step::Store(location, health) => world.state().store[location] = health,
            Step::Home(is_up) => world.set_home(is_up),
        }
    }
    simulation.finish();
    simulation.answers
}

fn lags() -> impl Strategy<Value = Vec<u16>> {
    prop::collection::vec(prop_oneof![1 => Just(0u16), 1 => Just(1000), 3 => 0u16..=1000], 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_revoked_key_is_refused_within_the_bound_and_no_live_key_is_unknown(
        steps in prop::collection::vec(step(), 1..150), lags in lags(),
    ) {
        let world = World::new();
        world.state().lags = lags;
        run(&world, unlimited(), steps);
    }

    #[test]
    fn the_bound_holds_when_memory_is_too_small_for_all_keys(
        steps in prop::collection::vec(step(), 1..150), lags in lags(),
    ) {
        let world = World::new();
        world.state().lags = lags;
        run(&world, DirectoryConfig { held_tenants: 1, unknown_keys: 1, ..unlimited() }, steps);
    }

    #[test]
    fn versions_never_go_back_when_the_store_is_rolled_back(
        steps in prop::collection::vec(step(), 1..150), lags in lags(), location in 0..LOCATIONS,
    ) {
        let world = World::new();
        world.state().lags = lags;
        world.state().rolled_back[location] = true;
        run(&world, unlimited(), steps);
    }
}

/// The bound is met to the millisecond by the worst of luck: a confirmation just before the tombstone can be seen, and
/// no refresh that survives.
#[test]
fn a_revoked_key_is_accepted_until_the_bound_and_no_longer() {
    let millisecond = Duration::from_millis(1);
    for (tolerance, outage, longest) in [
        (Tolerance::Strict, false, Duration::ZERO),
        (Tolerance::Stale, false, Duration::ZERO),
        (Tolerance::Strict, true, Duration::ZERO),
        (Tolerance::Stale, true, DirectoryConfig::default().stale),
    ] {
        let world = World::new();
        world.state().lags = vec![1000];
        world.create(&hash(1));
        world.pass(STORE_DELAY * 2);
        world.write(&hash(1), |tenant| tenant.revoked = true);
        world.pass(STORE_DELAY.checked_sub(millisecond).unwrap());
        let isolate = world.isolate(0, &unlimited());
        let accepted = || {
            let answer = look_up(&world, &isolate, 1, tolerance);
            world.state().tasks.clear();
            matches!(answer, Ok(Some(known)) if !known.tenant.revoked)
        };
        assert!(accepted());
        if outage {
            world.set_store(Health::Down);
            world.set_home(false);
        }
        let mut rest = DirectoryConfig::default().hard + longest;
        while rest > Duration::ZERO {
            let step = rest.min(Duration::from_secs(7));
            world.pass(step);
            rest -= step;
            assert!(accepted(), "{rest:?} before the bound");
        }
        world.pass(millisecond);
        assert!(!accepted(), "{tolerance:?}");
    }
}

/// The laws above hold of answers, so the worlds must lead to all kinds of them.
#[test]
fn the_simulated_worlds_lead_to_every_kind_of_answer() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let mut all = Tally::default();
    for _ in 0..100 {
        let steps = prop::collection::vec(step(), 150).new_tree(&mut runner).unwrap().current();
        let world = World::new();
        world.state().lags = lags().new_tree(&mut runner).unwrap().current();
        let seen = run(&world, unlimited(), steps);
        all.accepted += seen.accepted;
        all.accepted_after_revocation += seen.accepted_after_revocation;
        all.refused += seen.refused;
        all.stale += seen.stale;
        all.unknown += seen.unknown;
        all.unavailable += seen.unavailable;
    }
    let Tally { accepted, accepted_after_revocation, refused, stale, unknown, unavailable } = all;
    assert!(
        [accepted, accepted_after_revocation, refused, stale, unknown, unavailable].iter().min() > Some(&20),
        "{all:?}"
    );
}
