//! The function that reacts to commits.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use streamio_core::delivery::batch::RetryPolicy;
use streamio_core::fold_cache::{EndpointCache, ProjectCache};
use streamio_core::ports::delivery_store::DeliveryKey;
use streamio_core::testing::{CountedUsage, TestRegion, UnavailableLog, notification};
use streamio_events::commit::{Commit, NewCommit};
use streamio_events::id::{CommitId, ProjectId, WebhookId};
use streamio_events::log::{EventLog as _, EventLogExt as _, Expected};
use streamio_events::stream::StreamId;
use streamio_events::video::Phase;
use streamio_events::webhook::Endpoints;
use streamio_events::webhook::endpoint::NewEndpoint;
use streamio_lambdas::functions::react::React;
use streamio_lambdas::runtime::Function as _;
use streamio_lambdas::runtime::metrics::Counts;

use crate::events::{clock, handled, payload, test_region};
use crate::queue::{MemoryQueue, places};

fn react(region: &TestRegion) -> React {
    React {
        log: Arc::new(region.log.clone()),
        launcher: Arc::clone(&region.launcher) as _,
        objects: Arc::clone(&region.objects) as _,
        usage: Arc::new(CountedUsage(region.log.clone())),
        slots: Arc::new(region.slots.clone()),
        dead_letters: Arc::clone(&region.dead_letters) as _,
        projects: ProjectCache::default(),
        endpoints: EndpointCache::default(),
        places: places(&region.log),
        queue: Arc::<MemoryQueue>::default(),
        policy: region.policy.clone(),
        retry_policy: RetryPolicy::since_first_failure(Duration::from_mins(10)),
        clock,
    }
}

/// A record of the ledger's stream for each of `commits`.
fn stream_of(commits: &[Commit]) -> Value {
    let example = payload(include_str!("../payloads/ledger_stream.json"));
    let records = commits.iter().enumerate().map(|(index, commit)| {
        let hash = |hash: &[u8; 32]| json!({ "B": BASE64_STANDARD.encode(hash) });
        let mut record = example["Records"][0].clone();
        record["eventID"] = json!(format!("{index:032x}"));
        record["dynamodb"]["SequenceNumber"] = json!(format!("{}", 100 + index));
        record["dynamodb"]["ApproximateCreationDateTime"] = json!(clock().unix_millis() / 1000);
        record["dynamodb"]["NewImage"] = json!({
            "pk": { "S": commit.stream.to_string() },
            "sk": { "N": commit.first.to_string() },
            "n": { "N": commit.events.len().to_string() },
            "id": { "S": commit.id.to_string() },
            "at": { "S": commit.recorded_at.to_string() },
            "events": { "S": serde_json::to_string(&commit.events).unwrap() },
            "prev": hash(commit.prev_hash.as_bytes()),
            "hash": hash(commit.hash.as_bytes()),
        });
        record
    });
    json!({ "Records": records.collect::<Vec<_>>() })
}

#[tokio::test]
async fn repeated_deliveries_of_a_commit_have_one_reaction() {
    let region = test_region().await;
    region.receive(notification("clip.mp4", "01")).await;
    let event = stream_of(&region.log.scan_to_end().await.unwrap());
    for _ in 0..3 {
        let done = react(&region).handle(event.clone()).await.unwrap();
        assert_eq!(done.response, json!({ "batchItemFailures": [] }));
        assert_eq!(done.counts, handled(3), "the commit of the project needs no reaction");
    }
    assert_eq!(region.video("clip.mp4").await.attempt, 1);
    let launched = region.launcher.launched();
    assert!(launched.iter().all(|job| *job == launched[0]));
}

#[tokio::test]
async fn a_lack_of_capacity_does_not_block_the_shard_and_an_unavailable_log_does() {
    let region = test_region().await;
    region.receive(notification("clip.mp4", "01")).await;
    let event = stream_of(&region.log.scan_to_end().await.unwrap());
    region.launcher.fail_next();
    let done = react(&region).handle(event.clone()).await.unwrap();
    assert_eq!(done.response, json!({ "batchItemFailures": [] }));
    assert!(matches!(region.video("clip.mp4").await.phase, Phase::Dispatched { .. }));
    let unavailable = React { log: Arc::new(UnavailableLog), ..react(&region) };
    let done = unavailable.handle(event).await.unwrap();
    // The grant and the upload, both of the same stream.
    let failures = ["101", "102"].map(|sequence| json!({ "itemIdentifier": sequence }));
    assert_eq!(done.response, json!({ "batchItemFailures": failures }));
}

