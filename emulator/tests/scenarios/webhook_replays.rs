//! Jobs that send webhooks again, continued by the sweep, with faults of the ledger and of the sweep.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use streamio_emulator::fault_proxy;
use streamio_emulator::lambda::Fault;
use streamio_events::event::EventBody;
use streamio_events::log::EventLogExt as _;
use streamio_events::stream::StreamId;
use streamio_events::webhook::ScheduleCause;

use crate::clips::clip;
use crate::test_cloud::TestCloud;
use crate::webhooks::{Received, Receiver, register};

/// How many messages follow from a video that is uploaded and can be played.
const MESSAGES: usize = 3;

/// The id and the body of each message, of which there may be several with one id.
fn contents(received: &[Received]) -> BTreeSet<(String, Vec<u8>)> {
    received.iter().map(|received| (received.id(), received.body.to_vec())).collect()
}

/// How often each message was scheduled for this reason, by its stream.
async fn scheduled(cloud: &TestCloud, cause: ScheduleCause) -> BTreeMap<String, usize> {
    let mut scheduled = BTreeMap::new();
    for commit in cloud.log().scan_to_end().await.unwrap() {
        for event in commit.events.iter().filter(|_| matches!(commit.stream, StreamId::Delivery(..))) {
            if let Ok(EventBody::WebhookScheduled(event)) = event.body()
                && event.cause == cause
            {
                *scheduled.entry(commit.stream.to_string()).or_default() += 1;
            }
        }
    }
    scheduled
}

/// How many attempts of each delivery failed.
async fn failures(cloud: &TestCloud) -> BTreeMap<String, usize> {
    let mut failures = BTreeMap::new();
    for commit in cloud.log().scan_to_end().await.unwrap() {
        let failed = commit.events.iter().filter(|event| event.kind == "webhook.failed").count();
        if failed > 0 {
            *failures.entry(commit.stream.to_string()).or_default() += failed;
        }
    }
    failures
}

async fn delete(cloud: &TestCloud, path: &str) -> Value {
    let request = cloud.http.delete(format!("{}{path}", cloud.api())).header("idempotency-key", path);
    let (status, body) = cloud.send_request(request).await;
    assert_eq!(status, 200, "{body}");
    body
}

/// The endpoint was down while a video was processed. The sweep that continues the job cannot record its steps at first, and is killed; then
/// the job goes on.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_endpoint_missed_is_replayed_although_the_sweep_is_killed() {
    let (cloud, receiver) = (TestCloud::start().await, Receiver::start().await);
    let webhook = register(&cloud, &receiver, "/live").await;
    let path = format!("/webhooks/{}", webhook["webhookId"].as_str().unwrap());
    receiver.set_down(true);
    let video_id = cloud.upload("clip.mp4", clip()).await;
    cloud.wait_until_ready(&video_id, 1).await;
    // The third attempts follow after minutes.
    cloud
        .wait_until("each message was refused twice", async || {
            let failed = failures(&cloud).await;
            failed.len() == MESSAGES && failed.values().all(|count| *count == 2)
        })
        .await;
    let missed = contents(&receiver.at("/live"));
    cloud.mappings().views.wait_until_caught_up().await;
    receiver.set_down(false);

    // A step schedules its messages, and its progress is refused, so that another sweep makes it again.
    let refused =
        cloud.dynamo_proxy().inject("PutItem", "replay.progressed", 1000, fault_proxy::Fault::Refuse);
    cloud.functions().fail_next_times("sweep", Fault::CrashBeforeResponse, 2).unwrap();
    let before = receiver.at("/live").len();
    let job = cloud.post(&format!("{path}/replay"), &json!({ "from": 0 })).await;
    assert_eq!((&job["state"], &job["kind"]), (&json!("running"), &json!("replay")));
    let job_path = format!("{path}/replays/{}", job["replayId"].as_str().unwrap());
    cloud
        .wait_until("the messages arrive, and no step is recorded", async || {
            refused.hits() > 0 && contents(&receiver.at("/live")[before..]) == missed
        })
        .await;
    let progress = cloud.get(&job_path).await;
    assert_eq!((&progress["state"], &progress["scheduled"]), (&json!("running"), &json!(0)));
    refused.cancel();
    cloud.wait_until("the job ends", async || cloud.get(&job_path).await["state"] == "ended").await;
    let ended = cloud.get(&job_path).await;
    assert_eq!(
        (&ended["reason"], &ended["scheduled"], &ended["skipped"]),
        (&json!("completed"), &json!(MESSAGES), &json!(0))
    );
    cloud
        .wait_until("the sweep was killed", async || cloud.functions().faults_left("sweep").unwrap() == 0)
        .await;
    let replayed = scheduled(&cloud, ScheduleCause::Replay).await;
    assert_eq!(replayed.len(), MESSAGES);
    assert!(replayed.values().all(|count| *count == 1), "each once: {replayed:?}");
    assert_eq!(
        contents(&receiver.at("/live")),
        missed,
        "every attempt has the id and the bytes of the first"
    );
    cloud
        .wait_until("the deliveries are listed", async || {
            let listed = cloud.get("/webhook-deliveries?state=delivered").await;
            listed["data"].as_array().unwrap().len() == MESSAGES
        })
        .await;
    cloud.finish().await;
}

