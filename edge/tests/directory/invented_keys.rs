//! Keys that do not exist: with a wrong checksum they cause no call to a source; with a valid one the calls are limited
//! and lock no other key out.

use std::time::Duration;

use http::StatusCode;
use proptest::prelude::*;
use streamio_edge::directory::{DirectoryConfig, SourceName::HomeRegion, Tolerance};

use crate::api::Api;
use crate::simulation::look_up;
use crate::test_directory::{Health, TestDirectory, api_key, hash, unlimited_calls};

/// Keys with numbers from here on are never created.
const INVENTED: u16 = 1000;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn calls_to_the_home_region_about_unknown_keys_stay_within_the_limits(
        bursts in prop::collection::vec((0u64..3_000, 0u16..2_000, 1u16..120), 1..25), store_is_up: bool,
    ) {
        let harness = TestDirectory::new();
        harness.set_store(if store_is_up { Health::Up } else { Health::Down });
        let isolate = harness.isolate(0, &DirectoryConfig::default());
        for (wait, first, count) in bursts {
            harness.advance(Duration::from_millis(wait));
            for number in first..first + count {
                let result = look_up(&harness, &isolate, INVENTED + number, Tolerance::Stale);
                prop_assert!(!matches!(result, Ok(Some(_))));
            }
        }
        let state = harness.state();
        let calls: Vec<_> = state.calls.iter().filter(|call| call.source == HomeRegion).collect();
        for (index, first) in calls.iter().enumerate() {
            for (count, last) in calls[index..].iter().enumerate() {
                let between = last.at.since(first.at);
                let bound = 50 + between.as_millis() / 200 + 1;
                prop_assert!(count as u128 <= bound, "{} calls within {:?}", count + 1, between);
                // The home region did not know the key.
                prop_assert!(count == 0 || first.key != last.key || between > Duration::from_secs(10));
            }
        }
    }

    #[test]
    fn a_key_with_a_wrong_checksum_causes_no_call_to_a_source(numbers in prop::collection::vec((any::<u16>(), 0usize..59), 1..40)) {
        let harness = TestDirectory::new();
        let api = Api::new(&harness, &unlimited_calls());
        for (number, at) in numbers {
            let mut text = api_key(number).reveal().to_owned();
            let other = if &text[at..=at] == "x" { "y" } else { "x" };
            text.replace_range(at..=at, other);
            let response = api.post("/upload-url", &text, r#"{"filename":"a.mp4"}"#);
            prop_assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        }
        prop_assert_eq!(harness.started_counts(), (0, 0));
        let unknown = api.post("/upload-url", api_key(1).reveal(), r#"{"filename":"a.mp4"}"#);
        prop_assert_eq!((unknown.status(), harness.started_counts()), (StatusCode::UNAUTHORIZED, (0, 2)));
    }
}

#[test]
fn the_home_region_is_called_about_an_unknown_key_once_in_ten_seconds() {
    let harness = TestDirectory::new();
    let isolate = harness.isolate(0, &DirectoryConfig::default());
    for second in 0..100 {
        assert!(
            look_up(&harness, &isolate, INVENTED, Tolerance::Strict).unwrap().is_none(),
            "second {second}"
        );
        harness.advance(Duration::from_secs(1));
    }
    assert_eq!(harness.calls_to(HomeRegion), 10);
}

#[test]
fn invented_keys_lock_out_no_key_that_is_cached_or_in_the_key_value_store() {
    let harness = TestDirectory::new();
    for number in 0..100 {
        harness.create(&hash(number));
    }
    let isolate = harness.isolate(0, &DirectoryConfig::default());
    for number in 0..50 {
        look_up(&harness, &isolate, number, Tolerance::Strict).unwrap().unwrap();
    }
    for second in 0..200 {
        harness.advance(Duration::from_secs(1));
        for number in 0..200 {
            let result = look_up(&harness, &isolate, INVENTED + second * 200 + number, Tolerance::Strict);
            assert!(!matches!(result, Ok(Some(_))));
        }
        let cached = look_up(&harness, &isolate, second % 50, Tolerance::Strict);
        assert!(cached.unwrap().is_some());
        let other_isolate = harness.isolate(1, &DirectoryConfig::default());
        let stored = look_up(&harness, &other_isolate, 50 + second % 50, Tolerance::Strict);
        assert!(stored.unwrap().is_some());
        let stored = look_up(&harness, &isolate, 50 + second % 50, Tolerance::Strict);
        assert!(stored.unwrap().is_some());
        harness.run_tasks();
    }
    // Past the hard age, while only the home region is up.
    harness.set_store(Health::Down);
    harness.advance(Duration::from_secs(61));
    for number in 0..500 {
        assert!(!matches!(look_up(&harness, &isolate, 60_000 + number, Tolerance::Strict), Ok(Some(_))));
    }
    for number in 0..100 {
        assert!(look_up(&harness, &isolate, number, Tolerance::Strict).unwrap().is_some(), "key {number}");
    }
}

#[test]
fn a_key_that_only_the_home_region_has_is_never_unknown_and_is_found_once_a_call_is_allowed() {
    let harness = TestDirectory::new();
    harness.state().lags = vec![1000];
    harness.create(&hash(1));
    let isolate = harness.isolate(0, &DirectoryConfig::default());
    for number in 0..50 {
        assert!(look_up(&harness, &isolate, INVENTED + number, Tolerance::Strict).unwrap().is_none());
    }
    let error = look_up(&harness, &isolate, 1, Tolerance::Strict).unwrap_err();
    let home = std::error::Error::source(&error).unwrap().source().unwrap().to_string();
    assert!(home.contains("used up its calls"), "{home}");
    harness.advance(Duration::from_millis(200));
    assert!(look_up(&harness, &isolate, 1, Tolerance::Strict).unwrap().is_some());
}

#[test]
fn a_new_key_is_found_at_once_and_one_used_before_its_creation_after_ten_seconds() {
    let harness = TestDirectory::new();
    harness.state().lags = vec![1000];
    let isolate = harness.isolate(0, &DirectoryConfig::default());
    assert!(look_up(&harness, &isolate, 2, Tolerance::Strict).unwrap().is_none());
    harness.create(&hash(1));
    harness.create(&hash(2));
    assert!(look_up(&harness, &isolate, 1, Tolerance::Strict).unwrap().is_some());
    assert!(look_up(&harness, &isolate, 2, Tolerance::Strict).unwrap().is_none());
    harness.advance(Duration::from_millis(10_001));
    assert!(look_up(&harness, &isolate, 2, Tolerance::Strict).unwrap().is_some());
}
