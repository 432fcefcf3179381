//! The versions of a source: which are kept, and when the others are removed.

use std::time::Duration;

use streamio_core::testing::version;
use streamio_core::uploads::{CreatedObject, Received};
use streamio_events::event::{EventBody, RemovalReason};
use streamio_events::video::VideoState;

use crate::clip::{CLIP, ready, region, rejected, state, stored};

#[tokio::test]
async fn other_bytes_under_a_used_url_are_rejected_kept_for_three_days_and_removed() {
    let mut region = ready().await;
    let again = stored(&region, "02");
    assert_eq!(rejected(&region.receive_only(again.clone()).await), "grant_used");
    assert_eq!(state(&region).await, VideoState::Ready);
    region.react(CLIP).await.unwrap();
    region.refresh(CLIP).await;
    assert_eq!(region.launcher.launched().len(), 1);
    region.wait(region.policy.rejected_retention.saturating_sub(Duration::from_secs(1)));
    region.sweep().await;
    assert_eq!(region.objects.versions_of(CLIP).len(), 2, "it can still be looked at");
    region.wait(Duration::from_secs(1));
    region.sweep().await;
    assert_eq!(region.objects.versions_of(CLIP), [Some("v-01".to_owned())]);
    let last = region.events(CLIP).await.last().unwrap().body().unwrap();
    assert!(
        matches!(&last, EventBody::UploadRemoved(it) if it.version_id == "v-02" && it.reason == RemovalReason::Rejected)
    );
    let events = region.events(CLIP).await.len();
    assert_eq!(region.receive_only(again).await, Received::Gone(region.video(CLIP).await.video_id), "late");
    region.sweep().await;
    assert_eq!(region.events(CLIP).await.len(), events);
}

#[tokio::test]
async fn a_removal_that_fails_is_tried_again() {
    let mut region = ready().await;
    let again = stored(&region, "02");
    region.receive_only(again).await;
    region.refresh(CLIP).await;
    region.wait(region.policy.rejected_retention);
    region.objects.fail_next();
    assert_eq!(region.sweep().await.failed, 1);
    assert_eq!(region.objects.versions_of(CLIP).len(), 2);
    region.wait(Duration::from_secs(6));
    assert_eq!(region.sweep().await.handled, 1);
    assert_eq!(region.objects.versions_of(CLIP).len(), 1);
}

/// Otherwise nothing would be due after a failure between the two, and the sweep would not find the outputs again.
#[tokio::test]
async fn the_outputs_of_a_deleted_video_are_removed_before_its_source() {
    let mut region = ready().await;
    region.objects.put_stable_keys(CLIP, "published");
    region.wait(Duration::from_secs(1));
    region.delete(CLIP).await;
    region.react(CLIP).await.unwrap();
    assert!(region.objects.stored("processed").is_empty());
    let removed = region.objects.removed();
    let source = removed.iter().position(|it| it.starts_with("raw/")).unwrap();
    let last_output = removed.iter().rposition(|it| it.starts_with("processed/")).unwrap();
    assert!(last_output < source, "{removed:?}");
}

#[tokio::test]
async fn a_deletion_removes_all_versions_by_their_ids_and_a_later_put_stays_rejected() {
    let mut region = ready().await;
    let again = stored(&region, "02");
    region.receive_only(again).await;
    region.grant(CLIP, Duration::from_mins(5)).await;
    region.wait(Duration::from_secs(1));
    region.delete(CLIP).await;
    region.react(CLIP).await.unwrap();
    assert!(region.objects.versions_of(CLIP).is_empty());
    let removed = region.objects.removed();
    let of_source = removed.iter().filter(|it| it.starts_with("raw/"));
    assert!(of_source.clone().all(|it| it.contains(" version v-")), "{removed:?}");
    region.wait(Duration::from_secs(1));
    let late = stored(&region, "03");
    assert_eq!(rejected(&region.receive_only(late).await), "video_deleted");
    assert_eq!(state(&region).await, VideoState::Deleted);
    region.react(CLIP).await.unwrap();
    assert_eq!(region.objects.versions_of(CLIP).len(), 1, "it is kept for a while");
}

