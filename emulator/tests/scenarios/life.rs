//! A video's life when nothing fails.

use serde_json::json;

use crate::clip::{film, other_film};
use crate::play::play;
use crate::verdict::{kinds, verdict};
use crate::world::World;
use streamio_emulator::Journal;

/// From `POST /upload-url` on workerd to the last frame from the CDN, by every Lambda and the worker.
async fn a_video_lives(journal: Journal) {
    let world = World::start_with(|config| streamio_emulator::CloudConfig { journal, ..config }).await;
    let video_id = world.upload("clip.mp4", film()).await;
    let status = world.ready(&video_id, 1).await;
    assert_eq!(status["source"]["width"], 320, "{status}");
    play(&world, &status).await;
    let kinds = kinds(&world, &video_id).await;
    let told: Vec<&str> =
        kinds.iter().map(String::as_str).filter(|kind| *kind != "processing.progressed").collect();
    let course = [
        "upload.completed",
        "processing.dispatched",
        "processing.started",
        "processing.completed",
        "video.ready",
    ];
    // A grant that goes by the queue may be overtaken by its upload.
    let of_upload: Vec<&str> = told.iter().copied().filter(|kind| *kind != "upload.granted").collect();
    assert_eq!((of_upload, told.len()), (course.to_vec(), course.len() + 1), "{told:?}");
    assert_eq!(world.cloud.ecs().tasks().len(), 1);
    verdict(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_video_lives_with_grants_recorded_by_the_queue() {
    a_video_lives(Journal::Queue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_video_lives_with_grants_recorded_at_home() {
    a_video_lives(Journal::Home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_video_is_replaced_processed_again_and_deleted() {
    let world = World::start().await;
    let video_id = world.upload("clip.mp4", film()).await;
    world.ready(&video_id, 1).await;
    assert_eq!(world.upload("clip.mp4", other_film()).await, video_id);
    let second = world.ready(&video_id, 2).await;
    assert_eq!(second["source"]["width"], 160, "{second}");
    play(&world, &second).await;
    world.post(&format!("/videos/{video_id}/reprocess"), &json!({})).await;
    world.ready(&video_id, 3).await;
    let request = world.http.delete(format!("{}/videos/{video_id}", world.cloud.api()));
    let (status, body) = world.ask(request).await;
    assert!((200..300).contains(&status), "{status} {body}");
    world.status_when(&video_id, |status| status["state"] == "deleted").await;
    let store = world.cloud.s3().store().clone();
    world
        .until("no object is left", async || {
            let mut objects = 0;
            for bucket in [streamio_emulator::cloud::RAW_BUCKET, streamio_emulator::cloud::PROCESSED_BUCKET] {
                let request = streamio_local::s3::ListRequest { limit: 10, ..Default::default() };
                objects += store.list(bucket, request).await.unwrap().objects.len();
            }
            objects == 0
        })
        .await;
    verdict(world).await;
}
