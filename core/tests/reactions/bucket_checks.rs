//! Versions that a check of the bucket finds, and event notifications of versions that no longer exist.

use std::sync::Arc;
use std::time::Duration;

use streamio_core::testing::{TestRegion, grant, key, version};
use streamio_core::uploads::{CreatedObject, Received, receive_key_only};
use streamio_events::event::EventBody;
use streamio_events::video::VideoState;

use crate::clip::{CLIP, ready, region, rejected, state, stored};

#[tokio::test]
async fn versions_whose_event_notifications_were_lost_are_found_in_the_order_of_s3() {
    let mut region = region().await;
    region.grant(CLIP, Duration::from_mins(5)).await;
    region.refresh(CLIP).await;
    for sequencer in ["01", "02"] {
        region.wait(Duration::from_secs(2));
        stored(&region, sequencer);
    }
    region.wait(Duration::from_mins(5));
    region.sweep().await;
    let video = region.video(CLIP).await;
    assert_eq!((video.generation, video.upload.unwrap().version_id.as_deref()), (1, Some("v-01")));
    assert_eq!(video.objects.len(), 1, "the second one is rejected");
    let late = CreatedObject { created_at: region.now, ..version(CLIP, "01") };
    assert!(matches!(region.receive_only(late).await, Received::Duplicate(_)));
}

#[tokio::test]
async fn a_notification_with_only_a_key_records_every_version() {
    let mut region = region().await;
    region.grant(CLIP, Duration::from_mins(5)).await;
    for sequencer in ["01", "02"] {
        region.wait(Duration::from_secs(2));
        stored(&region, sequencer);
    }
    let receive = async |region: &TestRegion| {
        receive_key_only(region.ports().uploads(), region.now, key(CLIP).as_str()).await.unwrap()
    };
    assert_eq!(rejected(&receive(&region).await), "grant_used");
    assert!(matches!(receive(&region).await, Received::Duplicate(_)));
    assert_eq!(region.video(CLIP).await.upload.unwrap().version_id.as_deref(), Some("v-01"));
}

/// Two processes check the bucket. The other one also handles what follows.
#[tokio::test]
async fn a_version_that_is_accepted_and_removed_during_a_check_of_the_bucket_is_not_rejected() {
    let mut region = region().await;
    for _ in ["01", "02"] {
        let mut granted = grant(CLIP, region.now.plus(Duration::from_mins(5)));
        granted.content_type = Some("video/mp4".to_owned());
        region.record_grant(region.now, granted).await;
    }
    for sequencer in ["01", "02"] {
        region.wait(Duration::from_secs(2));
        let object = CreatedObject { created_at: region.now, ..version(CLIP, sequencer) };
        region.objects.put_with_details(&object, "video/mp4", None);
    }
    let mut other = TestRegion::new();
    (other.log, other.objects, other.now) = (region.log.clone(), Arc::clone(&region.objects), region.now);
    other.policy = region.policy.clone();
    region.objects.after_head(&format!("raw/{}", key(CLIP)), move || {
        futures::executor::block_on(async {
            receive_key_only(other.ports().uploads(), other.now, key(CLIP).as_str()).await.unwrap();
            assert_eq!(other.video(CLIP).await.generation, 2);
            other.delete(CLIP).await;
            other.react(CLIP).await.unwrap();
            assert_eq!(other.objects.versions_of(CLIP), []);
        });
    });
    receive_key_only(region.ports().uploads(), region.now, key(CLIP).as_str()).await.unwrap();
    let events = region.events(CLIP).await;
    assert!(events.iter().all(|event| event.kind != "upload.rejected"), "{events:?}");
}

/// An event notification is delivered again after its version was removed.
#[tokio::test]
async fn a_repeated_notification_of_a_deleted_version_changes_nothing() {
    let mut region = region().await;
    region.grant(CLIP, Duration::from_mins(5)).await;
    let object = stored(&region, "01");
    region.receive_only(object.clone()).await;
    region.wait(Duration::from_secs(1));
    region.delete(CLIP).await;
    region.react(CLIP).await.unwrap();
    let events = region.events(CLIP).await.len();
    assert!(matches!(region.receive_only(object).await, Received::Gone(_)));
    assert_eq!(region.events(CLIP).await.len(), events);
}

#[tokio::test]
async fn a_second_upload_whose_notification_is_lost_is_found_after_its_url_has_expired() {
    let mut region = ready().await;
    let _lost = stored(&region, "02");
    region.refresh(CLIP).await;
    region.wait(Duration::from_mins(5) + region.policy.grant_grace);
    assert_eq!(region.sweep().await.handled, 1);
    let last = region.events(CLIP).await.iter().rev().find_map(|event| match event.body().unwrap() {
        EventBody::UploadRejected(rejected) => Some((rejected.version_id, rejected.error.code)),
        _ => None,
    });
    assert_eq!(last, Some((Some("v-02".to_owned()), "grant_used".to_owned())));
    assert_eq!(state(&region).await, VideoState::Ready);
    region.wait(region.policy.rejected_retention);
    region.sweep().await;
    assert_eq!(region.objects.versions_of(CLIP), [Some("v-01".to_owned())]);
}
