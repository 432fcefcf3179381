//! Keys that nobody ever made: with a wrong checksum they reach no source; with a right one they are bounded, and lock
//! nobody out.

use std::time::Duration;

use http::StatusCode;
use proptest::prelude::*;
use streamio_edge::directory::{DirectoryConfig, SourceName::HomeRegion, Tolerance};

use crate::api::Api;
use crate::simulation::look_up;
use crate::world::{Health, World, api_key, hash, unlimited};

/// Numbers of keys from here on are never made.
const JUNK: u16 = 1000;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_home_region_is_asked_about_unknown_keys_as_rarely_as_stated(
        bursts in prop::collection::vec((0u64..3_000, 0u16..2_000, 1u16..120), 1..25), store_is_up: bool,
    ) {
        let world = World::new();
        world.set_store(if store_is_up { Health::Up } else { Health::Down });
        let isolate = world.isolate(0, &DirectoryConfig::default());
        for (wait, first, count) in bursts {
            world.pass(Duration::from_millis(wait));
            for number in first..first + count {
                let answer = look_up(&world, &isolate, JUNK + number, Tolerance::Stale);
                prop_assert!(!matches!(answer, Ok(Some(_))));
            }
        }
        let state = world.state();
        let calls: Vec<_> = state.questions.iter().filter(|question| question.source == HomeRegion).collect();
        for (index, first) in calls.iter().enumerate() {
            for (count, last) in calls[index..].iter().enumerate() {
                let between = last.at.since(first.at);
                let bound = 50 + between.as_millis() / 200 + 1;
                prop_assert!(count as u128 <= bound, "{} calls within {:?}", count + 1, between);
                // The home region has said that it does not know the key.
                prop_assert!(count == 0 || first.key != last.key || between > Duration::from_secs(10));
            }
        }
    }

    #[test]
    fn a_key_without_its_checksum_reaches_no_source(numbers in prop::collection::vec((any::<u16>(), 0usize..59), 1..40)) {
        let world = World::new();
        let api = Api::new(&world, &unlimited());
        for (number, at) in numbers {
            let mut text = api_key(number).reveal().to_owned();
            let other = if &text[at..=at] == "x" { "y" } else { "x" };
            text.replace_range(at..=at, other);
            let answer = api.post("/upload-url", &text, r#"{"filename":"a.mp4"}"#);
            prop_assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        }
        prop_assert_eq!(world.begun(), (0, 0));
        let unknown = api.post("/upload-url", api_key(1).reveal(), r#"{"filename":"a.mp4"}"#);
        prop_assert_eq!((unknown.status(), world.begun()), (StatusCode::UNAUTHORIZED, (0, 2)));
    }
}

#[test]
fn an_unknown_key_is_asked_about_once_in_ten_seconds() {
    let world = World::new();
    let isolate = world.isolate(0, &DirectoryConfig::default());
    for second in 0..100 {
        assert!(look_up(&world, &isolate, JUNK, Tolerance::Strict).unwrap().is_none(), "second {second}");
        world.pass(Duration::from_secs(1));
    }
    assert_eq!(world.asked(HomeRegion), 10);
}

#[test]
fn junk_locks_out_no_key_that_is_held_or_that_the_key_value_store_knows() {
    let world = World::new();
    for number in 0..100 {
        world.create(&hash(number));
    }
    let isolate = world.isolate(0, &DirectoryConfig::default());
    for number in 0..50 {
        look_up(&world, &isolate, number, Tolerance::Strict).unwrap().unwrap();
    }
    for second in 0..200 {
        world.pass(Duration::from_secs(1));
        for number in 0..200 {
            let answer = look_up(&world, &isolate, JUNK + second * 200 + number, Tolerance::Strict);
            assert!(!matches!(answer, Ok(Some(_))));
        }
        let held = look_up(&world, &isolate, second % 50, Tolerance::Strict);
        assert!(held.unwrap().is_some());
        let other_isolate = world.isolate(1, &DirectoryConfig::default());
        let stored = look_up(&world, &other_isolate, 50 + second % 50, Tolerance::Strict);
        assert!(stored.unwrap().is_some());
        let stored = look_up(&world, &isolate, 50 + second % 50, Tolerance::Strict);
        assert!(stored.unwrap().is_some());
        world.run_tasks();
    }
    // Past the hard age, with the home region alone.
    world.set_store(Health::Down);
    world.pass(Duration::from_secs(61));
    for number in 0..500 {
        assert!(!matches!(look_up(&world, &isolate, 60_000 + number, Tolerance::Strict), Ok(Some(_))));
    }
    for number in 0..100 {
        assert!(look_up(&world, &isolate, number, Tolerance::Strict).unwrap().is_some(), "key {number}");
    }
}

#[test]
fn a_key_that_only_the_home_region_knows_is_never_called_unknown_and_gets_in_after_the_junk() {
    let world = World::new();
    world.state().lags = vec![1000];
    world.create(&hash(1));
    let isolate = world.isolate(0, &DirectoryConfig::default());
    for number in 0..50 {
        assert!(look_up(&world, &isolate, JUNK + number, Tolerance::Strict).unwrap().is_none());
    }
    let error = look_up(&world, &isolate, 1, Tolerance::Strict).unwrap_err();
    let home = std::error::Error::source(&error).unwrap().source().unwrap().to_string();
    assert!(home.contains("used up its calls"), "{home}");
    world.pass(Duration::from_millis(200));
    assert!(look_up(&world, &isolate, 1, Tolerance::Strict).unwrap().is_some());
}

#[test]
fn a_new_key_works_at_once_and_one_tried_too_early_after_ten_seconds() {
    let world = World::new();
    world.state().lags = vec![1000];
    let isolate = world.isolate(0, &DirectoryConfig::default());
    assert!(look_up(&world, &isolate, 2, Tolerance::Strict).unwrap().is_none());
    world.create(&hash(1));
    world.create(&hash(2));
    assert!(look_up(&world, &isolate, 1, Tolerance::Strict).unwrap().is_some());
    assert!(look_up(&world, &isolate, 2, Tolerance::Strict).unwrap().is_none());
    world.pass(Duration::from_millis(10_001));
    assert!(look_up(&world, &isolate, 2, Tolerance::Strict).unwrap().is_some());
}
