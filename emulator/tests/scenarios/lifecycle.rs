//! The lifecycle of a video without faults.

use serde_json::json;

use crate::clips::{clip, other_clip};
use crate::play::play;
use crate::test_cloud::TestCloud;
use streamio_emulator::Journal;

/// Processes a video from `POST /upload-url` on workerd to the last frame from the CDN, with every function and the worker.
async fn process_a_video(journal: Journal) {
    let cloud = TestCloud::start_with(|config| streamio_emulator::CloudConfig { journal, ..config }).await;
    let video_id = cloud.upload("clip.mp4", clip()).await;
    let status = cloud.wait_until_ready(&video_id, 1).await;
    assert_eq!(status["source"]["width"], 320, "{status}");
    play(&cloud, &status).await;
    let kinds = cloud.event_types(&video_id).await;
    let events: Vec<&str> =
        kinds.iter().map(String::as_str).filter(|kind| *kind != "processing.progressed").collect();
    let expected = [
        "upload.completed",
        "processing.dispatched",
        "processing.started",
        "processing.completed",
        "video.ready",
    ];
    // A grant in the queue may be recorded after its upload, which then waits for it.
    let of_upload = events.iter().copied();
    let of_upload = of_upload.filter(|kind| !["upload.granted", "upload.received"].contains(kind));
    assert_eq!(of_upload.collect::<Vec<_>>(), expected, "{events:?}");
    assert_eq!(events.iter().filter(|kind| **kind == "upload.granted").count(), 1, "{events:?}");
    assert_eq!(cloud.ecs().tasks().len(), 1);
    cloud.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_video_is_processed_with_grants_recorded_through_the_queue() {
    process_a_video(Journal::Queue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_video_is_processed_with_grants_recorded_by_the_home_region() {
    process_a_video(Journal::Home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_video_is_replaced_processed_again_and_deleted() {
    let cloud = TestCloud::start().await;
    let video_id = cloud.upload("clip.mp4", clip()).await;
    cloud.wait_until_ready(&video_id, 1).await;
    assert_eq!(cloud.replace("clip.mp4", other_clip()).await, video_id);
    let second = cloud.wait_until_ready(&video_id, 2).await;
    assert_eq!(second["source"]["width"], 160, "{second}");
    play(&cloud, &second).await;
    cloud.post(&format!("/videos/{video_id}/reprocess"), &json!({})).await;
    cloud.wait_until_ready(&video_id, 3).await;
    let request = cloud.http.delete(format!("{}/videos/{video_id}", cloud.api()));
    let (status, body) = cloud.send_request(request).await;
    assert!((200..300).contains(&status), "{status} {body}");
    cloud.wait_for_status(&video_id, |status| status["state"] == "deleted").await;
    let store = cloud.s3().store().clone();
    cloud
        .wait_until("no object is left", async || {
            let mut objects = 0;
            for bucket in [streamio_emulator::cloud::RAW_BUCKET, streamio_emulator::cloud::PROCESSED_BUCKET] {
                let request = streamio_local::s3::ListRequest { limit: 10, ..Default::default() };
                objects += store.list(bucket, request).await.unwrap().objects.len();
            }
            objects == 0
        })
        .await;
    cloud.finish().await;
}