/// A source that is replaced while it is encoded: the job names the version that was accepted.
#[tokio::test]
async fn a_second_accepted_upload_is_a_new_generation_and_the_first_version_stays_for_a_while() {
    let mut region = region().await;
    region.grant(CLIP, Duration::from_mins(5)).await;
    let first = stored(&region, "01");
    region.receive_only(first).await;
    let old = region.start(CLIP).await;
    region.wait(Duration::from_secs(1));
    region.grant(CLIP, Duration::from_mins(5)).await;
    let second = stored(&region, "02");
    assert!(matches!(region.receive_only(second).await, Received::Accepted(_)));
    let new = region.start(CLIP).await;
    assert_eq!((old.version_id.as_deref(), new.version_id.as_deref()), (Some("v-01"), Some("v-02")));
    assert_eq!(region.objects.versions_of(CLIP).len(), 2);
    region.publish(&new).await;
    region.wait(region.policy.rejected_retention);
    region.react(CLIP).await.unwrap();
    assert_eq!(region.objects.versions_of(CLIP), [Some("v-02".to_owned())]);
}

/// An outage of the sweep: hundreds of rejected versions become due at once.
#[tokio::test]
async fn any_number_of_versions_is_removed() {
    let mut region = ready().await;
    for number in 0..260 {
        let object = stored(&region, &format!("1{number:03X}"));
        region.receive_only(object).await;
    }
    region.wait(region.policy.rejected_retention);
    region.react(CLIP).await.unwrap();
    assert_eq!(region.objects.versions_of(CLIP), [Some("v-01".to_owned())]);
}

#[tokio::test]
async fn a_version_that_cannot_be_removed_and_a_missing_capacity_stop_no_other_step() {
    let mut region = ready().await;
    let again = [stored(&region, "02"), stored(&region, "03")];
    for object in again {
        assert_eq!(rejected(&region.receive_only(object).await), "grant_used");
    }
    region.wait(region.policy.rejected_retention);
    // A new upload whose worker cannot be launched, while one of two removals is refused.
    region.grant(CLIP, Duration::from_mins(5)).await;
    let new = stored(&region, "04");
    region.receive_only(new).await;
    region.objects.refuse_version("v-02");
    region.launcher.fail_next();
    region.react(CLIP).await.unwrap_err();
    let versions = region.objects.versions_of(CLIP);
    assert_eq!(versions, ["v-01", "v-02", "v-04"].map(|id| Some(id.to_owned())));
    // With capacity, the version that cannot be removed does not delay the attempt.
    region.react(CLIP).await.unwrap_err();
    assert_eq!(region.launcher.launched().last().unwrap().version_id.as_deref(), Some("v-04"));
}

#[tokio::test]
async fn a_source_without_a_version_is_removed_behind_newer_versions() {
    let mut region = region().await;
    region.grant(CLIP, Duration::from_mins(5)).await;
    let old = CreatedObject { version_id: None, ..version(CLIP, "01") };
    region.objects.put_object(&old);
    region.receive_only(old).await;
    let job = region.start(CLIP).await;
    assert_eq!((job.version_id.as_deref(), job.etag.as_deref()), (None, Some("etag-01")));
    region.publish(&job).await;
    let above = stored(&region, "02");
    assert_eq!(rejected(&region.receive_only(above).await), "grant_used");
    region.wait(Duration::from_secs(10));
    region.delete(CLIP).await;
    region.react(CLIP).await.unwrap();
    assert!(region.objects.versions_of(CLIP).is_empty());
}

#[tokio::test]
async fn an_object_that_cannot_be_read_does_not_delay_the_attempt_of_another() {
    let mut region = ready().await;
    region.policy.grant_wait = Duration::from_mins(15);
    let waiting = stored(&region, "02");
    region.receive_only(waiting).await;
    region.reprocess(CLIP).await;
    region.wait(region.policy.grant_wait);
    region.objects.refuse_version("v-02");
    let before = region.launcher.launched().len();
    region.react(CLIP).await.unwrap_err();
    assert_eq!(region.launcher.launched().len(), before + 1);
}
