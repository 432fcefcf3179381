//! `RunTask` fails to place the task, is throttled, or loses its response.

use streamio_emulator::fault_proxy::Fault;

use crate::clips::clip;
use crate::play::play;
use crate::test_cloud::TestCloud;

async fn check_that_one_worker_publishes(cloud: TestCloud, video_id: &str) {
    let status = cloud.wait_until_ready(video_id, 1).await;
    play(&cloud, &status).await;
    let tasks = cloud.ecs().tasks();
    assert_eq!(tasks.len(), 1, "{tasks:?}");
    let kinds = cloud.event_types(video_id).await;
    assert_eq!(kinds.iter().filter(|kind| *kind == "processing.dispatched").count(), 1, "{kinds:?}");
    cloud.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_cannot_be_placed_is_launched_again_with_the_same_token() {
    let cloud = TestCloud::start().await;
    cloud.ecs().fail_placements(
        3,
        "Capacity is unavailable at this time. Please try again later or in a different availability zone",
    );
    let video_id = cloud.upload("clip.mp4", clip()).await;
    cloud.wait_until_ready(&video_id, 1).await;
    assert!(cloud.ecs_proxy().count("RunTask") > 3);
    Box::pin(check_that_one_worker_publishes(cloud, &video_id)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_launch_is_retried_later() {
    let cloud = TestCloud::start().await;
    // More often than the SDK retries.
    let fault = cloud.ecs_proxy().inject("RunTask", "", 5, Fault::Throttle);
    let video_id = cloud.upload("clip.mp4", clip()).await;
    cloud.wait_until_ready(&video_id, 1).await;
    assert_eq!(fault.hits(), 5);
    Box::pin(check_that_one_worker_publishes(cloud, &video_id)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launch_whose_response_is_lost_starts_one_task() {
    let cloud = TestCloud::start().await;
    let fault = cloud.ecs_proxy().inject("RunTask", "", 5, Fault::LoseResponse);
    let video_id = cloud.upload("clip.mp4", clip()).await;
    cloud.wait_until_ready(&video_id, 1).await;
    assert!(fault.hits() > 1, "{fault:?}");
    fault.cancel();
    Box::pin(check_that_one_worker_publishes(cloud, &video_id)).await;
}
