//! Uploads whose event notifications are lost, late, or arrive when the object no longer exists.

use std::time::Duration;

use streamio_core::reactions::sweep::SweepReport;
use streamio_core::uploads::{Received, receive_key_only};
use streamio_events::event::EventBody;
use streamio_events::video::{Phase, VideoState};

use streamio_core::testing::{TestRegion, key, notification};

/// A region in which the grant for the clip has expired.
async fn with_expired_grant() -> TestRegion {
    let mut region = TestRegion::with_project().await;
    region.grant("clip.mp4", Duration::from_mins(1)).await;
    region.refresh("clip.mp4").await;
    region.wait(Duration::from_mins(1) + region.policy.grant_grace);
    region
}

#[tokio::test]
async fn an_upload_without_event_notification_is_found_by_the_sweep_and_processed() {
    let region = with_expired_grant().await;
    region.objects.put("clip.mp4", "01");
    assert_eq!(region.sweep().await, SweepReport { handled: 1, ..SweepReport::default() });
    let video = region.video("clip.mp4").await;
    assert_eq!((video.generation, video.attempt), (1, 1));
    assert_eq!(region.launcher.launched().len(), 1);
    let events = region.events("clip.mp4").await;
    assert!(
        matches!(events[1].body().unwrap(), EventBody::UploadCompleted(it) if it.found && it.bytes == 10)
    );
    assert!(matches!(region.receive(notification("clip.mp4", "01")).await, Received::Duplicate(_)), "late");
    assert_eq!(region.video("clip.mp4").await.generation, 1);
}

#[tokio::test]
async fn an_upload_without_event_notification_is_checked_like_any_other() {
    let region = with_expired_grant().await;
    region.objects.put("clip.mp4", "01");
    region.suspend_project().await;
    region.sweep().await;
    let status = region.video("clip.mp4").await.status().unwrap();
    assert_eq!(
        (status.state, status.error.unwrap().code.as_str()),
        (VideoState::Errored, "project_suspended")
    );
    assert!(region.launcher.launched().is_empty());
}

#[tokio::test]
async fn no_grant_expires_while_the_bucket_cannot_be_read() {
    let mut region = with_expired_grant().await;
    region.objects.fail_next();
    // The grant expired before its grace.
    let oldest_wait = region.policy.grant_grace;
    assert_eq!(region.sweep().await, SweepReport { failed: 1, oldest_wait, ..SweepReport::default() });
    assert_eq!(region.video("clip.mp4").await.phase, Phase::Waiting);
    region.wait(Duration::from_secs(6));
    region.sweep().await;
    assert_eq!(region.video("clip.mp4").await.phase, Phase::Expired);
}

#[tokio::test]
async fn an_upload_without_event_notification_to_an_existing_video_is_found() {
    let mut region = TestRegion::with_project().await;
    region.objects.put("clip.mp4", "01");
    region.start("clip.mp4").await;
    region.grant("clip.mp4", Duration::from_mins(1)).await;
    region.objects.put("clip.mp4", "02");
    region.refresh("clip.mp4").await;
    region.wait(Duration::from_mins(1) + region.policy.grant_grace);
    // The attempt without heartbeats expires first; after the retry pause the bucket is checked.
    for _ in 0..3 {
        region.sweep().await;
        region.wait(Duration::from_mins(3));
    }
    region.sweep().await;
    let found = region.events("clip.mp4").await;
    let found = found.iter().filter_map(|event| match event.body().unwrap() {
        EventBody::UploadCompleted(it) if it.found => Some((it.generation, it.etag, it.sequencer)),
        _ => None,
    });
    assert_eq!(found.collect::<Vec<_>>(), [(2, "etag-02".to_owned(), "01".to_owned())]);
}

#[tokio::test]
async fn after_an_object_was_found_older_event_notifications_are_ignored_and_newer_ones_are_not() {
    let region = with_expired_grant().await;
    region.objects.put("clip.mp4", "02");
    region.sweep().await;
    let head_calls = region.objects.head_calls();
    assert!(matches!(region.receive(notification("clip.mp4", "01")).await, Received::Gone(_)));
    assert_eq!(region.video("clip.mp4").await.generation, 1);
    region.objects.put("clip.mp4", "03");
    assert!(matches!(region.receive(notification("clip.mp4", "03")).await, Received::Accepted(_)));
    assert_eq!(region.objects.head_calls(), head_calls + 2);
    for sequencer in ["01", "02", "03"] {
        assert!(
            matches!(region.receive(notification("clip.mp4", sequencer)).await, Received::Duplicate(_)),
            "{sequencer}"
        );
    }
    assert_eq!(region.objects.head_calls(), head_calls + 2, "the sequencer decides again");
}

#[tokio::test]
async fn an_event_notification_with_only_a_key_is_about_the_object_stored_there() {
    let region = TestRegion::with_project().await;
    region.grant("clip.mp4", Duration::from_mins(1)).await;
    let receive = async |region: &TestRegion| {
        receive_key_only(region.ports().uploads(), region.now, key("clip.mp4").as_str()).await.unwrap()
    };
    assert!(matches!(receive(&region).await, Received::Gone(_)));
    region.objects.put("clip.mp4", "01");
    assert!(matches!(receive(&region).await, Received::Accepted(_)));
    assert!(matches!(receive(&region).await, Received::Duplicate(_)));
    assert!(matches!(region.receive(notification("clip.mp4", "01")).await, Received::Duplicate(_)));
    assert_eq!(region.video("clip.mp4").await.generation, 1);
}
