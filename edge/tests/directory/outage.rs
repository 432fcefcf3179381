//! While sources are down or wrong: playback goes on for its time and says so, all else is refused past the hard age.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use proptest::prelude::*;
use streamio_edge::Served;
use streamio_edge::directory::{DirectoryConfig, SourceName, Tolerance};

use crate::api::Api;
use crate::simulation::look_up;
use crate::world::{Health, LOCATIONS, World, api_key, hash, unlimited};

fn upload(api: &Api) -> Response<Bytes> {
    api.post("/upload-url", api_key(1).reveal(), r#"{"filename":"a.mp4"}"#)
}

fn play(api: &Api) -> Response<Bytes> {
    api.post("/playback-url?key=processed/acme/a.mp4", api_key(1).reveal(), "{}")
}

fn header<'a>(answer: &'a Response<Bytes>, name: &str) -> Option<&'a str> {
    answer.headers().get(name).map(|value| value.to_str().unwrap())
}

/// What the operator's log would say.
fn cause(answer: &Response<Bytes>) -> String {
    let served = answer.extensions().get::<Served>().unwrap();
    let mut next: Option<&(dyn Error + 'static)> = served.cause.as_deref().map(|cause| cause as _);
    let mut messages = Vec::new();
    while let Some(error) = next {
        messages.push(error.to_string());
        next = error.source();
    }
    messages.join(": ")
}

/// An API that knows key 1, and sources that are down from then on.
fn outage() -> (World, Api) {
    let world = World::new();
    world.create(&hash(1));
    let api = Api::new(&world, &DirectoryConfig::default());
    assert_eq!(upload(&api).status(), StatusCode::OK);
    world.set_store(Health::Down);
    world.set_home(false);
    (world, api)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn in_an_outage_playback_is_stale_within_its_bound_and_all_else_fails_past_the_hard_age(
        ages in prop::collection::btree_set(prop_oneof![0u64..130_000, 0u64..1_100_000, 959_900u64..960_100], 1..20),
    ) {
        let (world, api) = outage();
        let mut last = 0;
        for age in ages {
            world.pass(Duration::from_millis(age - last));
            last = age;
            let (upload, play) = (upload(&api), play(&api));
            for (answer, bound) in [(&upload, 60_000), (&play, 60_000 + 900_000)] {
                if age <= bound {
                    prop_assert_eq!(answer.status(), StatusCode::OK);
                } else {
                    prop_assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
                    prop_assert_eq!(header(answer, "retry-after"), Some("1"));
                    let body = std::str::from_utf8(answer.body()).unwrap();
                    prop_assert!(!body.contains("Signature") && !body.contains("0000"), "{}", body);
                }
            }
            let late = age.saturating_sub(60_000).div_ceil(1000);
            let says_so = format!("streamio-directory; hit; ttl=-{late}");
            let expected = (play.status() == StatusCode::OK && late > 0).then_some(says_so.as_str());
            prop_assert_eq!(header(&play, "cache-status"), expected);
            prop_assert_eq!(header(&upload, "cache-status"), None);
            world.run_tasks();
        }
        world.set_home(true);
        world.pass(Duration::from_secs(1));
        prop_assert_eq!(upload(&api).status(), StatusCode::OK);
        let play = play(&api);
        prop_assert_eq!((play.status(), header(&play, "cache-status")), (StatusCode::OK, None));
    }
}

#[test]
fn a_key_revoked_in_an_outage_plays_no_longer_than_the_outage() {
    let (world, api) = outage();
    world.write(&hash(1), |tenant| tenant.revoked = true);
    world.pass(Duration::from_mins(5));
    assert_eq!(play(&api).status(), StatusCode::OK);
    world.set_store(Health::Up);
    world.pass(Duration::from_secs(1));
    assert_eq!(play(&api).status(), StatusCode::UNAUTHORIZED);
    assert_eq!(upload(&api).status(), StatusCode::UNAUTHORIZED);
}

#[test]
fn the_operator_is_told_why_nobody_could_say_and_never_the_key() {
    let (world, api) = outage();
    world.pass(Duration::from_secs(61));
    let first = cause(&upload(&api));
    insta::assert_snapshot!(first, @"the directory of API keys is not available: the API key could not be confirmed; the key-value store failed: the store's pin is 0000: the home region failed: no route to the home region");
    let second = cause(&upload(&api));
    insta::assert_snapshot!(second, @"the directory of API keys is not available: the API key could not be confirmed a moment ago, and is asked about again at most once a `directory.retry`");
    assert!(!format!("{first}{second}{:?}", world.state().failures).contains(api_key(1).reveal()));
}

#[test]
fn in_an_outage_one_look_up_a_second_asks_and_the_others_are_answered_at_once() {
    let (world, api) = outage();
    world.pass(Duration::from_secs(61));
    let before = world.begun().1;
    for _ in 0..100 {
        assert_eq!(play(&api).status(), StatusCode::OK);
        world.pass(Duration::from_millis(100));
    }
    assert_eq!(world.begun().1 - before, 2 * 10, "each asks the store and the home region");
}

#[test]
fn either_source_is_enough() {
    for (store, home_is_up) in [(Health::Up, false), (Health::Down, true), (Health::Garbled, true)] {
        let (world, api) = outage();
        world.set_store(store);
        world.set_home(home_is_up);
        for _ in 0..20 {
            world.pass(Duration::from_secs(61));
            assert_eq!(upload(&api).status(), StatusCode::OK, "{store:?}");
        }
        world.write(&hash(1), |tenant| tenant.revoked = true);
        world.pass(Duration::from_secs(61));
        assert_eq!(upload(&api).status(), StatusCode::UNAUTHORIZED, "{store:?}");
    }
}

#[test]
fn nonsense_in_the_key_value_store_is_told_and_makes_no_key_unknown() {
    let world = World::new();
    world.create(&hash(1));
    world.set_store(Health::Garbled);
    let isolate = world.isolate(0, &unlimited());
    assert!(look_up(&world, &isolate, 1, Tolerance::Strict).unwrap().is_some());
    let told = world.state().failures.clone();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].0, SourceName::KeyValueStore);
    insta::assert_snapshot!(told[0].1, @"the key-value store failed: the stored tenant cannot be read: expected value at line 1 column 1");
    world.set_home(false);
    assert!(look_up(&world, &isolate, 2, Tolerance::Stale).is_err());
}

