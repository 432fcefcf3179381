//! Events of S3 are duplicated, reordered and lost.

use std::time::Duration;

use serde_json::{Value, json};
use streamio_emulator::event_channel::DeliveryFault;

use crate::clips::{clip, other_clip};
use crate::play::play;
use crate::test_cloud::TestCloud;

fn count(kinds: &[String], kind: &str) -> usize {
    kinds.iter().filter(|it| *it == kind).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_whose_event_is_delivered_twice_is_one_generation() {
    let cloud = TestCloud::start().await;
    cloud.s3_events().inject(1, DeliveryFault::Duplicate, |_| true);
    let video_id = cloud.upload("clip.mp4", clip()).await;
    let status = cloud.wait_until_ready(&video_id, 1).await;
    // A third delivery, after the video is ready.
    let event = cloud.s3_events().sent()[0].clone();
    cloud.bus().put_envelope(event);
    cloud.bus().wait_until_idle().await;
    play(&cloud, &status).await;
    assert_eq!(count(&cloud.event_types(&video_id).await, "upload.completed"), 1);
    cloud.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_uploads_with_events_in_the_wrong_order_the_later_is_processed() {
    let cloud = TestCloud::start().await;
    cloud.s3_events().inject(2, DeliveryFault::Hold, |_| true);
    let video_id = cloud.upload("clip.mp4", clip()).await;
    cloud.upload("clip.mp4", other_clip()).await;
    cloud.wait_until("two events are held", async || cloud.s3_events().held() == 2).await;
    cloud.s3_events().release_latest();
    cloud.wait_for_status(&video_id, |status| status["generation"] == 1).await;
    cloud.s3_events().release_latest();
    cloud.bus().wait_until_idle().await;
    let status = cloud.wait_until_ready(&video_id, 1).await;
    assert_eq!(status["source"]["width"], 160, "{status}");
    play(&cloud, &status).await;
    assert_eq!(count(&cloud.event_types(&video_id).await, "upload.completed"), 1);
    cloud.finish().await;
}

/// How many grants expired without an upload. That the URLs of used grants were checked is recorded in the same way, without grants.
async fn expired_grants(cloud: &TestCloud, video_id: &str) -> usize {
    let events = cloud.get(&format!("/videos/{video_id}/events?limit=100")).await;
    let expired = events["data"].as_array().unwrap().iter().filter(|event| event["type"] == "upload.expired");
    expired.map(|event| event["data"]["grantIds"].as_array().unwrap().len()).sum()
}

/// S3 loses the event. The sweep looks for the object before it expires the grant.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_whose_event_is_lost_is_found_by_the_sweep() {
    let cloud = TestCloud::start().await;
    cloud.s3_events().inject(1, DeliveryFault::Drop, |_| true);
    let request = json!({ "filename": "clip.mp4", "expiresIn": 5 });
    let grant = cloud.post("/upload-url", &request).await;
    cloud.put_object(&grant, clip()).await;
    let video_id = grant["videoId"].as_str().unwrap();
    let status = cloud.wait_until_ready(video_id, 1).await;
    play(&cloud, &status).await;
    // A late delivery of the event is recognised.
    let event: Value = cloud.s3_events().sent()[0].clone();
    cloud.bus().put_envelope(event);
    cloud.bus().wait_until_idle().await;
    assert_eq!(count(&cloud.event_types(video_id).await, "upload.completed"), 1);
    assert_eq!(expired_grants(&cloud, video_id).await, 0);
    cloud.finish().await;
}

/// The object has the entity tag of the deleted one, and its event is lost.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_bytes_uploaded_after_a_deletion_count_as_another_upload() {
    let cloud = TestCloud::start().await;
    let video_id = cloud.upload("clip.mp4", clip()).await;
    cloud.wait_until_ready(&video_id, 1).await;
    let request = cloud.http.delete(format!("{}/videos/{video_id}", cloud.api()));
    let (status, body) = cloud.send_request(request).await;
    assert!((200..300).contains(&status), "{status} {body}");
    cloud.wait_for_status(&video_id, |status| status["state"] == "deleted").await;
    // S3's modification times have a resolution of one second.
    tokio::time::sleep(Duration::from_secs(1)).await;

    cloud.s3_events().inject(1, DeliveryFault::Drop, |_| true);
    let grant = cloud.post("/upload-url", &json!({ "filename": "clip.mp4", "expiresIn": 5 })).await;
    cloud.put_object(&grant, clip()).await;
    let status = cloud.wait_until_ready(&video_id, 2).await;
    play(&cloud, &status).await;
    assert_eq!(expired_grants(&cloud, &video_id).await, 0);
    cloud.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unused_grant_expires() {
    let cloud = TestCloud::start().await;
    let grant = cloud.post("/upload-url", &json!({ "filename": "clip.mp4", "expiresIn": 1 })).await;
    let video_id = grant["videoId"].as_str().unwrap();
    cloud
        .wait_until("the grant has expired", async || {
            count(&cloud.event_types(video_id).await, "upload.expired") >= 1
        })
        .await;
    cloud.wait_for_status(video_id, |status| status["state"] == "expired").await;
    let listed = async |query: &str| cloud.get(&format!("/videos{query}")).await["data"].clone();
    cloud
        .wait_until("lists show it only if they are asked for it", async || {
            listed("").await == json!([]) && listed("?state=expired").await[0]["videoId"] == video_id
        })
        .await;
    cloud.finish().await;
}
