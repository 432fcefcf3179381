//! Events of earlier releases, which name neither grants nor versions, fold as they did.

use super::history::{History, grant, key, object};
use crate::event::{UploadCompleted, UploadExpired, UploadRejected};
use crate::media::VideoError;
use crate::video::{Phase, SourceObject};

fn completed(sequencer: &str) -> UploadCompleted {
    UploadCompleted {
        s3_key: key(),
        generation: 1,
        bytes: 1,
        etag: "e".to_owned(),
        sequencer: sequencer.to_owned(),
        found: false,
        version_id: None,
        created_at: None,
        grant_id: None,
    }
}

#[test]
fn an_upload_used_all_grants_that_were_issued_before_it() {
    let granted = History::nothing().granted("1").granted("2");
    let issued_at = granted.now;
    let uploaded = granted.fact(completed("01"));
    assert!(uploaded.video().open_grants.is_empty());
    let late = uploaded.grant_issued_at(issued_at, &grant("late", issued_at));
    assert!(late.video().open_grants.is_empty());
    let video = late.granted("new").video();
    assert_eq!((video.open_grants.len(), video.generation), (1, 1));
}

#[test]
fn a_rejected_upload_used_all_grants_and_ended_a_waiting_video() {
    let error = VideoError::permanent("too_large", "");
    let rejected = UploadRejected {
        s3_key: key(),
        bytes: 1,
        etag: "e".to_owned(),
        sequencer: "01".to_owned(),
        error: error.clone(),
        found: false,
        version_id: None,
        created_at: None,
        grant_id: None,
    };
    let video = History::nothing().granted("1").fact(rejected).video();
    assert_eq!((video.open_grants.len(), video.phase), (0, Phase::Errored { error }));
    assert!(video.objects.is_empty(), "without a version it is not removed");
}

#[test]
fn an_expiry_ended_a_waiting_video_in_error_and_closed_its_grants() {
    let granted = History::nothing().granted("1");
    let grant_ids = granted.video().open_grants.into_keys().collect();
    let event: serde_json::Value =
        serde_json::to_value(UploadExpired { grant_ids, closed: true, checked_until: None }).unwrap();
    assert!(event.get("closed").is_none(), "the form of earlier releases: {event}");
    let expired: UploadExpired = serde_json::from_value(event).unwrap();
    let video = granted.fact(expired).video();
    assert!(matches!(&video.phase, Phase::Errored { error } if error.code == "upload_expired"));
    assert!(video.open_grants.is_empty());
}

/// After a deployment, S3 delivers a notification again, now with the version.
#[test]
fn an_upload_that_was_recorded_without_its_version_is_not_recorded_again_with_it() {
    let uploaded = History::nothing().granted("1").fact(completed("0A")).granted("2");
    let versioned = |object: SourceObject| SourceObject { version_id: Some("v".to_owned()), ..object };
    let notified = versioned(SourceObject { created_at: uploaded.now, ..object("0A") });
    let found = versioned(SourceObject { found: true, created_at: uploaded.now, ..object("") });
    for object in [notified, found] {
        assert_eq!(uploaded.arrives(&object), crate::video::decide::Arrived::Recorded, "{object:?}");
    }
}
