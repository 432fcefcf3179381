//! A grant takes one upload, and a job names the version that was accepted.

use streamio_local::s3::ObjectVersion;

use crate::clips::{clip, other_clip};
use crate::play::play;
use crate::test_cloud::TestCloud;

async fn versions(cloud: &TestCloud, name: &str) -> Vec<ObjectVersion> {
    let key = format!("projects/{}/{name}", cloud.project_id);
    cloud.s3().store().versions(streamio_emulator::cloud::RAW_BUCKET, &key).await.unwrap()
}

fn has(kinds: &[String], kind: &str) -> bool {
    kinds.iter().any(|it| it == kind)
}

/// The worker reads its source only after another object has been stored under the key.
#[tokio::test(flavor = "multi_thread")]
async fn a_used_url_changes_neither_a_video_that_is_encoded_nor_one_that_is_ready() {
    let cloud = TestCloud::start_with(|config| config.with_policy("grantWait", 2)).await;
    cloud.gate.close();
    let grant = cloud.recorded_grant("clip.mp4").await;
    cloud.put_object(&grant, clip()).await;
    let video_id = grant["videoId"].as_str().unwrap();
    cloud
        .wait_until("the worker has the attempt", async || {
            has(&cloud.event_types(video_id).await, "processing.started")
        })
        .await;
    cloud.put_object(&grant, other_clip()).await;
    cloud.gate.open();
    let status = cloud.wait_until_ready(video_id, 1).await;
    assert_eq!(status["source"]["width"], 320, "{status}");
    cloud
        .wait_until("the second upload is rejected", async || {
            has(&cloud.event_types(video_id).await, "upload.rejected")
        })
        .await;
    let status = cloud.wait_until_ready(video_id, 1).await;
    assert_eq!(status["source"]["width"], 320, "{status}");
    play(&cloud, &status).await;
    assert_eq!(versions(&cloud, "clip.mp4").await.len(), 2, "the rejected version is kept for a while");

    // Processed again, the video is made of the version that was accepted, which is no longer the latest.
    cloud.post(&format!("/videos/{video_id}/reprocess"), &serde_json::json!({})).await;
    let status = cloud.wait_until_ready(video_id, 2).await;
    assert_eq!(status["source"]["width"], 320, "{status}");
    cloud.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_url_does_not_take_the_grant_of_another_upload() {
    let cloud = TestCloud::start().await;
    let first = cloud.recorded_grant("clip.mp4").await;
    cloud.put_object(&first, clip()).await;
    let video_id = first["videoId"].as_str().unwrap();
    cloud.wait_until_ready(video_id, 1).await;
    let request = serde_json::json!({ "filename": "clip.mp4", "overwrite": true });
    let second = cloud.post("/upload-url", &request).await;
    cloud.put_object(&first, other_clip()).await;
    cloud
        .wait_until("the upload with the used URL is rejected", async || {
            has(&cloud.event_types(video_id).await, "upload.rejected")
        })
        .await;
    cloud.put_object(&second, other_clip()).await;
    let status = cloud.wait_until_ready(video_id, 2).await;
    play(&cloud, &status).await;
    cloud.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_waits_for_its_grant_that_is_still_in_kinesis() {
    let cloud = TestCloud::start().await;
    cloud.mappings().intake.pause();
    let grant = cloud.grant("clip.mp4").await;
    cloud.put_object(&grant, clip()).await;
    let video_id = grant["videoId"].as_str().unwrap();
    cloud
        .wait_until("the upload is recorded", async || {
            has(&cloud.event_types(video_id).await, "upload.received")
        })
        .await;
    let kinds = cloud.event_types(video_id).await;
    assert!(!has(&kinds, "upload.granted") && !has(&kinds, "upload.completed"), "{kinds:?}");
    cloud.mappings().intake.resume();
    let status = cloud.wait_until_ready(video_id, 1).await;
    play(&cloud, &status).await;
    assert!(!has(&cloud.event_types(video_id).await, "upload.rejected"));
    cloud.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_version_is_removed_by_the_sweep_after_its_retention() {
    let short = |config: streamio_emulator::CloudConfig| {
        config.with_policy("grantWait", 1).with_policy("rejectedRetention", 2)
    };
    let cloud = TestCloud::start_with(short).await;
    let grant = cloud.recorded_grant("clip.mp4").await;
    cloud.put_object(&grant, clip()).await;
    let video_id = grant["videoId"].as_str().unwrap();
    cloud.wait_until_ready(video_id, 1).await;
    cloud.put_object(&grant, other_clip()).await;
    cloud
        .wait_until("the rejected version is removed", async || {
            has(&cloud.event_types(video_id).await, "upload.removed")
        })
        .await;
    let left = versions(&cloud, "clip.mp4").await;
    assert_eq!(left.len(), 1, "{left:?}");
    let size = left[0].object.as_ref().map(|object| object.size);
    assert_eq!(size, Some(clip().len() as u64), "the accepted one is left");
    cloud.finish().await;
}
