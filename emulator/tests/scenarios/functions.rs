//! Functions that crash after their effect and before their answer, or before both.

use serde_json::json;
use streamio_emulator::lambda::Fault;

use crate::clip::film;
use crate::play::play;
use crate::verdict::verdict;
use crate::world::World;

const FUNCTIONS: [&str; 7] = ["uploads", "intake", "react", "views", "tasks", "sweep", "api"];

async fn every_function_meets(fault: Fault, times: u32) {
    let world = World::start().await;
    for function in FUNCTIONS {
        world.cloud.functions().fail_next_times(function, fault, times).unwrap();
    }
    let video_id = world.upload("clip.mp4", film()).await;
    let status = world.ready(&video_id, 1).await;
    play(&world, &status).await;
    assert_eq!(world.cloud.ecs().tasks().len(), 1, "one worker");
    world
        .until("every fault has happened", async || {
            // Asks `api`.
            world.get("/videos").await;
            let left = |function| world.cloud.functions().faults_left(function).unwrap();
            FUNCTIONS.iter().all(|function| left(function) == 0)
        })
        .await;
    verdict(world).await;
}

/// As often as asynchronous invocations are tried again.
#[tokio::test(flavor = "multi_thread")]
async fn functions_that_crash_between_effect_and_response_take_effect_once() {
    every_function_meets(Fault::CrashBeforeAnswer, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_that_crash_before_their_effect_take_effect_later() {
    every_function_meets(Fault::CrashBeforeWork, 2).await;
}

/// Each of the invocations of `react` for one video, not only the first ones: the crash comes after each decision.
#[tokio::test(flavor = "multi_thread")]
async fn a_reaction_that_crashes_after_each_decision_makes_each_decision_once() {
    let world = World::start().await;
    for kind in ["upload.completed", "processing.dispatched", "processing.completed", "video.ready"] {
        for function in ["react", "views"] {
            let about = move |event: &serde_json::Value| event.to_string().contains(kind);
            world.cloud.functions().fail_when(function, Fault::CrashBeforeAnswer, 2, about).unwrap();
        }
    }
    let video_id = world.upload("clip.mp4", film()).await;
    let status = world.ready(&video_id, 1).await;
    play(&world, &status).await;
    let functions = world.cloud.functions();
    world
        .until("every crash has happened", async || {
            functions.faults_left("react").unwrap() + functions.faults_left("views").unwrap() == 0
        })
        .await;
    assert_eq!(world.cloud.ecs().tasks().len(), 1, "one worker");
    verdict(world).await;
}

/// The service delivers batches again that had succeeded, as it may when it loses a checkpoint.
#[tokio::test(flavor = "multi_thread")]
async fn batches_that_are_delivered_again_after_success_change_nothing() {
    let world = World::start().await;
    let mappings = world.cloud.mappings();
    let all = [&mappings.intake, &mappings.react, &mappings.views];
    for mapping in all {
        mapping.redeliver_next(1000);
    }
    let video_id = world.upload("clip.mp4", film()).await;
    let status = world.ready(&video_id, 1).await;
    play(&world, &status).await;
    world.post("/upload-url", &json!({ "filename": "other.mp4" })).await;
    for mapping in all {
        let counters = mapping.counters();
        // Each at least twice, in batches of any size.
        assert!(counters.invocations > 2 && counters.failures == 0, "{counters:?}");
    }
    verdict(world).await;
}
