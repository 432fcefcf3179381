//! `RunTask` that does not run, is throttled, or is not heard of again.

use streamio_emulator::fault_proxy::Fault;

use crate::clip::film;
use crate::play::play;
use crate::verdict::{kinds, verdict};
use crate::world::World;

async fn one_worker_publishes(world: World, video_id: &str) {
    let status = world.ready(video_id, 1).await;
    play(&world, &status).await;
    let tasks = world.cloud.ecs().tasks();
    assert_eq!(tasks.len(), 1, "{tasks:?}");
    let kinds = kinds(&world, video_id).await;
    assert_eq!(kinds.iter().filter(|kind| *kind == "processing.dispatched").count(), 1, "{kinds:?}");
    verdict(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_cannot_be_placed_is_launched_again_with_the_same_token() {
    let world = World::start().await;
    world.cloud.ecs().refuse(
        3,
        "Capacity is unavailable at this time. Please try again later or in a different availability zone",
    );
    let video_id = world.upload("clip.mp4", film()).await;
    world.ready(&video_id, 1).await;
    assert!(world.cloud.ecs_proxy().count("RunTask") > 3);
    one_worker_publishes(world, &video_id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_launch_is_retried_later() {
    let world = World::start().await;
    // More often than the SDK tries by itself.
    let fault = world.cloud.ecs_proxy().fault("RunTask", "", 5, Fault::Throttle);
    let video_id = world.upload("clip.mp4", film()).await;
    world.ready(&video_id, 1).await;
    assert_eq!(fault.times(), 5);
    one_worker_publishes(world, &video_id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launch_whose_response_is_lost_starts_one_task() {
    let world = World::start().await;
    let fault = world.cloud.ecs_proxy().fault("RunTask", "", 5, Fault::LoseAnswer);
    let video_id = world.upload("clip.mp4", film()).await;
    world.ready(&video_id, 1).await;
    assert!(fault.times() > 1, "{fault:?}");
    fault.end();
    one_worker_publishes(world, &video_id).await;
}
