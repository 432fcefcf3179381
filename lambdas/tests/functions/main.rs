//! The functions, invoked with events in the form of AWS.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use streamio_core::delivery::batch::RetryPolicy;
use streamio_core::ports::kv_namespace::{KvNamespace, KvNamespaceError};
use streamio_core::ports::pending_replications::{PendingReplicationError, PendingReplications};
use streamio_core::ports::tenant_store::{TenantStore, TenantStoreError};
use streamio_events::api_key::KeyHash;
use streamio_events::commit::Commit;
use streamio_events::event::EventBody;
use streamio_events::id::ProjectId;
use streamio_events::job::Job;
use streamio_events::log::EventLogExt as _;
use streamio_events::tenant::Tenant;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::{Phase, decide, decide_and_append};
use streamio_lambdas::functions::react::React;
use streamio_lambdas::functions::sweep::Sweep;
use streamio_lambdas::functions::tasks::Tasks;
use streamio_lambdas::functions::uploads::Uploads;
use streamio_lambdas::runtime::Function as _;
use streamio_lambdas::runtime::metrics::Counts;
use streamio_lambdas::triggers::s3;

use streamio_core::testing::{TestRegion, UnavailableLog, grant, ids, notification as object_notification};
use streamio_core::uploads::EventNotification;

/// A time after the start of the test region.
fn clock() -> Timestamp {
    Timestamp::from_unix_seconds(1_800_000_100)
}

