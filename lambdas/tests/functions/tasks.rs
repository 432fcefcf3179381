//! The function that records the ends of workers.

use std::sync::Arc;

use serde_json::{Value, json};
use streamio_core::testing::{TestRegion, UnavailableLog, ids, notification};
use streamio_events::event::EventBody;
use streamio_events::job::Job;
use streamio_events::video::{Phase, decide, decide_and_append};
use streamio_lambdas::functions::tasks::Tasks;
use streamio_lambdas::runtime::Function as _;

use crate::events::{clock, handled, payload, test_region};

fn tasks(region: &TestRegion) -> Tasks {
    Tasks {
        log: Arc::new(region.log.clone()),
        dead_letters: Arc::clone(&region.dead_letters) as _,
        cluster: "streamio".to_owned(),
        container: "worker".to_owned(),
        clock,
    }
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
    region.receive(notification("clip.mp4", "01")).await;
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
        assert!(matches!(video.phase, Phase::Interrupted { stopped: true, .. }), "{code}");
        assert_eq!(video.failures, 0);
    }
}

#[tokio::test]
async fn a_task_that_could_not_start_ends_its_attempt_and_tenants_see_no_details() {
    let region = test_region().await;
    region.receive(notification("clip.mp4", "01")).await;
    let job = region.react("clip.mp4").await.unwrap().job.unwrap();
    let mut event = stopped(&job, "arn:aws:ecs:eu-central-1:111122223333:task/streamio/never-ran");
    event["detail"]["stopCode"] = json!("TaskFailedToStart");
    event["detail"]["stoppedReason"] = json!("CannotPullContainerError: 111122223333.dkr.ecr…");
    event["detail"]["containers"][0].as_object_mut().unwrap().remove("exitCode");
    tasks(&region).handle(event).await.unwrap();
    let last = region.events("clip.mp4").await.last().unwrap().body().unwrap();
    let EventBody::ProcessingInterrupted(interrupted) = last else { panic!("{last:?}") };
    assert_eq!((interrupted.reason.as_str(), interrupted.stopped), ("it could not be started", false));
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
