//! A grant takes one upload.

use std::time::Duration;

use streamio_core::ports::object_store::ObjectStore as _;
use streamio_core::testing::{TestRegion, grant, key, version};
use streamio_core::uploads::{CreatedObject, Received};
use streamio_events::event::{EventBody, UploadGranted};
use streamio_events::id::{GrantId, KeyId};
use streamio_events::video::{Phase, VideoState};

use crate::clip::{CLIP, region, rejected, state, stored};

#[tokio::test]
async fn an_upload_under_a_grant_of_a_revoked_key_is_rejected() {
    let mut region = region().await;
    let key_id: KeyId = region.create_key().await;
    let granted =
        UploadGranted { key_id: key_id.clone(), ..grant(CLIP, region.now.plus(Duration::from_mins(5))) };
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
    let granted = UploadGranted {
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

/// Stores the version of the clip with this sequencer, uploaded now with the URL of this grant.
fn uploaded(region: &TestRegion, sequencer: &str, grant: &str) -> CreatedObject {
    let object = CreatedObject { created_at: region.now, ..version(CLIP, sequencer) };
    region.objects.put_with_grant(&object, grant);
    object
}

/// The grants of the accepted and rejected uploads.
async fn used(region: &TestRegion) -> Vec<(&'static str, Option<GrantId>)> {
    let events = region.events(CLIP).await.into_iter();
    let used = events.filter_map(|event| match event.body().unwrap() {
        EventBody::UploadCompleted(completed) => Some(("completed", completed.grant_id)),
        EventBody::UploadRejected(rejected) => Some(("rejected", rejected.grant_id)),
        _ => None,
    });
    used.collect()
}

#[tokio::test]
async fn an_upload_with_a_used_url_does_not_take_the_grant_of_another() {
    let mut region = region().await;
    let first = region.grant(CLIP, Duration::from_mins(5)).await;
    let object = uploaded(&region, "01", first.as_str());
    region.receive_only(object).await;
    region.wait(Duration::from_secs(1));
    let second = region.grant(CLIP, Duration::from_mins(5)).await;
    let again = uploaded(&region, "02", first.as_str());
    assert_eq!(rejected(&region.receive_only(again).await), "grant_used");
    let own = uploaded(&region, "03", second.as_str());
    assert!(matches!(region.receive_only(own).await, Received::Accepted(_)));
    let expected =
        [("completed", Some(first.clone())), ("rejected", Some(first)), ("completed", Some(second))];
    assert_eq!(used(&region).await, expected);
}

#[tokio::test]
async fn an_upload_that_a_check_of_the_bucket_finds_takes_its_own_grant() {
    let mut region = region().await;
    let (_other, own) =
        (region.grant(CLIP, Duration::from_mins(5)).await, region.grant(CLIP, Duration::from_mins(5)).await);
    region.refresh(CLIP).await;
    region.wait(Duration::from_secs(2));
    uploaded(&region, "01", own.as_str());
    region.wait(Duration::from_mins(5));
    region.sweep().await;
    assert_eq!(used(&region).await, [("completed", Some(own))]);
}

/// Object stores that do not keep the parameters of a URL as metadata, and objects that an operator stores.
#[tokio::test]
async fn an_upload_that_names_no_valid_grant_takes_any() {
    let region = region().await;
    let open = region.grant(CLIP, Duration::from_mins(5)).await;
    let object = uploaded(&region, "01", "not an id");
    assert!(matches!(region.receive_only(object).await, Received::Accepted(_)));
    assert_eq!(used(&region).await, [("completed", Some(open))]);
}
