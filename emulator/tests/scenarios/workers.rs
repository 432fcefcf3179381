//! Workers that are killed, interrupted, or come back when nobody waits for them any more.

use serde_json::Value;
use streamio_emulator::ecs::{Status, StopCode};
use streamio_emulator::event_road::{Delivery, Order};
use streamio_emulator::fault_proxy::Fault;

use crate::clip::film;
use crate::play::play;
use crate::verdict::{kinds, verdict};
use crate::world::World;

/// Waits until the first worker has the attempt and its FFmpeg waits at the gate; answers its ARN.
async fn at_the_gate(world: &World, video_id: &str) -> String {
    world
        .until("the worker has the attempt", async || {
            kinds(world, video_id).await.iter().any(|kind| kind == "processing.started")
        })
        .await;
    let tasks = world.cloud.ecs().tasks_when(|tasks| tasks.iter().any(|task| task.status == Status::Running));
    tasks.await[0].arn.clone()
}

fn count(kinds: &[String], kind: &str) -> usize {
    kinds.iter().filter(|it| *it == kind).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_is_followed_by_another() {
    let world = World::start().await;
    world.gate.shut();
    let video_id = world.upload("clip.mp4", film()).await;
    let first = at_the_gate(&world, &video_id).await;
    world.cloud.ecs().kill(&first).unwrap();
    world.gate.open();
    let status = world.ready(&video_id, 1).await;
    assert_eq!(status["attempt"], 2, "{status}");
    play(&world, &status).await;
    let kinds = kinds(&world, &video_id).await;
    assert_eq!(count(&kinds, "processing.failed"), 1, "{kinds:?}");
    let tasks = world.cloud.ecs().tasks();
    assert_eq!((tasks.len(), tasks[0].exit_code), (2, Some(137)), "{tasks:?}");
    verdict(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spot_interruption_of_a_worker_is_not_a_failure() {
    let world = World::start().await;
    world.gate.shut();
    let video_id = world.upload("clip.mp4", film()).await;
    let first = at_the_gate(&world, &video_id).await;
    world.cloud.ecs().interrupt_spot(&first).unwrap();
    world.cloud.ecs().tasks_when(|tasks| tasks[0].status == Status::Stopped).await;
    world.gate.open();
    let status = world.ready(&video_id, 1).await;
    assert_eq!(status["attempt"], 2, "{status}");
    play(&world, &status).await;
    let kinds = kinds(&world, &video_id).await;
    let told = (count(&kinds, "processing.interrupted"), count(&kinds, "processing.failed"));
    assert_eq!(told, (1, 0), "{kinds:?}");
    let tasks = world.cloud.ecs().tasks();
    assert_eq!((tasks.len(), tasks[0].stop_code), (2, Some(StopCode::SpotInterruption)), "{tasks:?}");
    verdict(world).await;
}

/// Progress goes by Kinesis. While that takes nothing, the ledger is told: who is not heard loses its attempt.
#[tokio::test(flavor = "multi_thread")]
async fn progress_that_kinesis_refuses_is_appended_to_the_ledger() {
    let world = World::start().await;
    world.gate.shut();
    let video_id = world.upload("clip.mp4", film()).await;
    let outage = world.cloud.kinesis_proxy().fault("PutRecords", &video_id, 1000, Fault::Refuse);
    at_the_gate(&world, &video_id).await;
    world
        .until("the ledger has a worker's progress", async || {
            count(&kinds(&world, &video_id).await, "processing.progressed") > 0
        })
        .await;
    assert!(outage.times() > 0, "nobody asked Kinesis");
    outage.end();
    world.gate.open();
    let status = world.ready(&video_id, 1).await;
    assert_eq!(status["attempt"], 1, "{status}");
    play(&world, &status).await;
    verdict(world).await;
}

/// It has lost its breath for so long that its attempt is given to another; when it goes on it changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_resumes_after_its_attempt_expired_publishes_nothing() {
    // A worker that starts slowly on a busy machine is silent as well: its successors may, too.
    let world =
        World::start_with(|config| config.with_policy("silence", 5).with_policy("maxFailures", 15)).await;
    world.gate.shut();
    let video_id = world.upload("clip.mp4", film()).await;
    let zombie = at_the_gate(&world, &video_id).await;
    world.cloud.ecs().freeze(&zombie).unwrap();
    world
        .until("the attempt has expired", async || {
            count(&kinds(&world, &video_id).await, "processing.expired") > 0
        })
        .await;
    world.gate.open();
    let status = world.ready(&video_id, 1).await;
    let published = status["attempt"].as_u64().unwrap();
    assert!(published > 1, "{status}");
    let master = status["outputs"].clone();
    world.cloud.ecs().thaw(&zombie).unwrap();
    let tasks =
        world.cloud.ecs().tasks_when(|tasks| tasks.iter().all(|it| it.status == Status::Stopped)).await;
    assert_eq!(
        tasks[0].exit_code,
        Some(0),
        "who finds itself fenced off has nothing to complain of: {tasks:?}"
    );
    let after = world.status_when(&video_id, |_| true).await;
    assert_eq!((&after["attempt"], &after["outputs"]), (&status["attempt"], &master));
    play(&world, &after).await;
    verdict(world).await;
}

/// Its attempt is complete, and nobody has published it: another worker does, without processing it again.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_before_it_publishes_is_followed_by_one_that_does() {
    let world = World::start().await;
    let fault = world.cloud.dynamo_proxy().fault("PutItem", "video.ready", 1000, Fault::Refuse);
    let video_id = world.upload("clip.mp4", film()).await;
    world
        .until("the attempt is complete", async || {
            fault.times() > 0 && count(&kinds(&world, &video_id).await, "processing.completed") == 1
        })
        .await;
    let first = world.cloud.ecs().tasks()[0].arn.clone();
    world.cloud.ecs().kill(&first).unwrap();
    fault.end();
    let status = world.ready(&video_id, 1).await;
    assert_eq!(status["attempt"], 1, "{status}");
    play(&world, &status).await;
    let kinds = kinds(&world, &video_id).await;
    assert_eq!(count(&kinds, "processing.dispatched"), 1, "{kinds:?}");
    let tasks =
        world.cloud.ecs().tasks_when(|tasks| tasks.iter().all(|it| it.status == Status::Stopped)).await;
    assert_eq!((tasks[0].exit_code, tasks[1].exit_code), (Some(137), Some(0)), "{tasks:?}");
    verdict(world).await;
}

/// Neither the worker nor ECS says that it is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_an_end_event_expires_for_lack_of_heartbeats() {
    // A worker that starts slowly on a busy machine is silent as well: its successors may, too.
    let world =
        World::start_with(|config| config.with_policy("silence", 5).with_policy("maxFailures", 15)).await;
    world.cloud.ecs_events().fault(1, Delivery::Lost, |event| event["detail"]["lastStatus"] == "STOPPED");
    world
        .cloud
        .ecs_events()
        .fault(1, Delivery::Lost, |event| event["detail"]["lastStatus"] == "DEPROVISIONING");
    world.gate.shut();
    let video_id = world.upload("clip.mp4", film()).await;
    let first = at_the_gate(&world, &video_id).await;
    world.cloud.ecs().kill(&first).unwrap();
    world.gate.open();
    let status = world.ready(&video_id, 1).await;
    assert!(status["attempt"].as_u64() > Some(1), "{status}");
    play(&world, &status).await;
    let kinds = kinds(&world, &video_id).await;
    assert!(count(&kinds, "processing.expired") > 0, "{kinds:?}");
    assert_eq!(count(&kinds, "processing.failed"), 0, "{kinds:?}");
    verdict(world).await;
}

