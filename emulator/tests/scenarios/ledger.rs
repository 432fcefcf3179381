//! DynamoDB throttles, and loses the answer to what it has done.

use streamio_emulator::fault_proxy::{Fault, Injected};

use crate::clip::film;
use crate::play::play;
use crate::verdict::verdict;
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_table_delays_processing_and_loses_nothing() {
    let world = World::start().await;
    let proxy = world.cloud.dynamo_proxy();
    // `uploads` uses the first two. Lambda invokes it three times for an event and each call has four attempts, so twelve
    // throttled calls could make it give up, whatever other functions take of them.
    let operations = [("PutItem", 5), ("Query", 5), ("GetItem", 12), ("TransactWriteItems", 12)];
    let faults: Vec<Injected> = operations
        .iter()
        .map(|(operation, count)| proxy.fault(operation, "", *count, Fault::Throttle))
        .collect();
    let video_id = world.upload("clip.mp4", film()).await;
    let status = world.ready(&video_id, 1).await;
    play(&world, &status).await;
    for (fault, (operation, _)) in faults.iter().zip(operations) {
        assert!(fault.times() > 0, "{operation} was never throttled");
        fault.end();
    }
    verdict(world).await;
}

/// The commit is there, and its author does not know.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_response_is_lost_is_appended_once() {
    let world = World::start().await;
    let kinds = [
        "upload.granted",
        "upload.completed",
        "processing.dispatched",
        "processing.started",
        "processing.completed",
        "video.ready",
    ];
    let proxy = world.cloud.dynamo_proxy();
    let faults: Vec<Injected> = kinds
        .iter()
        .map(|kind| proxy.fault("PutItem", &format!("{kind}\\\""), 1, Fault::LoseAnswer))
        .collect();
    let projection = proxy.fault("TransactWriteItems", "", 3, Fault::LoseAnswer);
    let video_id = world.upload("clip.mp4", film()).await;
    let status = world.ready(&video_id, 1).await;
    play(&world, &status).await;
    for (fault, kind) in faults.iter().zip(kinds) {
        assert_eq!(fault.times(), 1, "the answer to {kind} was not lost");
    }
    assert_eq!(projection.times(), 3);
    assert_eq!(world.cloud.ecs().tasks().len(), 1, "one worker");
    verdict(world).await;
}
