//! A grant takes one upload: in a bucket with versions, through ingestion, reactions and the sweep.

use std::sync::Arc;
use std::time::Duration;

use streamio_core::ports::object_store::ObjectStore as _;
use streamio_core::testing::{TestRegion, grant, key, version};
use streamio_core::uploads::{CreatedObject, Received, receive_key_only};
use streamio_events::event::{EventBody, RemovalReason};
use streamio_events::id::KeyId;
use streamio_events::video::{Phase, VideoState};

const CLIP: &str = "clip.mp4";

/// A region with a project, in which a grant is in the log before its URL is returned.
async fn region() -> TestRegion {
    let mut region = TestRegion::with_project().await;
    region.policy.grant_wait = Duration::ZERO;
    region.policy.clock_tolerance = Duration::ZERO;
    region
}

/// The version of the clip with this sequencer, created now and stored.
fn stored(region: &TestRegion, sequencer: &str) -> CreatedObject {
    let object = CreatedObject { created_at: region.now, ..version(CLIP, sequencer) };
    region.objects.put_object(&object);
    object
}

fn rejected(received: &Received) -> &str {
    match received {
        Received::Rejected(_, error) => &error.code,
        other => panic!("{other:?}"),
    }
}

async fn state(region: &TestRegion) -> VideoState {
    region.video(CLIP).await.status().unwrap().state
}

/// The clip was uploaded and is ready.
async fn ready() -> TestRegion {
    let mut region = region().await;
    region.grant(CLIP, Duration::from_mins(5)).await;
    let object = stored(&region, "01");
    region.receive_only(object).await;
    let job = region.start(CLIP).await;
    assert_eq!(job.version_id.as_deref(), Some("v-01"));
    region.publish(&job).await;
    region.wait(Duration::from_secs(10));
    region
}

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

#[tokio::test]
async fn an_upload_under_a_grant_of_a_revoked_key_is_rejected() {
    let mut region = region().await;
    let key_id: KeyId = region.create_key().await;
    let granted = streamio_events::event::UploadGranted {
        key_id: key_id.clone(),
        ..grant(CLIP, region.now.plus(Duration::from_mins(5)))
    };
    region.record_grant(region.now, granted).await;
    region.wait(Duration::from_secs(1));
    region.revoke_key(&key_id).await;
    region.wait(Duration::from_secs(1));
    let object = stored(&region, "01");
    assert_eq!(rejected(&region.receive_only(object).await), "grant_revoked");
    region.react(CLIP).await.unwrap();
    assert!(region.launcher.launched().is_empty());
}

#[tokio::test]
async fn the_size_type_and_checksum_of_a_grant_are_checked_on_the_stored_version() {
    let mut region = region().await;
    let granted = streamio_events::event::UploadGranted {
        size: Some(10),
        content_type: Some("video/mp4".to_owned()),
        sha256: Some("c3Vt".to_owned()),
        ..grant(CLIP, region.now.plus(Duration::from_mins(5)))
    };
    region.record_grant(region.now, granted).await;
    region.wait(Duration::from_secs(1));
    let at =
        |sequencer: &str, bytes| CreatedObject { created_at: region.now, bytes, ..version(CLIP, sequencer) };
    let cases = [
        (at("01", 9), "video/mp4", Some("c3Vt"), "size_mismatch"),
        (at("02", 10), "binary/octet-stream", Some("c3Vt"), "content_type_mismatch"),
        (at("03", 10), "video/mp4", Some("b3RoZXI="), "checksum_mismatch"),
        (at("04", 10), "video/mp4", None, "checksum_mismatch"),
    ];
    for (object, content_type, sha256, code) in cases {
        region.objects.put_with_details(&object, content_type, sha256);
        assert_eq!(rejected(&region.receive_only(object).await), code);
    }
    let right = at("05", 10);
    region.objects.put_with_details(&right, "video/mp4", Some("c3Vt"));
    assert!(matches!(region.receive_only(right).await, Received::Accepted(_)));
    assert_eq!(region.start(CLIP).await.version_id.as_deref(), Some("v-05"));
}

/// Waits for grants as on AWS.
async fn with_late_grants() -> TestRegion {
    TestRegion::with_project().await
}

