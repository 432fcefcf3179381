//! Endpoints that were changed very often, and jobs of very many steps.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use streamio_core::fold_cache::EndpointCache;
use streamio_core::ports::project_feed::{FeedPlaces, PlaceError};
use streamio_core::testing::{MemoryFeed, notification};
use streamio_core::webhooks::replaying::Next;
use streamio_core::webhooks::scheduling::{self, schedule_messages};
use streamio_events::commit::{Commit, NewCommit};
use streamio_events::event::EventBody;
use streamio_events::home::{HomeError, WebhookCall};
use streamio_events::id::{CommitId, WebhookId};
use streamio_events::log::{EventLog as _, EventLogExt as _, Expected};
use streamio_events::stream::StreamId;
use streamio_events::webhook::endpoint::{EndpointChanges, MAX_CHANGES_OF_DAY};
use streamio_events::webhook::replay::{FeedBound, ReplayEnd, ReplayKind, ReplayRequest};

use crate::harness::{Harness, acme};
use crate::replays::{URL, everything, request, run, show, start};

/// Counts how many places are looked up.
struct CountedPlaces(MemoryFeed, AtomicUsize);

#[async_trait]
impl FeedPlaces for CountedPlaces {
    async fn place(&self, commit: &Commit) -> Result<u64, PlaceError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.place(commit).await
    }
}

async fn update(harness: &mut Harness, webhook_id: &WebhookId, rate_limit: u32) -> Result<(), HomeError> {
    let changes = EndpointChanges { rate_limit: Some(rate_limit), ..EndpointChanges::default() };
    let commit_id = harness.request();
    let update = WebhookCall::Update { webhook_id: webhook_id.clone(), commit_id, changes };
    harness.call(update).await.map(drop)
}

#[tokio::test]
async fn the_endpoints_before_many_changes_are_found_with_few_look_ups() {
    let mut harness = Harness::new().await;
    let webhook_id = harness.endpoint(URL, &["video.uploaded"]).await.endpoint.webhook_id;
    for limit in 1..200 {
        update(&mut harness, &webhook_id, limit).await.unwrap();
    }
    harness.region.receive(notification("a.mp4", "01")).await;
    for limit in 1..200 {
        update(&mut harness, &webhook_id, limit).await.unwrap();
    }
    let commits = harness.region.log.scan_to_end().await.unwrap();
    let video = commits.iter().find(|commit| matches!(commit.stream, StreamId::Video(..))).unwrap();
    let places = CountedPlaces(MemoryFeed(harness.region.log.clone()), AtomicUsize::new(0));
    // An instance that knows nothing.
    let endpoints = EndpointCache::default();
    let ports = scheduling::Ports { log: &harness.region.log, endpoints: &endpoints, places: &places };
    schedule_messages(ports, harness.now(), &video.stream, &[video]).await.unwrap();
    let looked_up = places.1.load(Ordering::Relaxed);
    assert!(looked_up < 25, "{looked_up} places were looked up");
    harness.settle().await;
    assert_eq!(harness.received().len(), 1);
}

#[tokio::test]
async fn endpoints_may_be_changed_so_often_in_a_day_and_always_be_removed() {
    let mut harness = Harness::new().await;
    let webhook_id = harness.endpoint(URL, &["*"]).await.endpoint.webhook_id;
    for limit in 1..MAX_CHANGES_OF_DAY {
        update(&mut harness, &webhook_id, limit).await.unwrap();
    }
    let refused = update(&mut harness, &webhook_id, 7).await;
    assert!(matches!(refused, Err(HomeError::Conflict { .. })), "{refused:?}");
    harness.wait(Duration::from_hours(24));
    update(&mut harness, &webhook_id, 7).await.unwrap();
    for limit in 2..=MAX_CHANGES_OF_DAY {
        // What was decided already is not refused.
        let _ = update(&mut harness, &webhook_id, limit).await;
    }
    update(&mut harness, &webhook_id, 1).await.unwrap_err();
    let remove = WebhookCall::Remove { webhook_id: webhook_id.clone(), commit_id: harness.request() };
    harness.call(remove).await.unwrap();
}

