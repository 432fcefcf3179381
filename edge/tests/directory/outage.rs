//! Sources that are down or wrong: playback continues for the stale age and states it; other calls fail past the hard age.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use proptest::prelude::*;
use streamio_edge::Served;
use streamio_edge::directory::{DirectoryConfig, SourceName, Tolerance};

use crate::api::Api;
use crate::simulation::look_up;
use crate::test_directory::{Health, LOCATIONS, TestDirectory, api_key, hash, unlimited_calls};

fn upload(api: &Api) -> Response<Bytes> {
    api.post("/upload-url", api_key(1).reveal(), r#"{"filename":"a.mp4"}"#)
}

fn play(api: &Api) -> Response<Bytes> {
    api.post("/playback-url?key=processed/acme/a.mp4", api_key(1).reveal(), "{}")
}

fn header<'a>(response: &'a Response<Bytes>, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

/// The cause in the operator's log.
fn cause(response: &Response<Bytes>) -> String {
    let served = response.extensions().get::<Served>().unwrap();
    let mut next: Option<&(dyn Error + 'static)> = served.cause.as_deref().map(|cause| cause as _);
    let mut messages = Vec::new();
    while let Some(error) = next {
        messages.push(error.to_string());
        next = error.source();
    }
    messages.join(": ")
}

/// An API that has cached key 1, and then all sources down.
fn outage() -> (TestDirectory, Api) {
    let harness = TestDirectory::new();
    harness.create(&hash(1));
    let api = Api::new(&harness, &DirectoryConfig::default());
    assert_eq!(upload(&api).status(), StatusCode::OK);
    harness.set_store(Health::Down);
    harness.set_home(false);
    (harness, api)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn in_an_outage_playback_is_stale_within_its_bound_and_other_calls_fail_past_the_hard_age(
        ages in prop::collection::btree_set(prop_oneof![0u64..130_000, 0u64..1_100_000, 959_900u64..960_100], 1..20),
    ) {
        let (harness, api) = outage();
        let mut last = 0;
        for age in ages {
            harness.advance(Duration::from_millis(age - last));
            last = age;
            let (upload, play) = (upload(&api), play(&api));
            for (response, bound) in [(&upload, 60_000), (&play, 60_000 + 900_000)] {
                if age <= bound {
                    prop_assert_eq!(response.status(), StatusCode::OK);
                } else {
                    prop_assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
                    prop_assert_eq!(header(response, "retry-after"), Some("1"));
                    let body = std::str::from_utf8(response.body()).unwrap();
                    prop_assert!(!body.contains("Signature") && !body.contains("0000"), "{}", body);
                }
            }
            let late = age.saturating_sub(60_000).div_ceil(1000);
            let cache_status = format!("streamio-directory; hit; ttl=-{late}");
            let expected = (play.status() == StatusCode::OK && late > 0).then_some(cache_status.as_str());
            prop_assert_eq!(header(&play, "cache-status"), expected);
            prop_assert_eq!(header(&upload, "cache-status"), None);
            harness.run_tasks();
        }
        harness.set_home(true);
        harness.advance(Duration::from_secs(1));
        prop_assert_eq!(upload(&api).status(), StatusCode::OK);
        let play = play(&api);
        prop_assert_eq!((play.status(), header(&play, "cache-status")), (StatusCode::OK, None));
    }
}

#[test]
fn a_key_revoked_in_an_outage_is_refused_after_the_outage() {
    let (harness, api) = outage();
    harness.write(&hash(1), |tenant| tenant.revoked = true);
    harness.advance(Duration::from_mins(5));
    assert_eq!(play(&api).status(), StatusCode::OK);
    harness.set_store(Health::Up);
    harness.advance(Duration::from_secs(1));
    assert_eq!(play(&api).status(), StatusCode::UNAUTHORIZED);
    assert_eq!(upload(&api).status(), StatusCode::UNAUTHORIZED);
}

#[test]
fn the_cause_states_why_each_source_failed_and_never_the_key() {
    let (harness, api) = outage();
    harness.advance(Duration::from_secs(61));
    let first = cause(&upload(&api));
    insta::assert_snapshot!(first, @"the directory of API keys is not available: the API key could not be confirmed; the key-value store failed: the store's pin is 0000: the home region failed: no route to the home region");
    let second = cause(&upload(&api));
    insta::assert_snapshot!(second, @"the directory of API keys is not available: the API key could not be confirmed a moment ago; the sources are called once per `directory.retry`");
    assert!(!format!("{first}{second}{:?}", harness.state().failures).contains(api_key(1).reveal()));
}

#[test]
fn in_an_outage_one_lookup_per_second_calls_the_sources_and_the_others_return_at_once() {
    let (harness, api) = outage();
    harness.advance(Duration::from_secs(61));
    let before = harness.started_counts().1;
    for _ in 0..100 {
        assert_eq!(play(&api).status(), StatusCode::OK);
        harness.advance(Duration::from_millis(100));
    }
    assert_eq!(harness.started_counts().1 - before, 2 * 10, "each calls the store and the home region");
}

#[test]
fn either_source_is_enough() {
    for (store, home_is_up) in [(Health::Up, false), (Health::Down, true), (Health::Garbled, true)] {
        let (harness, api) = outage();
        harness.set_store(store);
        harness.set_home(home_is_up);
        for _ in 0..20 {
            harness.advance(Duration::from_secs(61));
            assert_eq!(upload(&api).status(), StatusCode::OK, "{store:?}");
        }
        harness.write(&hash(1), |tenant| tenant.revoked = true);
        harness.advance(Duration::from_secs(61));
        assert_eq!(upload(&api).status(), StatusCode::UNAUTHORIZED, "{store:?}");
    }
}

#[test]
fn an_unreadable_record_in_the_key_value_store_is_reported_and_makes_no_key_unknown() {
    let harness = TestDirectory::new();
    harness.create(&hash(1));
    harness.set_store(Health::Garbled);
    let isolate = harness.isolate(0, &unlimited_calls());
    assert!(look_up(&harness, &isolate, 1, Tolerance::Strict).unwrap().is_some());
    let reported = harness.state().failures.clone();
    assert_eq!(reported.len(), 1);
    assert_eq!(reported[0].0, SourceName::KeyValueStore);
    insta::assert_snapshot!(reported[0].1, @"the key-value store failed: the stored tenant cannot be read: expected value at line 1 column 1");
    harness.set_home(false);
    assert!(look_up(&harness, &isolate, 2, Tolerance::Stale).is_err());
}

#[test]
fn the_record_of_another_key_is_refused() {
    let harness = TestDirectory::new();
    harness.create(&hash(1));
    let record = harness.state().records[&hash(1)].clone();
    harness.state().records.insert(hash(2), record);
    let isolate = harness.isolate(0, &unlimited_calls());
    assert!(look_up(&harness, &isolate, 2, Tolerance::Stale).is_err());
    let sources: Vec<_> = harness.state().failures.iter().map(|(source, _)| *source).collect();
    assert_eq!(sources, [SourceName::KeyValueStore, SourceName::HomeRegion]);
}

#[test]
fn a_home_region_that_lost_a_key_confirms_nothing() {
    let harness = TestDirectory::new();
    harness.create(&hash(1));
    let isolate = harness.isolate(0, &unlimited_calls());
    look_up(&harness, &isolate, 1, Tolerance::Strict).unwrap().unwrap();
    harness.state().records.clear();
    harness.advance(Duration::from_secs(61));
    assert!(look_up(&harness, &isolate, 1, Tolerance::Strict).is_err());
    let known = look_up(&harness, &isolate, 1, Tolerance::Stale).unwrap().unwrap();
    assert_eq!(known.stale_for, Some(Duration::from_secs(1)));
    let reported = harness.state().failures.clone();
    insta::assert_snapshot!(reported[0].1, @"the home region no longer has the key, of which version 1 is cached");
}

#[test]
fn a_revoked_key_stays_refused_when_the_key_value_store_is_rolled_back() {
    let harness = TestDirectory::new();
    harness.create(&hash(1));
    harness.advance(Duration::from_hours(1));
    harness.write(&hash(1), |_| ());
    let api = Api::new(&harness, &DirectoryConfig::default());
    assert_eq!(upload(&api).status(), StatusCode::OK);
    // From here on the store returns its records of an hour ago.
    harness.state().rolled_back = [true; LOCATIONS];
    harness.state().lags = vec![1000];
    harness.write(&hash(1), |tenant| tenant.revoked = true);
    harness.advance(Duration::from_secs(61));
    for second in 0..1800 {
        assert_eq!(upload(&api).status(), StatusCode::UNAUTHORIZED, "second {second}");
        assert_eq!(play(&api).status(), StatusCode::UNAUTHORIZED, "second {second}");
        harness.run_tasks();
        harness.advance(Duration::from_secs(1));
    }
    harness.set_home(false);
    harness.advance(Duration::from_secs(61));
    assert_eq!(upload(&api).status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(play(&api).status(), StatusCode::UNAUTHORIZED);
}