#[tokio::test]
async fn an_unreadable_stream_is_quarantined_and_the_others_are_handled() {
    let region = test_region().await;
    for name in ["poisoned.mp4", "good.mp4"] {
        region.receive(notification(name, "01")).await;
    }
    let event = stream_of(&region.log.scan_to_end().await.unwrap());
    region.poison("poisoned.mp4").await;
    let done = react(&region).handle(event).await.unwrap();
    assert_eq!(done.response, json!({ "batchItemFailures": [] }));
    // The project, and the grant and the upload of each video.
    assert_eq!(done.counts, Counts { handled: 3, failed: 0, dead_lettered: 2 });
    assert_eq!(region.launcher.launched().len(), 1);
    assert_eq!(region.events("poisoned.mp4").await.last().unwrap().kind, "stream.quarantined");
    assert_eq!(region.dead_letters.kept()[0].function, "react");
}

/// What happens from the upload to the queue of deliveries.
#[tokio::test]
async fn a_message_is_scheduled_from_the_video_and_queued_from_its_own_commit() {
    let region = test_region().await;
    let acme: ProjectId = "acme".parse().unwrap();
    let new = NewEndpoint {
        url: "https://one.example.com/".to_owned(),
        types: vec!["video.uploaded".parse().unwrap()],
        description: None,
        rate_limit: None,
    };
    let webhook_id = WebhookId::derived_from(&[b"one"]);
    let events = Endpoints::new(acme.clone()).register(&webhook_id, new).unwrap();
    let commit = NewCommit::new(CommitId::derived_from(&["registered"]), clock(), events);
    region.log.append(&StreamId::Webhooks(acme), Expected::Any, commit).await.unwrap();
    region.receive(notification("clip.mp4", "01")).await;
    let queue = Arc::<MemoryQueue>::default();
    let function = React { queue: Arc::clone(&queue) as _, ..react(&region) };
    for _ in 0..2 {
        let event = stream_of(&region.log.scan_to_end().await.unwrap());
        assert_eq!(function.handle(event).await.unwrap().response, json!({ "batchItemFailures": [] }));
    }
    let commits = region.log.scan_to_end().await.unwrap();
    let scheduled: Vec<&Commit> =
        commits.iter().filter(|it| matches!(it.stream, StreamId::Delivery(..))).collect();
    assert_eq!(scheduled.len(), 1, "however often the batch comes");
    let queued = queue.take();
    assert_eq!(queued.len(), 1);
    assert_eq!(Some(&queued[0].key), DeliveryKey::of_stream(&scheduled[0].stream).as_ref());
    queue.set_down(true);
    let event = stream_of(&commits);
    let done = function.handle(event).await.unwrap();
    assert_eq!(done.response, json!({ "batchItemFailures": [] }), "a queue that is down blocks no shard");
}

#[tokio::test]
async fn a_dead_letter_is_handled_again_once_the_log_responds() {
    use streamio_core::ports::dead_letters::DeadLetterStore as _;

    let region = test_region().await;
    region.receive(notification("clip.mp4", "01")).await;
    let event = stream_of(&region.log.scan_to_end().await.unwrap());
    let impatient = React {
        log: Arc::new(UnavailableLog),
        retry_policy: RetryPolicy::since_first_failure(Duration::ZERO),
        ..react(&region)
    };
    impatient.handle(event).await.unwrap();
    let kept = region.dead_letters.kept();
    assert_eq!(kept.len(), 2, "the grant and the upload");
    let redrive = json!({ "redrive": kept[1].id });
    let still = impatient.handle(redrive.clone()).await.unwrap();
    assert_eq!(still.response["outcome"], "failed");
    assert!(still.response["reason"].as_str().unwrap().contains("not available"), "{:?}", still.response);
    assert_eq!(still.counts, Counts { failed: 1, ..Counts::default() });
    assert_eq!(region.dead_letters.kept(), kept, "it stays as it is");
    assert!(region.launcher.launched().is_empty());
    let done = react(&region).handle(redrive.clone()).await.unwrap();
    assert_eq!((done.response, done.counts), (json!({ "outcome": "handled" }), handled(1)));
    assert_eq!(region.launcher.launched().len(), 1);
    assert_eq!(region.dead_letters.get("react", &kept[1].id).await.unwrap(), None);
    let again = react(&region).handle(redrive).await.unwrap();
    assert_eq!(again.response, json!({ "outcome": "absent" }));
    assert_eq!(region.launcher.launched().len(), 1);
}
