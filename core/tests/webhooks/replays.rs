//! Jobs that send messages again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use streamio_core::testing::notification;
use streamio_core::webhooks::replaying::Next;
use streamio_events::home::{HomeError, WebhookCall, WebhookResult};
use streamio_events::id::{ReplayId, WebhookId};
use streamio_events::timestamp::Timestamp;
use streamio_events::webhook::endpoint::EndpointChanges;
use streamio_events::webhook::replay::{
    FeedBound, ReplayEnd, ReplayKind, ReplayRequest, ReplayState, ReplayStatus,
};
use streamio_events::webhook::{DeliveryState, ScheduleCause};

use crate::harness::{Harness, Received, Reply};

pub(crate) const URL: &str = "https://hooks.example.com/a";
pub(crate) const OTHER: &str = "https://hooks.example.com/b";

pub(crate) fn request(kind: ReplayKind, from: FeedBound) -> ReplayRequest {
    ReplayRequest { kind, from, to: None, types: None, rate: 1000 }
}

pub(crate) fn everything() -> ReplayRequest {
    request(ReplayKind::Replay, FeedBound::Seq(0))
}

pub(crate) fn status(result: Result<WebhookResult, HomeError>) -> ReplayStatus {
    match result.unwrap() {
        WebhookResult::Replay(status) => status,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn start(
    harness: &mut Harness,
    webhook_id: &WebhookId,
    request: ReplayRequest,
) -> ReplayStatus {
    let (webhook_id, commit_id) = (webhook_id.clone(), harness.request());
    status(harness.call(WebhookCall::StartReplay { webhook_id, commit_id, request }).await)
}

pub(crate) async fn show(harness: &Harness, webhook_id: &WebhookId, replay_id: &ReplayId) -> ReplayStatus {
    let (webhook_id, replay_id) = (webhook_id.clone(), replay_id.clone());
    status(harness.call(WebhookCall::ShowReplay { webhook_id, replay_id }).await)
}

/// Makes steps until no job is active, delivering what is due after each.
pub(crate) async fn run(harness: &mut Harness, webhook_id: &WebhookId) {
    loop {
        let log = harness.region.log.clone();
        let next = harness.step(&log, webhook_id).await.unwrap();
        harness.settle().await;
        match next {
            Next::Nothing => break,
            Next::Step(after) => harness.wait(after),
        }
    }
    harness.wait(Duration::from_secs(1));
    harness.settle().await;
}

/// What the receiver at `url` got after the first `before` requests: the types with the names of the videos, in order.
fn got(harness: &Harness, url: &str, before: usize) -> Vec<String> {
    let received = harness.received();
    let of_url = received.iter().skip(before).filter(|it| it.url == url);
    of_url.map(name_of).collect()
}

fn name_of(received: &Received) -> String {
    let json = received.json();
    let key = json["data"]["video"]["s3Key"].as_str().unwrap_or("-");
    format!("{} {}", received.message_type(), key.rsplit('/').next().unwrap())
}

/// The ids and bodies that the receiver at `url` got.
pub(crate) fn contents(received: &[Received], url: &str) -> BTreeSet<(String, String)> {
    let of_url = received.iter().filter(|it| it.url == url);
    of_url.map(|it| (it.header("webhook-id").to_owned(), it.body.clone())).collect()
}

/// One video that is ready, one that has failed, and one that was deleted.
async fn three_videos(harness: &mut Harness) {
    harness.region.receive(notification("ready.mp4", "01")).await;
    let job = harness.region.start("ready.mp4").await;
    harness.region.publish(&job).await;
    harness.region.receive(notification("waiting.mp4", "01")).await;
    harness.settle().await;
    harness.region.receive(notification("deleted.mp4", "01")).await;
    harness.settle().await;
    harness.region.delete("deleted.mp4").await;
    harness.settle().await;
}

#[tokio::test]
async fn everything_is_sent_again_with_the_same_ids_and_bytes() {
    let mut harness = Harness::new().await;
    let webhook_id = harness.endpoint(URL, &["*"]).await.endpoint.webhook_id;
    three_videos(&mut harness).await;
    let first = harness.received();
    assert_eq!(first.len(), 6);
    let job = start(&mut harness, &webhook_id, everything()).await;
    assert_eq!((job.state, job.scheduled), (ReplayState::Running, 0));
    run(&mut harness, &webhook_id).await;
    let again = &harness.received()[first.len()..];
    assert_eq!(contents(again, URL), contents(&first, URL));
    assert_eq!(again.len(), first.len());
    let seqs: Vec<u64> = again.iter().map(|it| it.json()["data"]["seq"].as_u64().unwrap()).collect();
    assert!(seqs.is_sorted(), "in the order of the events: {seqs:?}");
    let ended = show(&harness, &webhook_id, &job.replay_id).await;
    assert_eq!((ended.reason, ended.scheduled, ended.skipped), (Some(ReplayEnd::Completed), 6, 0));
    assert_eq!(ended.next_seq, ended.end_seq);
    let causes: BTreeSet<ScheduleCause> =
        harness.deliveries_to(&webhook_id).await.iter().map(|it| it.last_round.cause).collect();
    assert_eq!(causes, BTreeSet::from([ScheduleCause::Replay]));
}

/// The messages are those that an endpoint that existed then has received.
#[tokio::test]
async fn what_happened_before_an_endpoint_was_registered_is_sent_as_it_would_have_been() {
    let mut harness = Harness::new().await;
    harness.endpoint(OTHER, &["*"]).await;
    three_videos(&mut harness).await;
    let then = harness.received();
    let webhook_id =
        harness.endpoint(URL, &["video.ready", "video.deleted", "video.uploaded"]).await.endpoint.webhook_id;
    start(&mut harness, &webhook_id, everything()).await;
    run(&mut harness, &webhook_id).await;
    let mut expected = contents(&then, OTHER);
    expected.retain(|(_, body)| !body.contains("\"video.processing\""));
    assert_eq!(contents(&harness.received(), URL), expected);
    assert_eq!(got(&harness, OTHER, then.len()), Vec::<String>::new(), "the other endpoint gets nothing");
}

#[tokio::test]
async fn a_part_of_the_feed_is_stated_by_places_or_times() {
    let mut harness = Harness::new().await;
    let webhook_id = harness.endpoint(URL, &["video.uploaded"]).await.endpoint.webhook_id;
    let mut times = Vec::new();
    for number in 0..4 {
        harness.wait(Duration::from_mins(1));
        times.push(harness.now());
        harness.region.receive(notification(&format!("{number}.mp4"), "01")).await;
        harness.settle().await;
    }
    let seqs: Vec<u64> =
        harness.received().iter().map(|it| it.json()["data"]["seq"].as_u64().unwrap()).collect();
    let of = |range: std::ops::Range<usize>| -> Vec<String> {
        range.map(|number| format!("video.uploaded {number}.mp4")).collect()
    };
    for (from, to) in [
        (FeedBound::Seq(seqs[1]), Some(FeedBound::Seq(seqs[3]))),
        (FeedBound::Time(times[1]), Some(FeedBound::Time(times[3]))),
        (FeedBound::Seq(seqs[0] + 1), Some(FeedBound::Seq(seqs[2] + 1))),
    ] {
        let before = harness.received().len();
        start(&mut harness, &webhook_id, ReplayRequest { to, ..request(ReplayKind::Replay, from) }).await;
        run(&mut harness, &webhook_id).await;
        assert_eq!(got(&harness, URL, before), of(1..3), "{from} to {to:?}");
    }
    let before = harness.received().len();
    start(&mut harness, &webhook_id, request(ReplayKind::Replay, FeedBound::Time(times[2]))).await;
    run(&mut harness, &webhook_id).await;
    assert_eq!(got(&harness, URL, before), of(2..4));
    let before = harness.received().len();
    let after_the_end = request(ReplayKind::Replay, FeedBound::Seq((1 << 53) - 1));
    let job = start(&mut harness, &webhook_id, after_the_end).await;
    run(&mut harness, &webhook_id).await;
    assert_eq!(harness.received().len(), before);
    assert_eq!(show(&harness, &webhook_id, &job.replay_id).await.reason, Some(ReplayEnd::Completed));
}

#[tokio::test]
async fn nothing_about_a_video_follows_its_deletion_unless_that_is_sent_again_too() {
    let mut harness = Harness::new().await;
    let webhook_id = harness.endpoint(URL, &["*"]).await.endpoint.webhook_id;
    harness.region.receive(notification("a.mp4", "01")).await;
    harness.settle().await;
    let end = harness.received()[0].json()["data"]["seq"].as_u64().unwrap() + 1;
    harness.region.delete("a.mp4").await;
    harness.settle().await;
    let before = harness.received().len();
    let to = Some(FeedBound::Seq(end));
    let job = start(&mut harness, &webhook_id, ReplayRequest { to, ..everything() }).await;
    run(&mut harness, &webhook_id).await;
    assert_eq!(got(&harness, URL, before), Vec::<String>::new());
    assert_eq!(show(&harness, &webhook_id, &job.replay_id).await.skipped, 1);

    let types = Some(vec!["video.uploaded".parse().unwrap()]);
    start(&mut harness, &webhook_id, ReplayRequest { types, ..everything() }).await;
    run(&mut harness, &webhook_id).await;
    assert_eq!(got(&harness, URL, before), Vec::<String>::new(), "video.deleted is not requested");

    start(&mut harness, &webhook_id, everything()).await;
    run(&mut harness, &webhook_id).await;
    assert_eq!(got(&harness, URL, before), ["video.uploaded a.mp4", "video.deleted a.mp4"]);
}

/// The endpoint refuses the first message and takes the one about the deletion; then the first is not sent any more.
#[tokio::test]
async fn a_replayed_message_is_not_attempted_again_after_the_deletion_has_arrived() {
    let mut harness = Harness::new().await;
    let webhook_id = harness.endpoint(URL, &["*"]).await.endpoint.webhook_id;
    harness.region.receive(notification("a.mp4", "01")).await;
    harness.settle().await;
    harness.region.delete("a.mp4").await;
    harness.settle().await;
    let before = harness.received().len();
    start(&mut harness, &webhook_id, ReplayRequest { rate: 1, ..everything() }).await;
    harness.reply(URL, Reply::Status(500));
    let log = harness.region.log.clone();
    harness.step(&log, &webhook_id).await.unwrap();
    harness.settle().await;
    assert_eq!(got(&harness, URL, before), ["video.uploaded a.mp4"]);
    harness.reply(URL, Reply::Status(200));
    harness.wait(Duration::from_secs(1));
    harness.step(&log, &webhook_id).await.unwrap();
    harness.settle().await;
    harness.run_until(harness.now().plus(Duration::from_hours(100))).await;
    assert_eq!(got(&harness, URL, before), ["video.uploaded a.mp4", "video.deleted a.mp4"]);
    let deliveries = harness.deliveries_to(&webhook_id).await;
    let failed = deliveries.iter().find(|it| it.state == DeliveryState::Failed).unwrap();
    assert_eq!(failed.attempts.last().unwrap().error.as_ref().unwrap().code, "video_deleted");
}

#[tokio::test]
async fn a_deletion_after_the_replay_ends_what_is_still_to_be_sent() {
    let mut harness = Harness::new().await;
    let webhook_id = harness.endpoint(URL, &["*"]).await.endpoint.webhook_id;
    harness.region.receive(notification("a.mp4", "01")).await;
    harness.settle().await;
    let before = harness.received().len();
    harness.reply(URL, Reply::Status(500));
    start(&mut harness, &webhook_id, everything()).await;
    run(&mut harness, &webhook_id).await;
    harness.reply(URL, Reply::Status(200));
    harness.region.delete("a.mp4").await;
    harness.settle().await;
    harness.run_until(harness.now().plus(Duration::from_hours(100))).await;
    assert_eq!(got(&harness, URL, before), ["video.uploaded a.mp4", "video.deleted a.mp4"]);
}

#[tokio::test]
async fn what_failed_since_a_time_is_recovered() {
    let mut harness = Harness::new().await;
    let webhook_id = harness.endpoint(URL, &["*"]).await.endpoint.webhook_id;
    harness.reply(URL, Reply::Status(500));
    for name in ["early.mp4", "late.mp4", "deleted.mp4"] {
        harness.region.receive(notification(name, "01")).await;
        harness.run_until(harness.now().plus(Duration::from_hours(24))).await;
    }
    let days = |days: u64| Duration::from_hours(24 * days);
    harness.run_until(harness.now().plus(days(1))).await;
    harness.reply(URL, Reply::Status(200));
    harness.region.delete("deleted.mp4").await;
    harness.run_until(harness.now().plus(days(4))).await;
    let failed = harness.deliveries_to(&webhook_id).await;
    let failed_at: BTreeMap<String, _> = failed
        .iter()
        .filter(|it| it.state == DeliveryState::Failed)
        .map(|it| (it.message_id.to_string(), it.updated_at))
        .collect();
    assert_eq!(failed_at.len(), 2, "{failed_at:?}");
    let first = *failed_at.values().min().unwrap();
    let before = harness.received().len();
    let none = Some(vec!["video.ready".parse().unwrap()]);
    let since = |time| request(ReplayKind::Recover, FeedBound::Time(time));
    start(&mut harness, &webhook_id, ReplayRequest { types: none, ..since(first) }).await;
    run(&mut harness, &webhook_id).await;
    start(&mut harness, &webhook_id, since(first.plus(days(30)))).await;
    run(&mut harness, &webhook_id).await;
    assert_eq!(harness.received().len(), before, "neither of another type nor earlier");
    let job = start(&mut harness, &webhook_id, since(first)).await;
    run(&mut harness, &webhook_id).await;
    assert_eq!(got(&harness, URL, before), ["video.uploaded early.mp4"]);
    let ended = show(&harness, &webhook_id, &job.replay_id).await;
    assert_eq!((ended.scheduled, ended.skipped), (1, 1), "the other is about a deleted video");
    let again = start(&mut harness, &webhook_id, since(first)).await;
    run(&mut harness, &webhook_id).await;
    assert_eq!(got(&harness, URL, before).len(), 1, "it is delivered now");
    assert_eq!(show(&harness, &webhook_id, &again.replay_id).await.scheduled, 0);
}

#[tokio::test]
async fn a_job_is_throttled_and_waits_while_too_much_is_due() {
    let mut harness = Harness::new().await;
    for number in 0..450 {
        harness.region.receive(notification(&format!("{number}.mp4"), "01")).await;
    }
    let webhook_id = harness.endpoint(URL, &["*"]).await.endpoint.webhook_id;
    harness.consume().await;
    let job = start(&mut harness, &webhook_id, ReplayRequest { rate: 40, ..everything() }).await;
    let log = harness.region.log.clone();
    let next = harness.step(&log, &webhook_id).await.unwrap();
    assert_eq!(next, Next::Step(Duration::from_millis(2500)), "40 messages a second");
    assert_eq!(show(&harness, &webhook_id, &job.replay_id).await.scheduled, 100);
    let mut steps = 1;
    loop {
        harness.consume().await;
        harness.wait(Duration::from_millis(2500));
        let before = show(&harness, &webhook_id, &job.replay_id).await.scheduled;
        harness.step(&log, &webhook_id).await.unwrap();
        if show(&harness, &webhook_id, &job.replay_id).await.scheduled == before {
            break;
        }
        steps += 1;
        assert!(steps < 10, "nothing is delivered, and the job schedules on");
    }
    assert_eq!(steps, 2, "200 messages are due");
    run(&mut harness, &webhook_id).await;
    let ended = show(&harness, &webhook_id, &job.replay_id).await;
    assert_eq!((ended.reason, ended.scheduled), (Some(ReplayEnd::Completed), 450));
    let ids: BTreeSet<String> =
        harness.received().iter().map(|it| it.header("webhook-id").to_owned()).collect();
    assert_eq!((ids.len(), harness.received().len()), (450, 450));
}

/// Whichever process made the last step: the rate is that of the job.
#[tokio::test]
async fn a_step_waits_for_the_messages_of_the_last_one_unless_the_clock_was_set_back() {
    let mut harness = Harness::new().await;
    for number in 0..250 {
        harness.region.receive(notification(&format!("{number}.mp4"), "01")).await;
    }
    let webhook_id = harness.endpoint(URL, &["*"]).await.endpoint.webhook_id;
    harness.consume().await;
    let job = start(&mut harness, &webhook_id, ReplayRequest { rate: 40, ..everything() }).await;
    let log = harness.region.log.clone();
    harness.step(&log, &webhook_id).await.unwrap();
    for left in [2500, 2000, 1500] {
        let next = harness.step(&log, &webhook_id).await.unwrap();
        assert_eq!(next, Next::Step(Duration::from_millis(left)));
        assert_eq!(show(&harness, &webhook_id, &job.replay_id).await.scheduled, 100);
        harness.wait(Duration::from_millis(500));
    }
    let hour_ago = Timestamp::from_unix_millis(harness.now().unix_millis() - 3_600_000);
    harness.set(hour_ago);
    harness.step(&log, &webhook_id).await.unwrap();
    assert_eq!(show(&harness, &webhook_id, &job.replay_id).await.scheduled, 200);
}

#[tokio::test]
async fn a_job_can_be_cancelled_and_ends_with_its_endpoint() {
    let mut harness = Harness::new().await;
    let webhook_id = harness.endpoint(URL, &["*"]).await.endpoint.webhook_id;
    for number in 0..12 {
        harness.region.receive(notification(&format!("{number}.mp4"), "01")).await;
    }
    harness.settle().await;
    let log = harness.region.log.clone();
    let slowly = ReplayRequest { rate: 1, ..everything() };

    let job = start(&mut harness, &webhook_id, slowly.clone()).await;
    let second = WebhookCall::StartReplay {
        webhook_id: webhook_id.clone(),
        commit_id: harness.request(),
        request: everything(),
    };
    let refused = harness.call(second).await;
    assert!(matches!(refused, Err(HomeError::Conflict { .. })), "one at a time: {refused:?}");
    harness.step(&log, &webhook_id).await.unwrap();
    let cancel = WebhookCall::CancelReplay {
        webhook_id: webhook_id.clone(),
        replay_id: job.replay_id.clone(),
        commit_id: harness.request(),
    };
    for _ in 0..2 {
        let cancelled = status(harness.call(cancel.clone()).await);
        assert_eq!(
            (cancelled.reason, cancelled.scheduled),
            (Some(ReplayEnd::Cancelled), 10),
            "those of ten seconds"
        );
    }
    assert_eq!(harness.step(&log, &webhook_id).await.unwrap(), Next::Nothing);

    let job = start(&mut harness, &webhook_id, slowly.clone()).await;
    let change = |enabled| EndpointChanges { enabled: Some(enabled), ..EndpointChanges::default() };
    for (enabled, commit_id) in [(false, harness.request()), (true, harness.request())] {
        let (webhook_id, changes) = (webhook_id.clone(), change(enabled));
        harness
            .call(WebhookCall::Update { webhook_id: webhook_id.clone(), commit_id, changes })
            .await
            .unwrap();
        if !enabled {
            let request = everything();
            let commit_id = harness.request();
            harness.step(&log, &webhook_id).await.unwrap();
            let call = WebhookCall::StartReplay { webhook_id, commit_id, request };
            assert!(matches!(harness.call(call).await, Err(HomeError::Conflict { .. })), "it is disabled");
        }
    }
    let ended = show(&harness, &webhook_id, &job.replay_id).await;
    assert_eq!(ended.reason, Some(ReplayEnd::WebhookDisabled));

    let job = start(&mut harness, &webhook_id, slowly).await;
    let commit_id = harness.request();
    harness.call(WebhookCall::Remove { webhook_id: webhook_id.clone(), commit_id }).await.unwrap();
    harness.step(&log, &webhook_id).await.unwrap();
    let ended = show(&harness, &webhook_id, &job.replay_id).await;
    assert_eq!(ended.reason, Some(ReplayEnd::WebhookRemoved));
    let list = harness.call(WebhookCall::ListReplays { webhook_id: webhook_id.clone() }).await.unwrap();
    let WebhookResult::Replays(list) = list else { panic!("{list:?}") };
    let reasons: Vec<_> = list.iter().filter_map(|it| it.reason).collect();
    assert_eq!(reasons, [ReplayEnd::WebhookRemoved, ReplayEnd::WebhookDisabled, ReplayEnd::Cancelled]);
    let none = WebhookCall::ListReplays { webhook_id: WebhookId::derived_from(&[b"none"]) };
    assert!(matches!(harness.call(none).await, Err(HomeError::NotFound)));
}