#[test]
fn the_record_of_another_key_lets_nobody_in() {
    let world = World::new();
    world.create(&hash(1));
    let record = world.state().records[&hash(1)].clone();
    world.state().records.insert(hash(2), record);
    let isolate = world.isolate(0, &unlimited());
    assert!(look_up(&world, &isolate, 2, Tolerance::Stale).is_err());
    let sources: Vec<_> = world.state().failures.iter().map(|(source, _)| *source).collect();
    assert_eq!(sources, [SourceName::KeyValueStore, SourceName::HomeRegion]);
}

#[test]
fn a_home_region_that_has_forgotten_a_key_confirms_nothing() {
    let world = World::new();
    world.create(&hash(1));
    let isolate = world.isolate(0, &unlimited());
    look_up(&world, &isolate, 1, Tolerance::Strict).unwrap().unwrap();
    world.state().records.clear();
    world.pass(Duration::from_secs(61));
    assert!(look_up(&world, &isolate, 1, Tolerance::Strict).is_err());
    let known = look_up(&world, &isolate, 1, Tolerance::Stale).unwrap().unwrap();
    assert_eq!(known.stale_for, Some(Duration::from_secs(1)));
    let told = world.state().failures.clone();
    insta::assert_snapshot!(told[0].1, @"the home region does not know the key any more, of which version 1 was seen before");
}

#[test]
fn a_key_value_store_that_was_rolled_back_keeps_no_revoked_key_alive() {
    let world = World::new();
    world.create(&hash(1));
    world.pass(Duration::from_hours(1));
    world.write(&hash(1), |_| ());
    let api = Api::new(&world, &DirectoryConfig::default());
    assert_eq!(upload(&api).status(), StatusCode::OK);
    // From here on it answers what was there an hour ago.
    world.state().rolled_back = [true; LOCATIONS];
    world.state().lags = vec![1000];
    world.write(&hash(1), |tenant| tenant.revoked = true);
    world.pass(Duration::from_secs(61));
    for second in 0..1800 {
        assert_eq!(upload(&api).status(), StatusCode::UNAUTHORIZED, "second {second}");
        assert_eq!(play(&api).status(), StatusCode::UNAUTHORIZED, "second {second}");
        world.run_tasks();
        world.pass(Duration::from_secs(1));
    }
    world.set_home(false);
    world.pass(Duration::from_secs(61));
    assert_eq!(upload(&api).status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(play(&api).status(), StatusCode::UNAUTHORIZED);
}