/// The progress of a slow job is recorded once for several messages.
#[tokio::test]
async fn a_slow_job_does_not_record_its_progress_for_each_message() {
    let mut harness = Harness::new().await;
    let webhook_id = harness.endpoint(URL, &["video.uploaded"]).await.endpoint.webhook_id;
    for number in 0..30 {
        harness.region.receive(notification(&format!("{number}.mp4"), "01")).await;
    }
    harness.settle().await;
    let job = start(&mut harness, &webhook_id, ReplayRequest { rate: 1, ..everything() }).await;
    let began = harness.now();
    run(&mut harness, &webhook_id).await;
    assert!(harness.now().since(began) >= Duration::from_secs(30), "one message in a second");
    let ended = show(&harness, &webhook_id, &job.replay_id).await;
    assert_eq!((ended.reason, ended.scheduled), (Some(ReplayEnd::Completed), 30));
    let stream = StreamId::Replays(acme(), webhook_id);
    let commits = harness.region.log.read_to_end(&stream, 1).await.unwrap();
    assert!(commits.len() <= 6, "{} commits for 30 messages", commits.len());
}

/// Ends the deliveries of the endpoint with a failure.
async fn fail_all(harness: &mut Harness, webhook_id: &WebhookId) {
    let set = |enabled| EndpointChanges { enabled: Some(enabled), ..EndpointChanges::default() };
    for enabled in [false, true] {
        let (webhook_id, commit_id) = (webhook_id.clone(), harness.request());
        harness.call(WebhookCall::Update { webhook_id, commit_id, changes: set(enabled) }).await.unwrap();
        harness.settle().await;
    }
}

#[tokio::test]
async fn a_message_that_failed_twice_is_scheduled_and_counted_once() {
    let mut harness = Harness::new().await;
    let webhook_id = harness.endpoint(URL, &["video.uploaded"]).await.endpoint.webhook_id;
    for number in 0..12 {
        harness.region.receive(notification(&format!("{number}.mp4"), "01")).await;
    }
    harness.consume().await;
    fail_all(&mut harness, &webhook_id).await;
    let failed = harness.deliveries_to(&webhook_id).await;
    let first = failed.last().unwrap();
    let resend = WebhookCall::Resend {
        webhook_id: webhook_id.clone(),
        message_id: first.message_id.clone(),
        commit_id: harness.request(),
    };
    harness.call(resend).await.unwrap();
    fail_all(&mut harness, &webhook_id).await;
    let recover = request(ReplayKind::Recover, FeedBound::Seq(0));
    let job = start(&mut harness, &webhook_id, ReplayRequest { rate: 1, ..recover }).await;
    let before = harness.received().len();
    run(&mut harness, &webhook_id).await;
    assert_eq!(harness.received().len() - before, 12);
    let ended = show(&harness, &webhook_id, &job.replay_id).await;
    assert_eq!((ended.reason, ended.scheduled), (Some(ReplayEnd::Completed), 12));
}

#[tokio::test]
async fn a_damaged_delivery_does_not_stop_a_job() {
    let mut harness = Harness::new().await;
    let webhook_id = harness.endpoint(URL, &["video.uploaded"]).await.endpoint.webhook_id;
    for number in 0..3 {
        harness.region.receive(notification(&format!("{number}.mp4"), "01")).await;
    }
    harness.settle().await;
    let damaged = &harness.deliveries_to(&webhook_id).await[1];
    let body =
        EventBody::Unknown { kind: "webhook.failed".to_owned(), version: 1, data: json!({ "code": 1 }) };
    let commit = NewCommit::new(CommitId::derived_from(&["poison"]), harness.now(), [body]);
    let stream = StreamId::Delivery(acme(), webhook_id.clone(), damaged.message_id.clone());
    let log = harness.region.log.clone();
    log.append(&stream, Expected::Any, commit).await.unwrap();
    let job = start(&mut harness, &webhook_id, everything()).await;
    for _ in 0..20 {
        if harness.step(&log, &webhook_id).await.unwrap() == Next::Nothing {
            break;
        }
    }
    let ended = show(&harness, &webhook_id, &job.replay_id).await;
    assert_eq!((ended.reason, ended.scheduled, ended.skipped), (Some(ReplayEnd::Completed), 2, 1));
}
