//! Which messages are sent, when, and how often.

use std::time::Duration;

use streamio_core::delivery::batch::Report;
use streamio_core::ports::delivery_store::{DeliveryKey, DeliveryStore as _};
use streamio_core::testing::notification;
use streamio_events::commit::Commit;
use streamio_events::fault::{Fault, FaultyLog};
use streamio_events::home::{DeliveryFilter, HomeError, WebhookCall, WebhookResult};
use streamio_events::log::EventLogExt as _;
use streamio_events::media::VideoError;
use streamio_events::stream::StreamId;
use streamio_events::webhook::{DeliveryState, MessageType};

use crate::harness::{Harness, Reply, acme};

const URL: &str = "https://hooks.example.com/a";
const OTHER: &str = "https://hooks.example.com/b";

fn types(harness: &Harness, url: &str) -> Vec<String> {
    let received = harness.received();
    received.iter().filter(|it| it.url == url).map(super::harness::Received::message_type).collect()
}

#[tokio::test]
async fn each_endpoint_gets_the_messages_of_its_types() {
    let mut harness = Harness::new().await;
    harness.endpoint(URL, &["*"]).await;
    harness.endpoint(OTHER, &["video.ready", "video.errored"]).await;
    harness.region.receive(notification("a.mp4", "01")).await;
    let job = harness.region.start("a.mp4").await;
    harness.region.publish(&job).await;
    harness.region.receive(notification("b.mp4", "01")).await;
    let job = harness.region.start("b.mp4").await;
    harness.region.fail(&job, VideoError::permanent("not_media", "It is none.")).await;
    harness.region.react("b.mp4").await.unwrap();
    harness.settle().await;
    harness.region.delete("a.mp4").await;
    harness.settle().await;
    let expected = [
        "video.uploaded",
        "video.processing",
        "video.ready",
        "video.uploaded",
        "video.processing",
        "video.errored",
        "video.deleted",
    ];
    let mut all = types(&harness, URL);
    all.sort();
    let mut sorted = expected;
    sorted.sort_unstable();
    assert_eq!(all, sorted);
    let mut some = types(&harness, OTHER);
    some.sort();
    assert_eq!(some, ["video.errored", "video.ready"]);
}

#[tokio::test]
async fn a_project_without_an_endpoint_records_nothing() {
    let mut harness = Harness::new().await;
    harness.region.receive(notification("a.mp4", "01")).await;
    harness.settle().await;
    let all = DeliveryFilter::default();
    let page = harness.deliveries.list_deliveries(&acme(), &all, None, 10).await.unwrap();
    assert_eq!(page.deliveries, []);
    let log = harness.region.log.changes_after(0, 1000).await.unwrap();
    assert!(log.iter().all(|(_, commit)| !commit.stream.to_string().starts_with("delivery/")));
}

#[tokio::test]
async fn changes_that_are_delivered_again_schedule_nothing_again() {
    let mut harness = Harness::new().await;
    harness.endpoint(URL, &["*"]).await;
    harness.region.receive(notification("a.mp4", "01")).await;
    harness.settle().await;
    let before = harness.region.log.changes_after(0, 1000).await.unwrap();
    for (_, commit) in &before {
        harness.consume_one(commit).await;
    }
    harness.settle().await;
    assert_eq!(harness.region.log.changes_after(0, 1000).await.unwrap(), before);
    assert_eq!(types(&harness, URL), ["video.uploaded"]);
}

