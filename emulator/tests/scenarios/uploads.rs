//! S3's events: at least once, in any order, and sometimes never.

use std::time::Duration;

use serde_json::{Value, json};
use streamio_emulator::event_road::Delivery;

use crate::clip::{film, other_film};
use crate::play::play;
use crate::verdict::{kinds, verdict};
use crate::world::World;

fn count(kinds: &[String], kind: &str) -> usize {
    kinds.iter().filter(|it| *it == kind).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_whose_event_is_delivered_twice_is_one_generation() {
    let world = World::start().await;
    world.cloud.s3_events().fault(1, Delivery::Twice, |_| true);
    let video_id = world.upload("clip.mp4", film()).await;
    let status = world.ready(&video_id, 1).await;
    // And once more when all is over.
    let event = world.cloud.s3_events().sent()[0].clone();
    world.cloud.bus().put_envelope(event);
    world.cloud.bus().quiet().await;
    play(&world, &status).await;
    assert_eq!(count(&kinds(&world, &video_id).await, "upload.completed"), 1);
    verdict(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_uploads_with_events_in_the_wrong_order_the_later_is_processed() {
    let world = World::start().await;
    world.cloud.s3_events().fault(2, Delivery::Held, |_| true);
    let video_id = world.upload("clip.mp4", film()).await;
    world.upload("clip.mp4", other_film()).await;
    world.until("two events are held", async || world.cloud.s3_events().held() == 2).await;
    world.cloud.s3_events().release_latest();
    world.status_when(&video_id, |status| status["generation"] == 1).await;
    world.cloud.s3_events().release_latest();
    world.cloud.bus().quiet().await;
    let status = world.ready(&video_id, 1).await;
    assert_eq!(status["source"]["width"], 160, "{status}");
    play(&world, &status).await;
    assert_eq!(count(&kinds(&world, &video_id).await, "upload.completed"), 1);
    verdict(world).await;
}

/// S3 loses the event; the sweep looks into the bucket before it gives the grant up.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_whose_event_is_lost_is_found_by_the_sweep() {
    let world = World::start().await;
    world.cloud.s3_events().fault(1, Delivery::Lost, |_| true);
    let wish = json!({ "filename": "clip.mp4", "expiresIn": 5 });
    let grant = world.post("/upload-url", &wish).await;
    world.put(&grant, film()).await;
    let video_id = grant["videoId"].as_str().unwrap();
    let status = world.ready(video_id, 1).await;
    play(&world, &status).await;
    // The event was only late: it is known.
    let event: Value = world.cloud.s3_events().sent()[0].clone();
    world.cloud.bus().put_envelope(event);
    world.cloud.bus().quiet().await;
    let kinds = kinds(&world, video_id).await;
    assert_eq!((count(&kinds, "upload.completed"), count(&kinds, "upload.expired")), (1, 0), "{kinds:?}");
    verdict(world).await;
}

/// They have the entity tag of what was deleted, and no event tells them from it.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_bytes_uploaded_after_a_deletion_count_as_another_upload() {
    let world = World::start().await;
    let video_id = world.upload("clip.mp4", film()).await;
    world.ready(&video_id, 1).await;
    let request = world.http.delete(format!("{}/videos/{video_id}", world.cloud.api()));
    let (status, body) = world.ask(request).await;
    assert!((200..300).contains(&status), "{status} {body}");
    world.status_when(&video_id, |status| status["state"] == "deleted").await;
    // S3 tells the time of an object to the second.
    tokio::time::sleep(Duration::from_secs(1)).await;

    world.cloud.s3_events().fault(1, Delivery::Lost, |_| true);
    let grant = world.post("/upload-url", &json!({ "filename": "clip.mp4", "expiresIn": 5 })).await;
    world.put(&grant, film()).await;
    let status = world.ready(&video_id, 2).await;
    play(&world, &status).await;
    assert_eq!(count(&kinds(&world, &video_id).await, "upload.expired"), 0);
    verdict(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_nobody_uses_expires() {
    let world = World::start().await;
    let grant = world.post("/upload-url", &json!({ "filename": "clip.mp4", "expiresIn": 1 })).await;
    let video_id = grant["videoId"].as_str().unwrap();
    world.status_when(video_id, |status| status["state"] == "waiting").await;
    world
        .until("the grant is over", async || count(&kinds(&world, video_id).await, "upload.expired") == 1)
        .await;
    verdict(world).await;
}
