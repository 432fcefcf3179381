//! DynamoDB throttles requests, and loses responses.

use streamio_emulator::fault_proxy::{Fault, InjectedFault};

use crate::clips::clip;
use crate::play::play;
use crate::test_cloud::TestCloud;

#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_table_delays_processing_and_loses_nothing() {
    let cloud = TestCloud::start().await;
    let proxy = cloud.dynamo_proxy();
    // `uploads` uses the first two operations. Lambda invokes it three times for an event, and each call has four attempts, so
    // twelve throttled calls could exhaust its retries.
    let operations = [("PutItem", 5), ("Query", 5), ("GetItem", 12), ("TransactWriteItems", 12)];
    let faults: Vec<InjectedFault> = operations
        .iter()
        .map(|(operation, count)| proxy.inject(operation, "", *count, Fault::Throttle))
        .collect();
    let video_id = cloud.upload("clip.mp4", clip()).await;
    let status = cloud.wait_until_ready(&video_id, 1).await;
    play(&cloud, &status).await;
    for (fault, (operation, _)) in faults.iter().zip(operations) {
        assert!(fault.hits() > 0, "{operation} was never throttled");
        fault.cancel();
    }
    cloud.finish().await;
}

/// The commit is appended, but the program that appended it gets no response.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_response_is_lost_is_appended_once() {
    let cloud = TestCloud::start().await;
    let kinds = [
        "upload.granted",
        "upload.completed",
        "processing.dispatched",
        "processing.started",
        "processing.completed",
        "video.ready",
    ];
    let proxy = cloud.dynamo_proxy();
    let faults: Vec<InjectedFault> = kinds
        .iter()
        .map(|kind| proxy.inject("PutItem", &format!("{kind}\\\""), 1, Fault::LoseResponse))
        .collect();
    let projection = proxy.inject("TransactWriteItems", "", 3, Fault::LoseResponse);
    let video_id = cloud.upload("clip.mp4", clip()).await;
    let status = cloud.wait_until_ready(&video_id, 1).await;
    play(&cloud, &status).await;
    for (fault, kind) in faults.iter().zip(kinds) {
        assert_eq!(fault.hits(), 1, "the response to {kind} was not lost");
    }
    assert_eq!(projection.hits(), 3);
    assert_eq!(cloud.ecs().tasks().len(), 1, "one worker");
    cloud.finish().await;
}