/// The views are rebuilt from the log: all changes are delivered again.
#[tokio::test]
async fn what_happened_before_an_endpoint_was_registered_or_changed_is_not_sent_later() {
    let mut harness = Harness::new().await;
    harness.region.receive(notification("before.mp4", "01")).await;
    harness.settle().await;
    let webhook_id = harness.endpoint(URL, &["video.ready"]).await.endpoint.webhook_id;
    harness.region.receive(notification("uploaded.mp4", "01")).await;
    harness.settle().await;
    let types = Some(vec!["video.uploaded".parse().unwrap()]);
    let changes = streamio_events::webhook::endpoint::EndpointChanges { types, ..Default::default() };
    let commit_id = harness.request();
    // This event is handled only after the change.
    let job = harness.region.start("uploaded.mp4").await;
    harness.region.publish(&job).await;
    harness.call(WebhookCall::Update { webhook_id, commit_id, changes }).await.unwrap();
    harness.settle().await;
    harness.region.receive(notification("after.mp4", "01")).await;
    harness.settle().await;
    assert_eq!(self::types(&harness, URL), ["video.ready", "video.uploaded"]);
    for (_, commit) in harness.region.log.changes_after(0, 1000).await.unwrap() {
        harness.consume_one(&commit).await;
    }
    harness.settle().await;
    assert_eq!(harness.received().len(), 2, "nothing more");
}

/// The attempts of an endpoint that always fails, for five days with an upload every six hours.
#[tokio::test]
async fn an_endpoint_that_fails_gets_the_schedule_and_is_disabled_after_five_days() {
    let mut harness = Harness::new().await;
    let webhook_id = harness.endpoint(URL, &["*"]).await.endpoint.webhook_id;
    harness.endpoint(OTHER, &["webhook.disabled"]).await;
    harness.reply(URL, Reply::Unreachable);
    let start = harness.now();
    for number in 0..22 {
        harness.region.receive(notification(&format!("{number}.mp4"), "01")).await;
        harness.run_until(start.plus(Duration::from_hours(6 * (number + 1)))).await;
    }
    let received = harness.received();
    let first = received[0].header("webhook-id").to_owned();
    let of_first: Vec<_> = received.iter().filter(|it| it.header("webhook-id") == first).collect();
    let hours: Vec<f64> =
        of_first.windows(2).map(|pair| pair[1].at.since(pair[0].at).as_secs_f64() / 3600.0).collect();
    let full = [5.0 / 3600.0, 5.0 / 60.0, 0.5, 2.0, 5.0, 10.0, 14.0, 20.0, 24.0];
    assert_eq!(hours.len(), full.len(), "ten attempts");
    for (pause, full) in hours.iter().zip(full) {
        assert!((0.799 * full..=1.201 * full).contains(pause), "{pause} h instead of {full} h");
    }
    assert!(of_first.iter().all(|it| it.body == of_first[0].body), "the same bytes every time");

    let disabled = harness
        .received()
        .into_iter()
        .find(|it| it.url == OTHER)
        .expect("a message about the disabled endpoint");
    let after = disabled.at.since(start);
    assert!((Duration::from_hours(120)..Duration::from_hours(132)).contains(&after), "{after:?}");
    let data = &disabled.json()["data"]["webhook"];
    assert_eq!((&data["webhookId"], &data["reason"]), (&webhook_id.as_str().into(), &"failing".into()));
    let last = received.iter().filter(|it| it.url == URL).map(|it| it.at).max().unwrap();
    assert!(last <= disabled.at, "nothing is sent after that");

    harness.run_until(start.plus(Duration::from_hours(300))).await;
    let pending = harness.deliveries_to(&webhook_id).await;
    assert!(pending.iter().all(|it| it.state == DeliveryState::Failed), "each failure is visible");
    let WebhookResult::Endpoint(endpoint) =
        harness.call(WebhookCall::Show { webhook_id: webhook_id.clone() }).await.unwrap()
    else {
        panic!("an endpoint")
    };
    assert!(!endpoint.enabled);
    assert_eq!(endpoint.health.error.unwrap().code, "connect_failed");
    assert_eq!(endpoint.health.failing_since, Some(start));
}