/// The end comes before the beginning, and each of them twice.
#[tokio::test(flavor = "multi_thread")]
async fn task_states_delivered_twice_and_in_the_wrong_order_change_nothing() {
    let world = World::start().await;
    let is = |status: &'static str| move |event: &Value| event["detail"]["lastStatus"] == status;
    let road = world.cloud.ecs_events();
    road.fault(4, Delivery::Twice, is("STOPPED"));
    road.fault(4, Delivery::Held, is("RUNNING"));
    road.fault(4, Delivery::Held, is("PENDING"));
    world.gate.shut();
    let video_id = world.upload("clip.mp4", film()).await;
    let first = at_the_gate(&world, &video_id).await;
    world.cloud.ecs().kill(&first).unwrap();
    world.gate.open();
    let status = world.ready(&video_id, 1).await;
    assert_eq!(status["attempt"], 2, "{status}");
    assert!(road.held() >= 4, "{road:?}");
    road.release(Order::Reversed);
    // The first worker's end once more, when the second has long published.
    let ends = road.sent().into_iter().filter(is("STOPPED"));
    for end in ends.collect::<Vec<_>>() {
        world.cloud.bus().put_envelope(end);
    }
    world.cloud.bus().quiet().await;
    play(&world, &world.status_when(&video_id, |_| true).await).await;
    let kinds = kinds(&world, &video_id).await;
    assert_eq!(
        (count(&kinds, "processing.failed"), count(&kinds, "processing.dispatched")),
        (1, 2),
        "{kinds:?}"
    );
    verdict(world).await;
}
