//! Functions crash before their effect, or between their effect and their response.

use serde_json::json;
use streamio_emulator::lambda::Fault;

use crate::clips::clip;
use crate::play::play;
use crate::test_cloud::{FUNCTIONS, TestCloud};

async fn process_with_fault_in_every_function(fault: Fault, times: u32) {
    let cloud = TestCloud::start().await;
    // Without endpoints `webhooks` is not invoked; the scenarios of webhooks make it fail.
    let invoked = FUNCTIONS.iter().copied().filter(|function| *function != "webhooks");
    for function in invoked {
        cloud.functions().fail_next_times(function, fault, times).unwrap();
    }
    let video_id = cloud.upload("clip.mp4", clip()).await;
    let status = cloud.wait_until_ready(&video_id, 1).await;
    play(&cloud, &status).await;
    assert_eq!(cloud.ecs().tasks().len(), 1, "one worker");
    cloud
        .wait_until("every fault has happened", async || {
            // Invokes `api`.
            cloud.get("/videos").await;
            let left = |function| cloud.functions().faults_left(function).unwrap();
            FUNCTIONS.iter().all(|function| left(function) == 0)
        })
        .await;
    cloud.finish().await;
}

/// Two crashes of each function: as many as asynchronous invocations are retried.
#[tokio::test(flavor = "multi_thread")]
async fn functions_that_crash_between_effect_and_response_take_effect_once() {
    process_with_fault_in_every_function(Fault::CrashBeforeResponse, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_that_crash_before_their_effect_take_effect_later() {
    process_with_fault_in_every_function(Fault::CrashBeforeWork, 2).await;
}

/// The functions crash after the commit of each decision, not only in their first invocations.
#[tokio::test(flavor = "multi_thread")]
async fn a_reaction_that_crashes_after_each_decision_makes_each_decision_once() {
    let cloud = TestCloud::start().await;
    for kind in ["upload.completed", "processing.dispatched", "processing.completed", "video.ready"] {
        for function in ["react", "views"] {
            let matches = move |event: &serde_json::Value| event.to_string().contains(kind);
            cloud.functions().fail_when(function, Fault::CrashBeforeResponse, 2, matches).unwrap();
        }
    }
    let video_id = cloud.upload("clip.mp4", clip()).await;
    let status = cloud.wait_until_ready(&video_id, 1).await;
    play(&cloud, &status).await;
    let functions = cloud.functions();
    cloud
        .wait_until("every crash has happened", async || {
            functions.faults_left("react").unwrap() + functions.faults_left("views").unwrap() == 0
        })
        .await;
    assert_eq!(cloud.ecs().tasks().len(), 1, "one worker");
    cloud.finish().await;
}

/// The service delivers successful batches again, as it may when it loses a checkpoint.
#[tokio::test(flavor = "multi_thread")]
async fn batches_that_are_delivered_again_after_success_change_nothing() {
    let cloud = TestCloud::start().await;
    let mappings = cloud.mappings();
    let all = [&mappings.intake, &mappings.react, &mappings.views];
    for mapping in all {
        mapping.redeliver_next(1000);
    }
    let video_id = cloud.upload("clip.mp4", clip()).await;
    let status = cloud.wait_until_ready(&video_id, 1).await;
    play(&cloud, &status).await;
    cloud.post("/upload-url", &json!({ "filename": "other.mp4" })).await;
    for mapping in all {
        let counters = mapping.counters();
        // Every batch is delivered at least twice.
        assert!(counters.invocations > 2 && counters.failures == 0, "{counters:?}");
    }
    cloud.finish().await;
}