fn payload(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn notification() -> Value {
    payload(include_str!("../payloads/s3_notification.json"))
}

fn eventbridge() -> Value {
    payload(include_str!("../payloads/s3_eventbridge.json"))
}

async fn test_region() -> TestRegion {
    let mut region = TestRegion::with_project().await;
    "streamio-raw".clone_into(&mut region.policy.raw_bucket);
    region
}

fn uploads(region: &TestRegion) -> Uploads {
    Uploads {
        log: Arc::new(region.log.clone()),
        objects: Arc::clone(&region.objects) as _,
        dead_letters: Arc::clone(&region.dead_letters) as _,
        policy: region.policy.clone(),
        clock,
    }
}

fn react(region: &TestRegion) -> React {
    React {
        log: Arc::new(region.log.clone()),
        launcher: Arc::clone(&region.launcher) as _,
        objects: Arc::clone(&region.objects) as _,
        dead_letters: Arc::clone(&region.dead_letters) as _,
        policy: region.policy.clone(),
        retry_policy: RetryPolicy::since_first_failure(Duration::from_mins(10)),
        clock,
    }
}

fn tasks(region: &TestRegion) -> Tasks {
    Tasks {
        log: Arc::new(region.log.clone()),
        dead_letters: Arc::clone(&region.dead_letters) as _,
        cluster: "streamio".to_owned(),
        container: "worker".to_owned(),
        clock,
    }
}

const CAFE: &str = "summer films/café + 100%.mp4";

fn handled(handled: usize) -> Counts {
    Counts { handled, ..Counts::default() }
}

/// A region in which the uploads of the payloads were granted and are stored.
async fn with_uploads() -> TestRegion {
    let region = test_region().await;
    for record in s3::read(notification()).unwrap() {
        let created = record.content.unwrap();
        if let EventNotification::Complete(object) = created.notification {
            let granted = grant(CAFE, object.created_at.plus(Duration::from_mins(5)));
            region.record_grant(object.created_at, granted).await;
            region.objects.put_in(&created.bucket, &object);
        }
    }
    region
}

#[tokio::test]
async fn an_upload_is_recorded_once_from_repeated_notifications_of_both_formats() {
    let region = with_uploads().await;
    let function = uploads(&region);
    for event in [notification(), notification(), eventbridge()] {
        let done = function.handle(event.clone()).await.unwrap();
        assert_eq!(done.counts, handled(if event.get("Records").is_some() { 3 } else { 1 }));
        let video = region.video(CAFE).await;
        // Two grants and two uploads.
        assert_eq!((video.generation, video.version), (2, 4));
        assert_eq!(video.sequencer.as_deref(), Some("0055AED6DCD90281E5FF"));
        let version_id = video.upload.unwrap().version_id;
        assert_eq!(version_id.as_deref(), Some("IYV3p45BT0ac8hjHg1houSdS1a.Mro8e"));
    }
    assert_eq!(region.video("copied.mp4").await.version, 0, "there is no such object");
    assert_eq!(region.video("old.mp4").await.version, 0, "it was removed, not created");
}

#[tokio::test]
async fn events_of_other_objects_are_ignored() {
    let region = test_region().await;
    let before = region.log.scan_to_end().await.unwrap();
    let mut foreign = eventbridge();
    foreign["detail"]["bucket"]["name"] = json!("another-bucket");
    let mut stray = eventbridge();
    stray["detail"]["object"]["key"] = json!("stray.mp4");
    let test = payload(include_str!("../payloads/s3_test_event.json"));
    for event in [foreign, stray, test] {
        assert_eq!(uploads(&region).handle(event).await.unwrap().counts, handled(0));
    }
    assert_eq!(region.log.scan_to_end().await.unwrap(), before);
    assert!(region.dead_letters.kept().is_empty());
}

#[tokio::test]
async fn an_upload_is_retried_while_the_log_is_unavailable_and_an_unreadable_one_becomes_a_dead_letter() {
    let region = with_uploads().await;
    let mut recent = eventbridge();
    recent["time"] = json!("2027-01-15T08:00:00Z");
    let unavailable = Uploads { log: Arc::new(UnavailableLog), ..uploads(&region) };
    let error = unavailable.handle(recent).await.unwrap_err();
    assert_eq!(error.to_string(), "1 of 1 uploads could not be recorded");
    assert!(region.dead_letters.kept().is_empty());
    let mut poison = notification();
    poison["Records"][0]["s3"]["object"]["key"] = json!("projects/acme/%FF.mp4");
    let done = uploads(&region).handle(poison).await.unwrap();
    assert_eq!((done.counts.handled, done.counts.dead_lettered), (2, 1));
    let [dead_letter] = &region.dead_letters.kept()[..] else { panic!("one dead letter") };
    assert!(dead_letter.payload.contains("%FF") && dead_letter.function == "uploads");
    assert_eq!(region.video(CAFE).await.generation, 1, "the other records are handled");
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
    region.receive(object_notification("clip.mp4", "01")).await;
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
    region.receive(object_notification("clip.mp4", "01")).await;
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
        region.receive(object_notification(name, "01")).await;
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

/// The ECS task state change for the end of `task`, which runs `job`.
fn stopped(job: &Job, task: &str) -> Value {
    let mut event = payload(include_str!("../payloads/ecs_task_stopped.json"));
    event["detail"]["taskArn"] = json!(task);
    let environment = event.pointer_mut("/detail/overrides/containerOverrides/0/environment/0/value");
    *environment.unwrap() = json!(serde_json::to_string(job).unwrap());
    event
}

/// The job and the task of a clip whose first attempt has started.
async fn started(region: &TestRegion) -> (Job, String) {
    region.receive(object_notification("clip.mp4", "01")).await;
    let job = region.react("clip.mp4").await.unwrap().job.unwrap();
    let task = "arn:aws:ecs:eu-central-1:111122223333:task/streamio/c13b4cb4".to_owned();
    let (project_id, video_id) = ids("clip.mp4");
    let appended = decide_and_append(&region.log, &project_id, &video_id, region.now, |video| {
        match decide::start(video, &job, &task) {
            decide::Start::Run(decision) => Ok(Some(decision)),
            other => Err(other),
        }
    });
    appended.await.unwrap().unwrap();
    (job, task)
}

#[tokio::test]
async fn a_killed_worker_has_failed_once_for_events_in_any_number_and_order() {
    let region = test_region().await;
    let (job, task) = started(&region).await;
    let event = stopped(&job, &task);
    let mut earlier = event.clone();
    earlier["detail"]["lastStatus"] = json!("RUNNING");
    earlier["detail"]["version"] = json!(3);
    for event in [&earlier, &event, &event, &earlier] {
        tasks(&region).handle(event.clone()).await.unwrap();
    }
    let video = region.video("clip.mp4").await;
    assert!(
        matches!(&video.phase, Phase::Failed { error, .. } if error.retryable && error.message.contains("out of memory"))
    );
    assert_eq!((video.failures, video.version), (1, 5));
}

#[tokio::test]
async fn a_task_that_ecs_stops_is_an_interruption_and_not_a_failure() {
    for code in ["SpotInterruption", "UserInitiated", "TerminationNotice", "ServiceSchedulerInitiated"] {
        let region = test_region().await;
        let (job, task) = started(&region).await;
        let mut event = stopped(&job, &task);
        event["detail"]["stopCode"] = json!(code);
        tasks(&region).handle(event).await.unwrap();
        let video = region.video("clip.mp4").await;
        assert!(matches!(video.phase, Phase::Interrupted { .. }), "{code}");
        assert_eq!(video.failures, 0);
    }
}

#[tokio::test]
async fn a_task_that_could_not_start_ends_its_attempt_and_tenants_see_no_details() {
    let region = test_region().await;
    region.receive(object_notification("clip.mp4", "01")).await;
    let job = region.react("clip.mp4").await.unwrap().job.unwrap();
    let mut event = stopped(&job, "arn:aws:ecs:eu-central-1:111122223333:task/streamio/never-ran");
    event["detail"]["stopCode"] = json!("TaskFailedToStart");
    event["detail"]["stoppedReason"] = json!("CannotPullContainerError: 111122223333.dkr.ecr…");
    event["detail"]["containers"][0].as_object_mut().unwrap().remove("exitCode");
    tasks(&region).handle(event).await.unwrap();
    let last = region.events("clip.mp4").await.last().unwrap().body().unwrap();
    let EventBody::ProcessingInterrupted(interrupted) = last else { panic!("{last:?}") };
    assert_eq!(interrupted.reason, "it could not be started");
    assert_eq!(region.react("clip.mp4").await.unwrap().attempt, 2);
}

#[tokio::test]
async fn the_end_of_a_task_adds_nothing_to_what_its_worker_recorded() {
    let region = test_region().await;
    let (job, task) = started(&region).await;
    region.complete(&job).await;
    let before = region.video("clip.mp4").await.version;
    for exit_code in [0, 5, 137] {
        let mut event = stopped(&job, &task);
        event["detail"]["containers"][0]["exitCode"] = json!(exit_code);
        tasks(&region).handle(event).await.unwrap();
    }
    assert_eq!(region.video("clip.mp4").await.version, before);
}

#[tokio::test]
async fn other_tasks_are_ignored_and_an_unreadable_job_becomes_a_dead_letter() {
    let region = test_region().await;
    let (job, task) = started(&region).await;
    let mut elsewhere = stopped(&job, &task);
    elsewhere["detail"]["clusterArn"] = json!("arn:aws:ecs:eu-central-1:111122223333:cluster/another");
    let mut without_job = stopped(&job, &task);
    without_job["detail"]["overrides"] = json!({ "containerOverrides": [] });
    for event in [elsewhere, without_job] {
        assert_eq!(tasks(&region).handle(event).await.unwrap().counts, handled(1));
    }
    assert!(matches!(region.video("clip.mp4").await.phase, Phase::Started { .. }));
    assert!(region.dead_letters.kept().is_empty());
    let mut unreadable = stopped(&job, &task);
    unreadable["detail"]["overrides"]["containerOverrides"][0]["environment"][0]["value"] = json!("{}");
    let done = tasks(&region).handle(unreadable).await.unwrap();
    assert_eq!(done.counts.dead_lettered, 1);
    assert!(region.dead_letters.kept()[0].reason.starts_with("the task's job cannot be read: missing field"));
    let unavailable = Tasks { log: Arc::new(UnavailableLog), ..tasks(&region) };
    assert!(unavailable.handle(stopped(&job, &task)).await.is_err(), "the event is retried");
}

/// A key-value store that accepts everything, and the list of pending projects.
#[derive(Default)]
struct Edge(Mutex<Vec<ProjectId>>);

#[async_trait]
impl TenantStore for Edge {
    async fn get(&self, _: &KeyHash) -> Result<Option<Tenant>, TenantStoreError> {
        Ok(None)
    }

    async fn put(&self, _: &KeyHash, _: &Tenant) -> Result<bool, TenantStoreError> {
        Ok(true)
    }
}

#[async_trait]
impl KvNamespace for Edge {
    async fn put_all(&self, _: Vec<(String, String)>) -> Result<(), KvNamespaceError> {
        Ok(())
    }
}

#[async_trait]
impl PendingReplications for Edge {
    async fn add(&self, project_id: &ProjectId, _: u64) -> Result<(), PendingReplicationError> {
        self.0.lock().unwrap().push(project_id.clone());
        Ok(())
    }

    async fn pending(&self, _: usize) -> Result<Vec<ProjectId>, PendingReplicationError> {
        Ok(self.0.lock().unwrap().clone())
    }

    async fn remove(&self, project_id: &ProjectId, _: u64) -> Result<(), PendingReplicationError> {
        self.0.lock().unwrap().retain(|noted| noted != project_id);
        Ok(())
    }
}

#[tokio::test]
async fn the_schedule_sweeps_due_videos_and_pending_keys() {
    let region = test_region().await;
    region.receive(object_notification("clip.mp4", "01")).await;
    region.refresh("clip.mp4").await;
    let edge = Arc::new(Edge::default());
    let sweep = Sweep {
        log: Arc::new(region.log.clone()),
        launcher: Arc::clone(&region.launcher) as _,
        objects: Arc::clone(&region.objects) as _,
        views: Arc::clone(&region.store) as _,
        tenants: Arc::clone(&edge) as _,
        kv: Arc::clone(&edge) as _,
        pending: Arc::clone(&edge) as _,
        policy: region.policy.clone(),
        clock,
    };
    let event = payload(include_str!("../payloads/schedule_scheduler.json"));
    let nothing = json!({ "replicated": 0, "failed": 0, "left": 0 });
    let done = sweep.handle(event.clone()).await.unwrap();
    assert_eq!(done.response, json!({ "handled": 1, "failed": 0, "left": 0, "keys": nothing }));
    assert_eq!(region.launcher.launched().len(), 1);
    let again = sweep.handle(event.clone()).await.unwrap();
    assert_eq!(again.response, json!({ "handled": 0, "failed": 0, "left": 0, "keys": nothing }));
    edge.add(&"acme".parse().unwrap(), 1).await.unwrap();
    let replicated = sweep.handle(event.clone()).await.unwrap();
    assert_eq!(replicated.response["keys"], json!({ "replicated": 1, "failed": 0, "left": 0 }));
    assert_eq!(replicated.counts, handled(1));
    assert_eq!(sweep.handle(event).await.unwrap().response["keys"], nothing);
    assert!(sweep.handle(eventbridge()).await.is_err());
}