#[tokio::test]
async fn an_upload_waits_for_a_grant_that_reaches_the_log_after_it() {
    let mut region = with_late_grants().await;
    let issued_at = region.now;
    region.wait(Duration::from_secs(1));
    let object = stored(&region, "01");
    assert!(matches!(region.receive_only(object.clone()).await, Received::Waiting(_)));
    assert!(matches!(region.receive_only(object).await, Received::Duplicate(_)));
    region.react(CLIP).await.unwrap();
    assert_eq!(state(&region).await, VideoState::Waiting);
    region.record_grant(issued_at, grant(CLIP, issued_at.plus(Duration::from_mins(5)))).await;
    let video = region.react(CLIP).await.unwrap();
    assert_eq!((video.generation, video.open_grants.len()), (1, 0));
    assert_eq!(region.launcher.launched()[0].version_id.as_deref(), Some("v-01"));
}

#[tokio::test]
async fn an_upload_whose_grant_never_comes_is_rejected_by_the_sweep_and_accepted_if_it_comes_later_after_all()
{
    let mut region = with_late_grants().await;
    let issued_at = region.now;
    region.wait(Duration::from_secs(1));
    let object = stored(&region, "01");
    region.receive_only(object).await;
    region.refresh(CLIP).await;
    region.wait(region.policy.grant_wait);
    region.sweep().await;
    let status = region.video(CLIP).await.status().unwrap();
    assert_eq!((status.state, status.error.unwrap().code.as_str()), (VideoState::Errored, "no_grant"));
    region.wait(Duration::from_hours(24));
    region.record_grant(issued_at, grant(CLIP, issued_at.plus(Duration::from_mins(5)))).await;
    region.react(CLIP).await.unwrap();
    assert_eq!(region.video(CLIP).await.generation, 1);
    region.wait(region.policy.rejected_retention);
    region.react(CLIP).await.unwrap();
    assert_eq!(region.objects.versions_of(CLIP), [Some("v-01".to_owned())], "accepted uploads are kept");
}

#[tokio::test]
async fn the_first_of_two_waiting_uploads_uses_the_grant() {
    let mut region = with_late_grants().await;
    let issued_at = region.now;
    region.wait(Duration::from_secs(1));
    for sequencer in ["02", "01"] {
        let object = stored(&region, sequencer);
        region.receive_only(object).await;
    }
    region.record_grant(issued_at, grant(CLIP, issued_at.plus(Duration::from_mins(5)))).await;
    let third = stored(&region, "03");
    region.receive_only(third).await;
    assert_eq!(region.start(CLIP).await.version_id.as_deref(), Some("v-01"));
    region.wait(region.policy.grant_wait);
    region.react(CLIP).await.unwrap();
    let codes = region.events(CLIP).await.into_iter().filter_map(|event| match event.body().unwrap() {
        EventBody::UploadRejected(it) => Some((it.version_id.unwrap(), it.error.code)),
        _ => None,
    });
    let used = |id: &str| (id.to_owned(), "grant_used".to_owned());
    assert_eq!(codes.collect::<Vec<_>>(), [used("v-02"), used("v-03")]);
}

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

#[tokio::test]
async fn an_object_that_was_removed_before_its_grant_was_recorded_is_not_accepted() {
    let mut region = region().await;
    region.policy.grant_wait = Duration::from_mins(15);
    let object = stored(&region, "01");
    let issued_at = region.now;
    assert!(matches!(region.receive_only(object).await, Received::Waiting(_)));
    region.objects.delete_version("raw", key(CLIP).as_str(), "v-01").await.unwrap();
    region.wait(Duration::from_secs(1));
    region.record_grant(issued_at, grant(CLIP, issued_at.plus(Duration::from_mins(5)))).await;
    let video = region.react(CLIP).await.unwrap();
    assert!(
        matches!(&video.phase, Phase::Errored { error } if error.code == "object_missing"),
        "{:?}",
        video.phase
    );
    assert_eq!(video.open_grants.len(), 1, "the URL can still be used");
    assert!(region.launcher.launched().is_empty());
    let again = stored(&region, "02");
    assert!(matches!(region.receive_only(again).await, Received::Accepted(_)));
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
