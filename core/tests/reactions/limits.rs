//! The limits of a project's uploads.

use std::time::Duration;

use streamio_core::testing::notification;
use streamio_core::uploads::{CreatedObject, Received};
use streamio_events::limits::{Limit, OwnLimits};
use streamio_events::video::VideoState;

use crate::clip::{CLIP, ready, rejected, state};

/// Uploads another file of `bytes`. Returns the outcome.
async fn upload(region: &streamio_core::testing::TestRegion, name: &str, bytes: u64) -> Received {
    let created = CreatedObject { bytes, created_at: region.now, ..notification(name, "01") };
    region.receive(created).await
}

#[tokio::test]
async fn uploads_beyond_a_days_bytes_are_rejected_until_the_next_day() {
    let mut region = ready().await;
    let has = region.video(CLIP).await.upload.unwrap().bytes;
    region
        .limit_project(OwnLimits { bytes_per_day: Some(Limit::AtMost(has + 100)), ..OwnLimits::default() })
        .await;
    assert_eq!(rejected(&upload(&region, "b.mp4", 101).await), "limit_exceeded");
    assert!(matches!(upload(&region, "c.mp4", 100).await, Received::Accepted(_)));
    assert_eq!(rejected(&upload(&region, "d.mp4", 1).await), "limit_exceeded");
    region.wait(Duration::from_hours(24));
    assert!(matches!(upload(&region, "e.mp4", 100).await, Received::Accepted(_)));
    assert_eq!(state(&region).await, VideoState::Ready, "what was accepted stays");
}

#[tokio::test]
async fn uploads_beyond_the_stored_bytes_are_rejected_until_a_video_is_deleted() {
    let mut region = ready().await;
    let has = region.video(CLIP).await.upload.unwrap().bytes;
    region.policy.project_limits.stored_bytes = Limit::AtMost(has + 10);
    assert_eq!(rejected(&upload(&region, "b.mp4", 11).await), "limit_exceeded");
    region.delete(CLIP).await;
    assert!(matches!(upload(&region, "c.mp4", has + 10).await, Received::Accepted(_)));
    region.limit_project(OwnLimits { stored_bytes: Some(Limit::Unlimited), ..OwnLimits::default() }).await;
    assert!(matches!(upload(&region, "d.mp4", 1000).await, Received::Accepted(_)));
}

#[tokio::test]
async fn uploads_beyond_a_days_minutes_are_rejected() {
    let region = ready().await;
    let limit = |minutes| OwnLimits { minutes_per_day: Some(Limit::AtMost(minutes)), ..OwnLimits::default() };
    region.limit_project(limit(0)).await;
    assert_eq!(rejected(&upload(&region, "b.mp4", 1).await), "limit_exceeded");
    region.limit_project(limit(10)).await;
    assert!(matches!(upload(&region, "c.mp4", 1).await, Received::Accepted(_)));
}
