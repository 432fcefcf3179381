//! Endpoints that are changed while an attempt is in progress.

use std::time::Duration;

use futures::executor::block_on;
use streamio_core::fold_cache::EndpointCache;
use streamio_core::testing::notification;
use streamio_events::commit::NewCommit;
use streamio_events::home::{WebhookCall, WebhookResult};
use streamio_events::id::{CommitId, WebhookId};
use streamio_events::log::{EventLog as _, Expected};
use streamio_events::stream::StreamId;
use streamio_events::webhook::endpoint::EndpointChanges;

use crate::harness::{Harness, Reply, acme};

const URL: &str = "https://hooks.example.com/a";
const NEW_URL: &str = "https://hooks.example.com/new";

/// Makes `changes` of the endpoint, each a second after the other, while the next attempt is in progress.
fn change_in_flight(harness: &Harness, webhook_id: &WebhookId, changes: Vec<EndpointChanges>) {
    let (log, webhook_id, now) = (harness.region.log.clone(), webhook_id.clone(), harness.now());
    harness.in_next_attempt(move || {
        let cache = EndpointCache::default();
        for (number, changes) in (1..).zip(changes) {
            let endpoints = block_on(cache.current(&log, &acme())).unwrap();
            let events = endpoints.update(&webhook_id, changes).unwrap();
            let id = CommitId::derived_from(&["in flight", &number.to_string()]);
            let commit = NewCommit::new(id, now.plus(Duration::from_secs(number)), events);
            let expected = Expected::Exactly(endpoints.version);
            block_on(log.append(&StreamId::Webhooks(acme()), expected, commit)).unwrap();
        }
    });
}

async fn is_enabled(harness: &Harness) -> bool {
    let WebhookResult::Endpoints(endpoints) = harness.call(WebhookCall::List).await.unwrap() else {
        panic!()
    };
    endpoints[0].enabled
}

fn enabled(enabled: bool) -> EndpointChanges {
    EndpointChanges { enabled: Some(enabled), ..EndpointChanges::default() }
}

fn new_url() -> EndpointChanges {
    EndpointChanges { url: Some(NEW_URL.to_owned()), ..EndpointChanges::default() }
}

#[tokio::test]
async fn an_attempt_does_not_disable_an_endpoint_that_has_another_url_or_was_enabled_since() {
    for (changes, expected) in [
        (vec![], false),
        (vec![new_url()], true),
        (vec![enabled(false), enabled(true)], true),
        (vec![EndpointChanges { rate_limit: Some(5), ..EndpointChanges::default() }], false),
    ] {
        let mut harness = Harness::new().await;
        let webhook_id = harness.endpoint(URL, &["*"]).await.endpoint.webhook_id;
        harness.reply(URL, Reply::Status(410));
        change_in_flight(&harness, &webhook_id, changes.clone());
        harness.region.receive(notification("a.mp4", "01")).await;
        harness.settle().await;
        assert_eq!(harness.received().len(), 1);
        assert_eq!(is_enabled(&harness).await, expected, "{changes:?}");
    }
}

#[tokio::test]
async fn five_days_of_failures_of_one_url_do_not_disable_another() {
    let mut harness = Harness::new().await;
    let webhook_id = harness.endpoint(URL, &["*"]).await.endpoint.webhook_id;
    for url in [URL, NEW_URL] {
        harness.reply(url, Reply::Status(500));
    }
    harness.region.receive(notification("a.mp4", "01")).await;
    harness.settle().await;
    harness.wait(Duration::from_hours(6 * 24));
    let update = WebhookCall::Update { webhook_id, commit_id: harness.request(), changes: new_url() };
    let WebhookResult::Endpoint(updated) = harness.call(update).await.unwrap() else { panic!() };
    assert_eq!(updated.health.failing_since, None, "the new URL has not failed");
    harness.settle().await;
    assert_eq!(harness.received().last().unwrap().url, NEW_URL);
    assert!(is_enabled(&harness).await);
}
