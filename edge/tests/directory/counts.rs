//! What a look-up costs: how often the sources are asked, and what is begun in the background.

use std::time::Duration;

use proptest::prelude::*;
use streamio_edge::directory::{
    Directory as _, DirectoryConfig, SourceName::HomeRegion, SourceName::KeyValueStore, Tolerance,
};

use crate::simulation::{finish, look_up, poll};
use crate::world::{Health, World, hash};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_fresh_answer_asks_nobody_and_an_aging_one_begins_one_refresh_a_lease(
        visits in prop::collection::vec((prop_oneof![0i64..4_000, 0i64..20_000, 0i64..90_000], any::<bool>()), 1..60),
    ) {
        let world = World::new();
        world.create(&hash(1));
        let isolate = world.isolate(0, &DirectoryConfig::default());
        // When the tenant was last confirmed and last tried.
        let (mut now, mut confirmed, mut tried) = (0, i64::MIN / 2, i64::MIN / 2);
        for (wait, refresh_survives) in visits {
            now += wait;
            world.pass(Duration::from_millis(u64::try_from(wait).unwrap()));
            let before = world.begun();
            let known = look_up(&world, &isolate, 1, Tolerance::Strict).unwrap().unwrap();
            prop_assert_eq!(known.stale_for, None);
            let age = now - confirmed;
            let (refreshes, questions) = match age {
                0..=10_000 => (0, 0),
                10_001..=60_000 => (usize::from(now - tried >= 5_000), 0),
                _ => (0, 1),
            };
            let after = world.begun();
            prop_assert_eq!((after.0 - before.0, after.1 - before.1), (refreshes, questions), "at age {}", age);
            if questions == 1 {
                confirmed = now;
                // The first look-up refreshes nothing.
                if age < i64::MAX / 4 {
                    tried = now;
                }
            }
            if refreshes == 1 {
                tried = now;
                if refresh_survives {
                    confirmed = now;
                    world.run_tasks();
                } else {
                    world.state().tasks.clear();
                }
            }
        }
        prop_assert_eq!(world.asked(HomeRegion), 0, "the key-value store knew it all the time");
    }
}

#[test]
fn a_refresh_that_is_dropped_is_begun_again_after_its_lease() {
    let world = World::new();
    world.create(&hash(1));
    let isolate = world.isolate(0, &DirectoryConfig::default());
    look_up(&world, &isolate, 1, Tolerance::Strict).unwrap();
    world.pass(Duration::from_secs(11));
    for round in 1..=5 {
        look_up(&world, &isolate, 1, Tolerance::Strict).unwrap();
        assert_eq!(world.begun().0, round);
        // Dropped in the middle of what it asks, or before it asks anything.
        let mut task = world.state().tasks.pop().unwrap();
        if round % 2 == 0 {
            assert!(poll(task.as_mut()).is_pending());
        }
        drop(task);
        world.pass(Duration::from_millis(4_999));
        look_up(&world, &isolate, 1, Tolerance::Strict).unwrap();
        assert_eq!(world.begun().0, round, "the lease has not expired");
        world.pass(Duration::from_millis(1));
    }
    world.write(&hash(1), |tenant| tenant.revoked = true);
    look_up(&world, &isolate, 1, Tolerance::Strict).unwrap();
    world.run_tasks();
    let known = look_up(&world, &isolate, 1, Tolerance::Strict).unwrap().unwrap();
    assert!(known.tenant.revoked);
}

#[test]
fn a_look_up_that_is_dropped_leaves_nobody_waiting() {
    for turns in 1..=2 {
        let world = World::new();
        world.create(&hash(1));
        world.set_store(Health::Down);
        let isolate = world.isolate(0, &DirectoryConfig::default());
        let (key, now) = (hash(1), world.now());
        let mut gone = isolate.lookup(&key, now, Tolerance::Strict);
        for _ in 0..turns {
            assert!(poll(gone.as_mut()).is_pending());
        }
        let mut other = isolate.lookup(&key, now, Tolerance::Strict);
        assert!(poll(other.as_mut()).is_pending());
        drop(gone);
        assert!(finish(other).unwrap().is_some());
        assert!(look_up(&world, &isolate, 1, Tolerance::Strict).unwrap().is_some());
    }
}

#[test]
fn first_look_ups_at_the_same_time_share_what_the_first_one_finds() {
    let world = World::new();
    world.create(&hash(1));
    world.state().lags = vec![1000];
    let isolate = world.isolate(0, &DirectoryConfig::default());
    let (key, now) = (hash(1), world.now());
    let mut first: Vec<_> = (0..40).map(|_| isolate.lookup(&key, now, Tolerance::Strict)).collect();
    for lookup in &mut first {
        assert!(poll(lookup.as_mut()).is_pending());
    }
    assert_eq!((world.asked(KeyValueStore), world.asked(HomeRegion)), (40, 0));
    let mut answers: Vec<_> = first.into_iter().map(|mut lookup| (poll(lookup.as_mut()), lookup)).collect();
    assert_eq!(world.asked(HomeRegion), 4, "a miss is followed by no more calls than one key may make");
    let waiting: Vec<_> = answers.extract_if(.., |(answer, _)| answer.is_pending()).collect();
    assert_eq!((waiting.len(), answers.len()), (4, 36));
    for (answer, _) in answers {
        assert!(
            matches!(answer, std::task::Poll::Ready(Err(_))),
            "told to come back, never that it is unknown"
        );
    }
    for (_, lookup) in waiting {
        assert!(finish(lookup).unwrap().is_some());
    }
    let before = world.begun();
    assert!((0..40).all(|_| look_up(&world, &isolate, 1, Tolerance::Strict).unwrap().is_some()));
    assert_eq!(world.begun(), before);
}

#[test]
fn whoever_could_not_ask_is_answered_with_what_others_found_in_the_meantime() {
    let world = World::new();
    world.create(&hash(1));
    world.state().lags = vec![1000];
    let isolate = world.isolate(0, &DirectoryConfig::default());
    let (key, now) = (hash(1), world.now());
    let mut late = isolate.lookup(&key, now, Tolerance::Strict);
    assert!(poll(late.as_mut()).is_pending());
    assert!(look_up(&world, &isolate, 1, Tolerance::Strict).unwrap().is_some());
    world.set_home(false);
    let known = finish(late).unwrap().unwrap();
    assert_eq!(known.stale_for, None);
}

#[test]
fn answers_from_memory_share_one_tenant() {
    let world = World::new();
    world.create(&hash(1));
    let isolate = world.isolate(0, &DirectoryConfig::default());
    let first = look_up(&world, &isolate, 1, Tolerance::Strict).unwrap().unwrap().tenant;
    world.pass(Duration::from_secs(11));
    for _ in 0..3 {
        let again = look_up(&world, &isolate, 1, Tolerance::Strict).unwrap().unwrap().tenant;
        assert!(std::sync::Arc::ptr_eq(&first, &again));
        world.run_tasks();
        world.pass(Duration::from_secs(5));
    }
}