/// What is scheduled is sent; what is not is not, however many sweeps follow.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_replay_schedules_nothing_more() {
    let (cloud, receiver) = (TestCloud::start().await, Receiver::start().await);
    register(&cloud, &receiver, "/live").await;
    let video_id = cloud.upload("clip.mp4", clip()).await;
    cloud.wait_until_ready(&video_id, 1).await;
    cloud.wait_until("all have arrived", async || contents(&receiver.at("/live")).len() == MESSAGES).await;
    cloud.mappings().views.wait_until_caught_up().await;
    // Registered afterwards: it has received nothing.
    let webhook = register(&cloud, &receiver, "/new").await;
    let path = format!("/webhooks/{}", webhook["webhookId"].as_str().unwrap());
    let refused =
        cloud.dynamo_proxy().inject("PutItem", "webhook.scheduled", 1000, fault_proxy::Fault::Refuse);
    let job = cloud.post(&format!("{path}/replay"), &json!({ "from": 0, "rate": 1 })).await;
    let second = cloud.http.post(format!("{}{path}/recover", cloud.api()));
    let second = second.header("idempotency-key", "second").json(&json!({ "since": "2026-01-01T00:00:00Z" }));
    let (status, problem) = cloud.send_request(second).await;
    assert_eq!((status, &problem["type"]), (409, &json!("/problems/webhook-conflict")), "one at a time");
    cloud.wait_until("a step has tried", async || refused.hits() > 0).await;
    let job_path = format!("{path}/replays/{}", job["replayId"].as_str().unwrap());
    let cancelled = delete(&cloud, &job_path).await;
    assert_eq!((&cancelled["state"], &cancelled["reason"]), (&json!("ended"), &json!("cancelled")));
    let before = cloud.functions().counters("sweep").unwrap().invocations;
    cloud
        .wait_until("sweeps have followed", async || {
            cloud.functions().counters("sweep").unwrap().invocations >= before + 3
        })
        .await;
    refused.cancel();
    assert_eq!(scheduled(&cloud, ScheduleCause::Replay).await, BTreeMap::new());
    assert!(receiver.at("/new").is_empty());
    assert_eq!(cloud.get(&job_path).await, cancelled);

    // The next job sends what would have been sent then.
    cloud.post(&format!("{path}/replay"), &json!({ "from": 0 })).await;
    cloud
        .wait_until("all have arrived at the new endpoint", async || {
            contents(&receiver.at("/new")) == contents(&receiver.at("/live"))
        })
        .await;
    cloud.finish().await;
}
