//! The cost of a lookup: calls to the sources and background refreshes.

use std::time::Duration;

use proptest::prelude::*;
use streamio_edge::directory::{
    Directory as _, DirectoryConfig, SourceName::HomeRegion, SourceName::KeyValueStore, Tolerance,
};

use crate::simulation::{finish, look_up, poll};
use crate::test_directory::{Health, TestDirectory, hash};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_fresh_tenant_causes_no_call_and_an_older_one_starts_one_refresh_per_lease(
        visits in prop::collection::vec((prop_oneof![0i64..4_000, 0i64..20_000, 0i64..90_000], any::<bool>()), 1..60),
    ) {
        let harness = TestDirectory::new();
        harness.create(&hash(1));
        let isolate = harness.isolate(0, &DirectoryConfig::default());
        // When the tenant was last confirmed and last refreshed.
        let (mut now, mut confirmed, mut refreshed) = (0, i64::MIN / 2, i64::MIN / 2);
        for (wait, refresh_survives) in visits {
            now += wait;
            harness.advance(Duration::from_millis(u64::try_from(wait).unwrap()));
            let before = harness.started_counts();
            let known = look_up(&harness, &isolate, 1, Tolerance::Strict).unwrap().unwrap();
            prop_assert_eq!(known.stale_for, None);
            let age = now - confirmed;
            let (refreshes, calls) = match age {
                0..=10_000 => (0, 0),
                10_001..=60_000 => (usize::from(now - refreshed >= 5_000), 0),
                _ => (0, 1),
            };
            let after = harness.started_counts();
            prop_assert_eq!((after.0 - before.0, after.1 - before.1), (refreshes, calls), "at age {}", age);
            if calls == 1 {
                confirmed = now;
                // The first lookup is not a refresh.
                if age < i64::MAX / 4 {
                    refreshed = now;
                }
            }
            if refreshes == 1 {
                refreshed = now;
                if refresh_survives {
                    confirmed = now;
                    harness.run_tasks();
                } else {
                    harness.state().tasks.clear();
                }
            }
        }
        prop_assert_eq!(harness.calls_to(HomeRegion), 0, "the key-value store had the key all the time");
    }
}

#[test]
fn a_dropped_refresh_is_started_again_after_its_lease() {
    let harness = TestDirectory::new();
    harness.create(&hash(1));
    let isolate = harness.isolate(0, &DirectoryConfig::default());
    look_up(&harness, &isolate, 1, Tolerance::Strict).unwrap();
    harness.advance(Duration::from_secs(11));
    for round in 1..=5 {
        look_up(&harness, &isolate, 1, Tolerance::Strict).unwrap();
        assert_eq!(harness.started_counts().0, round);
        // Dropped during a call to a source, or before it.
        let mut task = harness.state().tasks.pop().unwrap();
        if round % 2 == 0 {
            assert!(poll(task.as_mut()).is_pending());
        }
        drop(task);
        harness.advance(Duration::from_millis(4_999));
        look_up(&harness, &isolate, 1, Tolerance::Strict).unwrap();
        assert_eq!(harness.started_counts().0, round, "the lease has not expired");
        harness.advance(Duration::from_millis(1));
    }
    harness.write(&hash(1), |tenant| tenant.revoked = true);
    look_up(&harness, &isolate, 1, Tolerance::Strict).unwrap();
    harness.run_tasks();
    let known = look_up(&harness, &isolate, 1, Tolerance::Strict).unwrap().unwrap();
    assert!(known.tenant.revoked);
}

#[test]
fn a_dropped_lookup_does_not_block_others() {
    for turns in 1..=2 {
        let harness = TestDirectory::new();
        harness.create(&hash(1));
        harness.set_store(Health::Down);
        let isolate = harness.isolate(0, &DirectoryConfig::default());
        let (key, now) = (hash(1), harness.now());
        let mut dropped = isolate.lookup(&key, now, Tolerance::Strict);
        for _ in 0..turns {
            assert!(poll(dropped.as_mut()).is_pending());
        }
        let mut other = isolate.lookup(&key, now, Tolerance::Strict);
        assert!(poll(other.as_mut()).is_pending());
        drop(dropped);
        assert!(finish(other).unwrap().is_some());
        assert!(look_up(&harness, &isolate, 1, Tolerance::Strict).unwrap().is_some());
    }
}

#[test]
fn concurrent_first_lookups_share_the_first_result() {
    let harness = TestDirectory::new();
    harness.create(&hash(1));
    harness.state().lags = vec![1000];
    let isolate = harness.isolate(0, &DirectoryConfig::default());
    let (key, now) = (hash(1), harness.now());
    let mut first: Vec<_> = (0..40).map(|_| isolate.lookup(&key, now, Tolerance::Strict)).collect();
    for lookup in &mut first {
        assert!(poll(lookup.as_mut()).is_pending());
    }
    assert_eq!((harness.calls_to(KeyValueStore), harness.calls_to(HomeRegion)), (40, 0));
    let mut results: Vec<_> = first.into_iter().map(|mut lookup| (poll(lookup.as_mut()), lookup)).collect();
    assert_eq!(harness.calls_to(HomeRegion), 4, "limited by the allowance of one key");
    let waiting: Vec<_> = results.extract_if(.., |(result, _)| result.is_pending()).collect();
    assert_eq!((waiting.len(), results.len()), (4, 36));
    for (result, _) in results {
        assert!(matches!(result, std::task::Poll::Ready(Err(_))), "an error, never unknown");
    }
    for (_, lookup) in waiting {
        assert!(finish(lookup).unwrap().is_some());
    }
    let before = harness.started_counts();
    assert!((0..40).all(|_| look_up(&harness, &isolate, 1, Tolerance::Strict).unwrap().is_some()));
    assert_eq!(harness.started_counts(), before);
}

#[test]
fn a_lookup_whose_calls_fail_returns_what_a_concurrent_one_found() {
    let harness = TestDirectory::new();
    harness.create(&hash(1));
    harness.state().lags = vec![1000];
    let isolate = harness.isolate(0, &DirectoryConfig::default());
    let (key, now) = (hash(1), harness.now());
    let mut late = isolate.lookup(&key, now, Tolerance::Strict);
    assert!(poll(late.as_mut()).is_pending());
    assert!(look_up(&harness, &isolate, 1, Tolerance::Strict).unwrap().is_some());
    harness.set_home(false);
    let known = finish(late).unwrap().unwrap();
    assert_eq!(known.stale_for, None);
}

#[test]
fn cached_results_share_one_tenant() {
    let harness = TestDirectory::new();
    harness.create(&hash(1));
    let isolate = harness.isolate(0, &DirectoryConfig::default());
    let first = look_up(&harness, &isolate, 1, Tolerance::Strict).unwrap().unwrap().tenant;
    harness.advance(Duration::from_secs(11));
    for _ in 0..3 {
        let again = look_up(&harness, &isolate, 1, Tolerance::Strict).unwrap().unwrap().tenant;
        assert!(std::sync::Arc::ptr_eq(&first, &again));
        harness.run_tasks();
        harness.advance(Duration::from_secs(5));
    }
}
