//! Deletions: which objects are removed, also if uploads, grants and workers are concurrent.

use std::sync::Arc;
use std::time::Duration;

use streamio_core::testing::{TestRegion, notification};
use streamio_events::media::VideoError;
use streamio_events::retryable::Retryable as _;
use streamio_events::video::VideoState;

#[tokio::test]
async fn deleting_a_video_removes_its_objects_and_nothing_else() {
    let region = TestRegion::with_project().await;
    region.objects.put("films/clip.mp4", "01");
    region.receive(notification("films/clip.mp4", "01")).await;
    region.objects.put_stable_keys("films/clip.mp4", "first");
    region.objects.put_stable_keys("films/other.mp4", "first");
    for attempt in ["g1-a1", "g1-a2", "g2-a1"] {
        region
            .objects
            .put_processed(&format!("processed/acme/films/clip.mp4.hls/{attempt}/0.m4s"), "segment");
    }
    region.delete("films/clip.mp4").await;
    region.react("films/clip.mp4").await.unwrap();
    let removed = region.objects.removed();
    insta::assert_snapshot!(removed.join("\n"), @r"
    processed/processed/acme/films/clip.mp4.hls/master.m3u8 if first
    processed/processed/acme/films/clip.mp4.images/poster.jpg if first
    processed/processed/acme/films/clip.mp4 if first
    processed/processed/acme/films/clip.mp4.hls/g1-a1/*
    processed/processed/acme/films/clip.mp4.hls/g1-a2/*
    raw/projects/acme/films/clip.mp4 if etag-01
    ");
    assert_eq!(
        region.objects.stored("processed").len(),
        4,
        "the other video's, and those of a newer generation"
    );
    region.objects.fail_next();
    assert!(region.react("films/clip.mp4").await.unwrap_err().is_retryable());
}

#[tokio::test]
async fn a_video_that_was_uploaded_again_after_its_deletion_keeps_its_objects() {
    let region = TestRegion::with_project().await;
    region.receive(notification("clip.mp4", "01")).await;
    region.delete("clip.mp4").await;
    region.objects.put("clip.mp4", "02");
    region.receive(notification("clip.mp4", "02")).await;
    region.react("clip.mp4").await.unwrap();
    assert!(region.objects.removed().is_empty());
    assert_eq!(region.launcher.launched()[0].generation, 2);
}

/// The removal failed, and a newer upload arrived before it was retried. The newer upload fails.
#[tokio::test]
async fn the_objects_of_a_deleted_video_are_removed_also_if_a_newer_upload_arrives_first() {
    let region = TestRegion::with_project().await;
    region.objects.put("clip.mp4", "01");
    region.receive(notification("clip.mp4", "01")).await;
    region.objects.put_stable_keys("clip.mp4", "first");
    region.delete("clip.mp4").await;
    region.objects.fail_next();
    region.react("clip.mp4").await.unwrap_err();
    region.objects.put("clip.mp4", "02");
    region.receive(notification("clip.mp4", "02")).await;
    let job = region.start("clip.mp4").await;
    assert_eq!(region.objects.stored("processed"), Vec::<String>::new(), "a deleted video still plays");
    // A slow worker of the deleted generation.
    region.objects.put_stable_keys("clip.mp4", "late");
    region.fail(&job, VideoError::permanent("corrupt", "cut")).await;
    region.react("clip.mp4").await.unwrap();
    assert_eq!(region.video("clip.mp4").await.status().unwrap().state, VideoState::Errored);
    assert_eq!(region.objects.stored("processed"), Vec::<String>::new(), "a deleted video still plays");
    assert_eq!(
        region.objects.stored("raw"),
        ["projects/acme/clip.mp4"],
        "the newer source may be processed again"
    );
}

/// The removal is slow: meanwhile a newer generation writes the stable keys.
#[tokio::test]
async fn a_generation_that_is_published_during_the_removal_of_an_older_one_stays() {
    let region = TestRegion::with_project().await;
    region.receive(notification("clip.mp4", "01")).await;
    region.objects.put_stable_keys("clip.mp4", "first");
    region.delete("clip.mp4").await;
    let (objects, mut newer) = (Arc::clone(&region.objects), TestRegion::new());
    newer.log = region.log.clone();
    region.objects.after_head("processed/processed/acme/clip.mp4.images/poster.jpg", move || {
        futures::executor::block_on(async {
            newer.receive(notification("clip.mp4", "02")).await;
            let job = newer.start("clip.mp4").await;
            newer.complete(&job).await;
        });
        objects.put_stable_keys("clip.mp4", "first");
    });
    let reacted = region.react("clip.mp4").await;
    assert!(reacted.is_ok(), "{reacted:?}");
    assert_eq!(region.objects.stored("processed").len(), 3, "{:?}", region.objects.removed());
}

/// The URL with which the deleted object was uploaded is still valid.
#[tokio::test]
async fn the_same_bytes_that_arrive_while_their_video_is_removed_stay() {
    let mut region = TestRegion::with_project().await;
    region.receive(notification("clip.mp4", "01")).await;
    region.delete("clip.mp4").await;
    region.wait(Duration::from_secs(5));
    region.objects.put_again("clip.mp4", "01", region.now);
    region.react("clip.mp4").await.unwrap();
    assert_eq!(region.objects.stored("raw"), ["projects/acme/clip.mp4"]);
}

#[tokio::test]
async fn a_deletion_that_is_overtaken_by_a_new_grant_keeps_the_source_until_the_grant_expires() {
    let mut region = TestRegion::with_project().await;
    region.objects.put("clip.mp4", "01");
    region.receive(notification("clip.mp4", "01")).await;
    region.objects.put_stable_keys("clip.mp4", "first");
    region.delete("clip.mp4").await;
    region.grant("clip.mp4", Duration::from_mins(5)).await;
    region.react("clip.mp4").await.unwrap();
    let removed = region.objects.removed();
    assert_eq!(removed.len(), 3, "{removed:?}");
    assert!(removed.iter().all(|key| key.starts_with("processed/")), "{removed:?}");
    region.wait(Duration::from_mins(5) + region.policy.grant_grace);
    region.react("clip.mp4").await.unwrap();
    let removed = region.objects.removed();
    assert_eq!(removed.last().unwrap(), "raw/projects/acme/clip.mp4 if etag-01");
}