#[tokio::test]
async fn a_success_within_five_days_keeps_an_endpoint_enabled() {
    let mut harness = Harness::new().await;
    harness.endpoint(URL, &["*"]).await;
    let start = harness.now();
    for number in 0..30 {
        harness.reply(URL, if number == 12 { Reply::Status(204) } else { Reply::Status(500) });
        harness.region.receive(notification(&format!("{number}.mp4"), "01")).await;
        harness.run_until(start.plus(Duration::from_hours(6 * (number + 1)))).await;
    }
    let WebhookResult::Endpoints(endpoints) = harness.call(WebhookCall::List).await.unwrap() else {
        panic!("endpoints")
    };
    assert!(endpoints[0].enabled, "{endpoints:?}");
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_disabled_at_once_and_gets_everything_after_it_returns() {
    let mut harness = Harness::new().await;
    let webhook_id = harness.endpoint(URL, &["*"]).await.endpoint.webhook_id;
    harness.reply(URL, Reply::Status(410));
    harness.region.receive(notification("a.mp4", "01")).await;
    harness.settle().await;
    harness.region.receive(notification("b.mp4", "01")).await;
    harness.settle().await;
    assert_eq!(types(&harness, URL).len(), 1, "nothing is sent after 410");
    let lost = harness.deliveries_to(&webhook_id).await;
    assert_eq!(lost.len(), 1, "nothing is scheduled for it");
    let delivery = &lost[0];
    let resend = |commit_id| WebhookCall::Resend {
        webhook_id: webhook_id.clone(),
        message_id: delivery.message_id.clone(),
        commit_id,
    };
    let request = harness.request();
    assert!(matches!(harness.call(resend(request)).await, Err(HomeError::Conflict { .. })));

    harness.reply(URL, Reply::Status(200));
    let changes =
        streamio_events::webhook::endpoint::EndpointChanges { enabled: Some(true), ..Default::default() };
    let commit_id = harness.request();
    let enable = WebhookCall::Update { webhook_id: webhook_id.clone(), commit_id, changes };
    harness.call(enable).await.unwrap();
    let request = harness.request();
    let WebhookResult::Delivery(again) = harness.call(resend(request.clone())).await.unwrap() else {
        panic!("a delivery")
    };
    assert_eq!(again.state, DeliveryState::Pending);
    harness.settle().await;
    let received = harness.received();
    assert_eq!(received.len(), 2);
    assert_eq!(received[1].body, received[0].body);
    assert_eq!(received[1].header("webhook-id"), received[0].header("webhook-id"));
    harness.call(resend(request)).await.unwrap();
    harness.settle().await;
    assert_eq!(harness.received().len(), 2, "a repeated request sends nothing again");
}

/// The request is repeated after the attempt that was due when it came.
#[tokio::test]
async fn a_repeated_request_to_resend_what_was_due_sends_nothing_again() {
    let mut harness = Harness::new().await;
    let webhook_id = harness.endpoint(URL, &["*"]).await.endpoint.webhook_id;
    harness.region.receive(notification("a.mp4", "01")).await;
    harness.consume().await;
    let pending = harness.deliveries_to(&webhook_id).await.remove(0);
    let commit_id = harness.request();
    let resend = WebhookCall::Resend { webhook_id, message_id: pending.message_id, commit_id };
    for _ in 0..3 {
        harness.call(resend.clone()).await.unwrap();
        harness.settle().await;
        assert_eq!(harness.received().len(), 1);
        harness.wait(Duration::from_hours(1));
    }
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let mut harness = Harness::new().await;
    let webhook_id = harness.endpoint(URL, &["*"]).await.endpoint.webhook_id;
    harness.reply(URL, Reply::RetryAfter(503, 3600));
    harness.region.receive(notification("a.mp4", "01")).await;
    harness.settle().await;
    let due = harness.deliveries_to(&webhook_id).await[0].due_at.unwrap();
    assert_eq!(due.since(harness.now()), Duration::from_hours(1));
}

/// A process that ends between the answer and its record.
#[tokio::test]
async fn an_attempt_whose_end_is_not_recorded_is_repeated_with_the_same_id() {
    let mut harness = Harness::new().await;
    let webhook_id = harness.endpoint(URL, &["*"]).await.endpoint.webhook_id;
    harness.region.receive(notification("a.mp4", "01")).await;
    harness.consume().await;
    let key = DeliveryKey::of(&harness.deliveries_to(&webhook_id).await[0]);
    let faulty = FaultyLog::scripted(harness.region.log.clone(), [Fault::Before]);
    harness.deliver(&faulty, &key).await.unwrap_err();
    harness.settle().await;
    let received = harness.received();
    assert_eq!(received.len(), 2);
    assert_eq!(received[0].header("webhook-id"), received[1].header("webhook-id"));
    assert_eq!(received[0].body, received[1].body);
    let delivery = &harness.deliveries_to(&webhook_id).await[0];
    assert_eq!((delivery.state, delivery.attempts_made), (DeliveryState::Delivered, 1));
    // Its answer was lost, too: the commit is there.
    let faulty = FaultyLog::scripted(harness.region.log.clone(), [Fault::After]);
    harness.deliver(&faulty, &key).await.unwrap();
    assert_eq!(harness.received().len(), 2, "nothing is due");
}

#[tokio::test]
async fn nothing_about_a_video_is_sent_after_its_deletion() {
    let mut harness = Harness::new().await;
    let webhook_id = harness.endpoint(URL, &["*"]).await.endpoint.webhook_id;
    harness.reply(URL, Reply::Status(500));
    harness.region.receive(notification("a.mp4", "01")).await;
    let job = harness.region.start("a.mp4").await;
    harness.region.publish(&job).await;
    harness.settle().await;
    assert_eq!(types(&harness, URL).len(), 3);
    harness.reply(URL, Reply::Status(200));
    harness.region.delete("a.mp4").await;
    harness.run_until(harness.now().plus(Duration::from_hours(100))).await;
    let all = types(&harness, URL);
    assert_eq!(all.len(), 4, "{all:?}");
    assert_eq!(all[3], "video.deleted");
    let failed: Vec<_> = harness
        .deliveries_to(&webhook_id)
        .await
        .into_iter()
        .filter(|it| it.state == DeliveryState::Failed)
        .map(|it| it.attempts.last().unwrap().error.clone().unwrap().code)
        .collect();
    assert_eq!(failed, ["video_deleted"; 3], "each is visible");
}

/// The places of the messages' events are those of the feed, so a receiver can compare them with `GET /events`.
#[tokio::test]
async fn seq_is_the_place_of_the_event_in_the_projects_feed() {
    let mut harness = Harness::new().await;
    harness.endpoint(URL, &["*"]).await;
    for name in ["a.mp4", "b.mp4"] {
        harness.region.receive(notification(name, "01")).await;
        harness.settle().await;
    }
    let log = harness.region.log.changes_after(0, 1000).await.unwrap();
    for request in harness.received() {
        let data = &request.json()["data"];
        let place = usize::try_from(data["seq"].as_u64().unwrap()).unwrap();
        let commit = &log[place].1;
        assert_eq!(commit.stream.to_string(), format!("video/acme/{}", data["videoId"].as_str().unwrap()));
        assert!(commit.events.iter().any(|it| MessageType::of_event(it) == Some(MessageType::VideoUploaded)));
    }
}

#[tokio::test]
async fn endpoints_that_cannot_be_understood_are_quarantined_and_the_videos_go_on() {
    let mut harness = Harness::new().await;
    harness.endpoint(URL, &["*"]).await;
    harness.region.poison_webhooks().await;
    for name in ["a.mp4", "b.mp4"] {
        harness.region.receive(notification(name, "01")).await;
    }
    let mut commits = harness.region.log.scan_to_end().await.unwrap();
    commits.retain(|commit| matches!(commit.stream, StreamId::Video(..)));
    let count = commits.len();
    let expected = Report { handled: count, ..Report::default() };
    assert_eq!(harness.react(commits).await, expected, "no record fails or becomes a dead letter");
    assert_eq!(harness.region.launcher.launched().len(), 2, "the steps of the videos are taken");
    let log = harness.region.log.scan_to_end().await.unwrap();
    let has_quarantine =
        |commit: &&Commit| commit.events.iter().any(|event| event.kind == "stream.quarantined");
    let quarantined: Vec<_> =
        log.iter().filter(has_quarantine).map(|commit| commit.stream.to_string()).collect();
    assert_eq!(quarantined, ["webhooks/acme"], "once, and no video");
}
