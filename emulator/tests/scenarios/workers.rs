//! Workers are killed, interrupted, or suspended until their attempt has expired.

use serde_json::Value;
use streamio_emulator::ecs::{Status, StopCode};
use streamio_emulator::event_channel::{DeliveryFault, Order};
use streamio_emulator::fault_proxy::Fault;

use crate::clips::clip;
use crate::play::play;
use crate::test_cloud::TestCloud;

/// Waits until the first worker has started its attempt. Its FFmpeg waits at the closed gate. Returns the task's ARN.
async fn wait_for_worker(cloud: &TestCloud, video_id: &str) -> String {
    cloud
        .wait_until("the worker has the attempt", async || {
            cloud.event_types(video_id).await.iter().any(|kind| kind == "processing.started")
        })
        .await;
    let tasks = cloud.ecs().wait_for_tasks(|tasks| tasks.iter().any(|task| task.status == Status::Running));
    tasks.await[0].arn.clone()
}

fn count(kinds: &[String], kind: &str) -> usize {
    kinds.iter().filter(|it| *it == kind).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_is_followed_by_another() {
    let cloud = TestCloud::start().await;
    cloud.gate.close();
    let video_id = cloud.upload("clip.mp4", clip()).await;
    let first = wait_for_worker(&cloud, &video_id).await;
    cloud.ecs().kill(&first).unwrap();
    cloud.gate.open();
    let status = cloud.wait_until_ready(&video_id, 1).await;
    assert_eq!(status["attempt"], 2, "{status}");
    play(&cloud, &status).await;
    let kinds = cloud.event_types(&video_id).await;
    assert_eq!(count(&kinds, "processing.failed"), 1, "{kinds:?}");
    let tasks = cloud.ecs().tasks();
    assert_eq!((tasks.len(), tasks[0].exit_code), (2, Some(137)), "{tasks:?}");
    cloud.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spot_interruption_of_a_worker_is_not_a_failure() {
    let cloud = TestCloud::start().await;
    cloud.gate.close();
    let video_id = cloud.upload("clip.mp4", clip()).await;
    let first = wait_for_worker(&cloud, &video_id).await;
    cloud.ecs().interrupt_spot(&first).unwrap();
    cloud.ecs().wait_for_tasks(|tasks| tasks[0].status == Status::Stopped).await;
    cloud.gate.open();
    let status = cloud.wait_until_ready(&video_id, 1).await;
    assert_eq!(status["attempt"], 2, "{status}");
    play(&cloud, &status).await;
    let kinds = cloud.event_types(&video_id).await;
    let counts = (count(&kinds, "processing.interrupted"), count(&kinds, "processing.failed"));
    assert_eq!(counts, (1, 0), "{kinds:?}");
    let tasks = cloud.ecs().tasks();
    assert_eq!((tasks.len(), tasks[0].stop_code), (2, Some(StopCode::SpotInterruption)), "{tasks:?}");
    cloud.finish().await;
}

/// Workers put progress into Kinesis. While that fails they append it to the ledger, so that their attempt does not expire.
#[tokio::test(flavor = "multi_thread")]
async fn progress_that_kinesis_refuses_is_appended_to_the_ledger() {
    let cloud = TestCloud::start().await;
    cloud.gate.close();
    // An upload waits for its grant, so the outage begins when the grant is recorded.
    let grant = cloud.recorded_grant("clip.mp4").await;
    let video_id = grant["videoId"].as_str().unwrap().to_owned();
    let outage = cloud.kinesis_proxy().inject("PutRecords", &video_id, 1000, Fault::Refuse);
    cloud.put_object(&grant, clip()).await;
    wait_for_worker(&cloud, &video_id).await;
    cloud
        .wait_until("the ledger has a worker's progress", async || {
            count(&cloud.event_types(&video_id).await, "processing.progressed") > 0
        })
        .await;
    assert!(outage.hits() > 0, "Kinesis was not called");
    outage.cancel();
    cloud.gate.open();
    let status = cloud.wait_until_ready(&video_id, 1).await;
    assert_eq!(status["attempt"], 1, "{status}");
    play(&cloud, &status).await;
    cloud.finish().await;
}

/// The worker is suspended until its attempt expires and another worker gets the next attempt. When it resumes, it must not
/// change anything.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_resumes_after_its_attempt_expired_publishes_nothing() {
    // On a busy machine a later worker may start so slowly that its attempt expires as well.
    let cloud =
        TestCloud::start_with(|config| config.with_policy("silence", 5).with_policy("maxFailures", 15)).await;
    cloud.gate.close();
    let video_id = cloud.upload("clip.mp4", clip()).await;
    let suspended = wait_for_worker(&cloud, &video_id).await;
    cloud.ecs().suspend(&suspended).unwrap();
    cloud
        .wait_until("the attempt has expired", async || {
            count(&cloud.event_types(&video_id).await, "processing.expired") > 0
        })
        .await;
    cloud.gate.open();
    let status = cloud.wait_until_ready(&video_id, 1).await;
    let published = status["attempt"].as_u64().unwrap();
    assert!(published > 1, "{status}");
    let master = status["outputs"].clone();
    cloud.ecs().resume(&suspended).unwrap();
    let tasks = cloud.ecs().wait_for_tasks(|tasks| tasks.iter().all(|it| it.status == Status::Stopped)).await;
    assert_eq!(tasks[0].exit_code, Some(0), "a worker without its attempt exits with status 0: {tasks:?}");
    let after = cloud.wait_for_status(&video_id, |_| true).await;
    assert_eq!((&after["attempt"], &after["outputs"]), (&status["attempt"], &master));
    play(&cloud, &after).await;
    cloud.finish().await;
}

/// The attempt is complete but not published. Another worker publishes it without processing the video again.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_before_it_publishes_is_followed_by_one_that_does() {
    let cloud = TestCloud::start().await;
    let fault = cloud.dynamo_proxy().inject("PutItem", "video.ready", 1000, Fault::Refuse);
    let video_id = cloud.upload("clip.mp4", clip()).await;
    cloud
        .wait_until("the attempt is complete", async || {
            fault.hits() > 0 && count(&cloud.event_types(&video_id).await, "processing.completed") == 1
        })
        .await;
    let first = cloud.ecs().tasks()[0].arn.clone();
    cloud.ecs().kill(&first).unwrap();
    fault.cancel();
    let status = cloud.wait_until_ready(&video_id, 1).await;
    assert_eq!(status["attempt"], 1, "{status}");
    play(&cloud, &status).await;
    let kinds = cloud.event_types(&video_id).await;
    assert_eq!(count(&kinds, "processing.dispatched"), 1, "{kinds:?}");
    let tasks = cloud.ecs().wait_for_tasks(|tasks| tasks.iter().all(|it| it.status == Status::Stopped)).await;
    assert_eq!((tasks[0].exit_code, tasks[1].exit_code), (Some(137), Some(0)), "{tasks:?}");
    cloud.finish().await;
}

