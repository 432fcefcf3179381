use std::time::Duration;

use super::*;
use crate::commit::{CommitHash, Head, NewCommit};
use crate::id::{CommitId, MessageId};
use crate::stream::StreamId;
use proptest::prelude::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(1_767_323_045 + seconds)
}

fn id(number: usize) -> WebhookId {
    WebhookId::derived_from(&[&number.to_be_bytes()])
}

fn new(url: &str) -> NewEndpoint {
    NewEndpoint { url: url.to_owned(), types: vec![TypePattern::All], description: None, rate_limit: None }
}

/// Records `events` at `seconds`. Returns how many there were.
fn record(endpoints: &mut Endpoints, seconds: i64, events: Vec<EventBody>) -> usize {
    let count = events.len();
    if count > 0 {
        let commit_id = CommitId::derived_from(&[&endpoints.version.to_string()]);
        let head = Head { version: endpoints.version, hash: CommitHash::GENESIS };
        let stream = StreamId::Webhooks(endpoints.project_id.clone());
        let commit = Commit::following(stream, head, NewCommit::new(commit_id, at(seconds), events));
        endpoints.apply_commit(&commit).unwrap();
    }
    count
}

fn with_one() -> Endpoints {
    let mut endpoints = Endpoints::new("acme".parse().unwrap());
    let events = endpoints.register(&id(0), new("https://example.com")).unwrap();
    record(&mut endpoints, 0, events);
    endpoints
}

#[test]
fn an_endpoint_is_registered_once_and_a_project_may_have_twenty() {
    let mut endpoints = with_one();
    assert_eq!(endpoints.register(&id(0), new("https://other.example")), Ok(vec![]));
    for number in 1..MAX_ENDPOINTS {
        let events = endpoints.register(&id(number), new("https://example.com")).unwrap();
        assert_eq!(record(&mut endpoints, 0, events), 1);
    }
    assert_eq!(endpoints.register(&id(99), new("https://example.com")), Err(EndpointRefusal::TooMany));
    let events = endpoints.remove(&id(3)).unwrap();
    record(&mut endpoints, 1, events);
    assert_eq!(endpoints.get(&id(3)), Err(EndpointRefusal::NotFound(id(3))));
    assert!(endpoints.register(&id(99), new("https://example.com")).is_ok());
}

#[test]
fn the_old_secret_is_used_until_the_overlap_has_ended() {
    let mut endpoints = with_one();
    let versions = |endpoints: &Endpoints, seconds| -> Vec<u32> {
        endpoints.get(&id(0)).unwrap().secret_versions(at(seconds)).collect()
    };
    assert_eq!(versions(&endpoints, 5), [1]);
    let events = endpoints.rotate_secret(&id(0), at(10), Duration::from_secs(100)).unwrap();
    record(&mut endpoints, 10, events);
    assert_eq!(versions(&endpoints, 109), [2, 1]);
    assert_eq!(versions(&endpoints, 110), [2]);
    let events = endpoints.rotate_secret(&id(0), at(20), Duration::from_secs(50)).unwrap();
    record(&mut endpoints, 20, events);
    assert_eq!(versions(&endpoints, 69), [3, 2, 1], "all are used that have not ended");
    assert_eq!(versions(&endpoints, 70), [3], "none longer than its successor");
    assert_eq!(endpoints.get(&id(0)).unwrap().previous_secret_until(at(20)), Some(at(70)));
    let events = endpoints.rotate_secret(&id(0), at(30), Duration::ZERO).unwrap();
    record(&mut endpoints, 30, events);
    assert_eq!(versions(&endpoints, 30), [4], "without an overlap all end at once");
}

#[test]
fn a_rotation_ends_the_oldest_secret_when_there_are_too_many() {
    let mut endpoints = with_one();
    for rotation in 0..100 {
        let events = endpoints.rotate_secret(&id(0), at(rotation), Duration::from_hours(24)).unwrap();
        record(&mut endpoints, rotation, events);
        assert!(endpoints.get(&id(0)).unwrap().previous_secrets.len() < MAX_SECRETS);
    }
    let versions: Vec<u32> = endpoints.get(&id(0)).unwrap().secret_versions(at(100)).collect();
    assert_eq!(versions, [101, 100, 99, 98, 97]);
}