/// Neither the worker nor ECS reports the worker's end.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_an_end_event_expires_for_lack_of_heartbeats() {
    // On a busy machine a later worker may start so slowly that its attempt expires as well.
    let cloud =
        TestCloud::start_with(|config| config.with_policy("silence", 5).with_policy("maxFailures", 15)).await;
    cloud.ecs_events().inject(1, DeliveryFault::Drop, |event| event["detail"]["lastStatus"] == "STOPPED");
    cloud
        .ecs_events()
        .inject(1, DeliveryFault::Drop, |event| event["detail"]["lastStatus"] == "DEPROVISIONING");
    cloud.gate.close();
    let video_id = cloud.upload("clip.mp4", clip()).await;
    let first = wait_for_worker(&cloud, &video_id).await;
    cloud.ecs().kill(&first).unwrap();
    cloud.gate.open();
    let status = cloud.wait_until_ready(&video_id, 1).await;
    assert!(status["attempt"].as_u64() > Some(1), "{status}");
    play(&cloud, &status).await;
    let kinds = cloud.event_types(&video_id).await;
    assert!(count(&kinds, "processing.expired") > 0, "{kinds:?}");
    assert_eq!(count(&kinds, "processing.failed"), 0, "{kinds:?}");
    cloud.finish().await;
}

/// The end of the task is delivered before its start, and twice.
#[tokio::test(flavor = "multi_thread")]
async fn task_states_delivered_twice_and_in_the_wrong_order_change_nothing() {
    let cloud = TestCloud::start().await;
    let is = |status: &'static str| move |event: &Value| event["detail"]["lastStatus"] == status;
    let channel = cloud.ecs_events();
    channel.inject(4, DeliveryFault::Duplicate, is("STOPPED"));
    channel.inject(4, DeliveryFault::Hold, is("RUNNING"));
    channel.inject(4, DeliveryFault::Hold, is("PENDING"));
    cloud.gate.close();
    let video_id = cloud.upload("clip.mp4", clip()).await;
    let first = wait_for_worker(&cloud, &video_id).await;
    cloud.ecs().kill(&first).unwrap();
    cloud.gate.open();
    let status = cloud.wait_until_ready(&video_id, 1).await;
    assert_eq!(status["attempt"], 2, "{status}");
    assert!(channel.held() >= 4, "{channel:?}");
    channel.release(Order::Reversed);
    // The end of the first worker once more, after the second has published.
    let ends = channel.sent().into_iter().filter(is("STOPPED"));
    for end in ends.collect::<Vec<_>>() {
        cloud.bus().put_envelope(end);
    }
    cloud.bus().wait_until_idle().await;
    play(&cloud, &cloud.wait_for_status(&video_id, |_| true).await).await;
    let kinds = cloud.event_types(&video_id).await;
    assert_eq!(
        (count(&kinds, "processing.failed"), count(&kinds, "processing.dispatched")),
        (1, 2),
        "{kinds:?}"
    );
    cloud.finish().await;
}