#[test]
fn failures_of_another_url_do_not_count() {
    let mut endpoints = with_one();
    let url = Some("https://new.example".to_owned());
    let events = endpoints.update(&id(0), EndpointChanges { url, ..EndpointChanges::default() }).unwrap();
    record(&mut endpoints, 70, events);
    assert_eq!(endpoints.get(&id(0)).unwrap().enabled_at, at(70));
}

#[test]
fn a_disabled_endpoint_receives_nothing_until_it_is_enabled_from_when_on_failures_count() {
    let mut endpoints = with_one();
    let message = MessageId::derived_from(&["a"]);
    let disable =
        |endpoints: &Endpoints| endpoints.disable(&id(0), DisabledReason::Failing, Some(at(0)), &message);
    let events = disable(&endpoints);
    assert_eq!(record(&mut endpoints, 50, events), 1);
    assert_eq!(disable(&endpoints), [], "it is disabled already");
    assert_eq!(endpoints.receivers(MessageType::VideoReady).count(), 0);
    let disabled = endpoints.get(&id(0)).unwrap().disabled.unwrap();
    assert_eq!((disabled.at, disabled.failing_since), (at(50), Some(at(0))));
    let changes = EndpointChanges { enabled: Some(true), ..EndpointChanges::default() };
    let events = endpoints.update(&id(0), changes.clone()).unwrap();
    record(&mut endpoints, 60, events);
    assert_eq!(endpoints.receivers(MessageType::VideoReady).count(), 1);
    assert_eq!(endpoints.get(&id(0)).unwrap().enabled_at, at(60));
    assert_eq!(endpoints.update(&id(0), changes), Ok(vec![]), "it is enabled already");
    assert_eq!(endpoints.disable(&id(1), DisabledReason::Gone, None, &message), [], "it was removed");
}

fn changes() -> impl Strategy<Value = EndpointChanges> {
    let url = prop::option::of("https://[ab]\\.example");
    let types = prop::option::of(Just(vec![TypePattern::Videos]));
    let numbers = (prop::option::of("[ab]?"), prop::option::of(0u32..3), prop::option::of(any::<bool>()));
    (url, types, numbers).prop_map(|(url, types, (description, rate_limit, enabled))| EndpointChanges {
        url,
        types,
        description,
        rate_limit,
        enabled,
    })
}

proptest! {
    /// After an update the endpoint has the requested settings and otherwise its old ones, and the same update changes nothing.
    #[test]
    fn an_update_has_the_requested_result_and_is_idempotent(all in prop::collection::vec(changes(), 1..6)) {
        let mut endpoints = with_one();
        for changes in all {
            let before = endpoints.get(&id(0)).unwrap().clone();
            let events = endpoints.update(&id(0), changes.clone()).unwrap();
            record(&mut endpoints, 1, events);
            let after = endpoints.get(&id(0)).unwrap();
            let text = |endpoint: &Endpoint| endpoint.description.clone().unwrap_or_default();
            prop_assert_eq!(&after.url, changes.url.as_ref().unwrap_or(&before.url));
            prop_assert_eq!(&after.types, changes.types.as_ref().unwrap_or(&before.types));
            prop_assert_eq!(text(after), changes.description.clone().unwrap_or_else(|| text(&before)));
            let limit = changes.rate_limit.unwrap_or(before.rate_limit.unwrap_or(0));
            prop_assert_eq!(after.rate_limit.unwrap_or(0), limit);
            let enabled = changes.enabled.unwrap_or(before.disabled.is_none());
            prop_assert_eq!(after.disabled.is_none(), enabled);
            prop_assert_eq!(endpoints.update(&id(0), changes), Ok(vec![]));
        }
    }
}
