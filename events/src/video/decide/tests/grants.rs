//! A grant takes one upload: which grant an object uses, and why it uses none.

use std::time::Duration;

use super::history::{
    History, SECOND, after_wait, grant, minute_from, policy, project, ready_video, version, with_grant,
};
use crate::api_key::{ApiKey, KeyHash};
use crate::event::{EventBody, UploadGranted};
use crate::project::{Key, Project};
use crate::timestamp::Timestamp;
use crate::video::decide::{Arrived, Step};
use crate::video::{ObjectDetails, Phase, SourceObject, VideoState};

#[test]
fn a_second_upload_with_the_same_url_is_rejected_and_the_video_stays_as_it_was() {
    let ready = ready_video();
    let object = version("02", ready.now);
    let rejected = after_wait(ready.received(&object), &object).rejected(&object, "grant_used");
    let video = rejected.video();
    assert_eq!((video.phase.clone(), video.generation), (Phase::Ready, 1));
    assert_eq!(video.upload.unwrap().version_id.as_deref(), Some("v01"));
    assert_eq!(rejected.arrives(&object), Arrived::Recorded, "it is rejected once");
    assert_eq!(video.job.unwrap().version_id.as_deref(), Some("v01"), "the job names the accepted version");
}

#[test]
fn an_object_without_the_size_type_or_checksum_of_its_grant_is_rejected_and_does_not_use_it_up() {
    let granted = with_grant(History::nothing(), "1", |grant| {
        grant.size = Some(1);
        grant.content_type = Some("video/mp4".to_owned());
        grant.sha256 = Some("right".to_owned());
    });
    let with = |sequencer: &str, content_type: &str, sha256: Option<&str>| SourceObject {
        details: Some(ObjectDetails {
            content_type: Some(content_type.to_owned()),
            sha256: sha256.map(str::to_owned),
        }),
        ..version(sequencer, granted.now)
    };
    let unread = SourceObject { details: None, ..version("01", granted.now) };
    assert_eq!(granted.arrives(&unread), Arrived::NeedsDetails);
    let short = SourceObject { bytes: 2, ..version("02", granted.now) };
    let (plain, other, none) = (
        with("03", "text/plain", Some("right")),
        with("04", "Video/MP4", Some("wrong")),
        with("05", "video/mp4", None),
    );
    let right = with("06", "Video/MP4", Some("right"));
    let rejected = granted.rejected(&short, "size_mismatch");
    assert!(matches!(&rejected.video().phase, Phase::Errored { error } if error.code == "size_mismatch"));
    let rejected = rejected.rejected(&plain, "content_type_mismatch");
    let rejected = rejected.rejected(&other, "checksum_mismatch").rejected(&none, "checksum_mismatch");
    let accepted = rejected.accepted(&right).video();
    assert_eq!(
        (accepted.upload.unwrap().version_id.as_deref(), accepted.open_grants.len()),
        (Some("v06"), 0)
    );
}

#[test]
fn without_overwrite_an_object_for_a_video_in_use_is_rejected_and_after_an_error_it_is_a_new_try() {
    let once = |grant: &mut UploadGranted| grant.overwrite = false;
    let again = with_grant(ready_video(), "2", once);
    let object = version("02", again.now);
    let rejected = again.rejected(&object, "already_uploaded");
    assert_eq!((rejected.video().phase.clone(), rejected.video().generation), (Phase::Ready, 1));

    let failed = with_grant(History::nothing(), "1", once);
    let object = version("01", failed.now);
    let permanent = crate::media::VideoError::permanent("corrupt", "");
    let failed = failed.accepted(&object).dispatched().started_by("one").failed_by("one", &permanent);
    let failed = with_grant(failed.dispatched(), "2", once);
    assert_eq!(failed.video().status().unwrap().state, VideoState::Waiting);
    let object = version("02", failed.now);
    assert_eq!(failed.accepted(&object).video().generation, 2);
}

fn api_key() -> KeyHash {
    ApiKey::generate("live", [1; 32]).unwrap().hash()
}

/// The project with this API key.
fn with_key(revoked_at: Option<Timestamp>) -> Project {
    let key = Key {
        hash: api_key(),
        scopes: vec![],
        label: None,
        created_at: Timestamp::default(),
        expires_at: None,
        revoked_at,
    };
    Project { keys: [(api_key().key_id(), key)].into(), ..project() }
}

/// A multipart upload that a check of the bucket finds, initiated at `initiated_at`.
fn found_multipart(initiated_at: Timestamp) -> SourceObject {
    SourceObject {
        found: true,
        sequencer: String::new(),
        etag: "e-2".to_owned(),
        ..version("01", initiated_at)
    }
}

#[test]
fn a_found_multipart_upload_that_was_known_before_the_revocation_is_accepted() {
    let nothing = History::nothing();
    let found = found_multipart(nothing.now);
    let known = nothing.received(&found);
    let known_at = known.now;
    let granted = with_grant(known, "1", |grant| {
        grant.multipart = true;
        grant.key_id = api_key().key_id();
    });
    let arrives = |revoked_at| granted.arrives_in(&found, &with_key(Some(revoked_at)));
    assert!(matches!(arrives(known_at.plus(Duration::from_millis(1))), Arrived::Accepted(_)));
    // It may have been completed after the revocation, and before it was found.
    assert!(matches!(arrives(known_at), Arrived::Rejected(..)));
}

#[test]
fn a_late_notification_decides_again_about_a_multipart_upload_whose_time_was_not_known() {
    let granted = with_grant(History::nothing(), "1", |grant| grant.key_id = api_key().key_id());
    let revoked_at = granted.now.plus(SECOND * 10);
    let project = with_key(Some(revoked_at));
    let found = found_multipart(granted.now.plus(SECOND));
    let granted = granted.wait(SECOND * 20);
    let rejected = match granted.arrives_in(&found, &project) {
        Arrived::Rejected(decision, error) => {
            assert!(error.message.contains("is not known to have arrived before"), "{}", error.message);
            granted.then_all(decision)
        }
        other => panic!("{other:?}"),
    };
    let completed =
        |created_at| SourceObject { found: false, sequencer: "01".to_owned(), created_at, ..found.clone() };
    let before = completed(Timestamp::from_unix_millis(revoked_at.unix_millis() - 1));
    let unread = SourceObject { details: None, ..before.clone() };
    assert_eq!(rejected.arrives_in(&unread, &project), Arrived::NeedsDetails);
    assert!(matches!(rejected.arrives_in(&before, &project), Arrived::Accepted(_)));
    assert_eq!(rejected.arrives_in(&completed(revoked_at), &project), Arrived::Recorded);
    assert_eq!(rejected.arrives_in(&found, &project), Arrived::Recorded, "nothing new is known");
    // It may already be being removed.
    let removed = rejected.wait(policy().rejected_retention);
    assert_eq!(removed.arrives_in(&before, &project), Arrived::Recorded);
}

#[test]
fn an_object_under_a_grant_of_a_revoked_key_is_rejected() {
    let granted = with_grant(History::nothing(), "1", |grant| grant.key_id = api_key().key_id());
    let object = version("01", granted.now.plus(SECOND));
    let arrives = |revoked_at| granted.arrives_in(&object, &with_key(revoked_at));
    assert!(matches!(arrives(None), Arrived::Accepted(_)));
    assert!(matches!(arrives(Some(object.created_at.plus(SECOND))), Arrived::Accepted(_)), "revoked later");
    // The time of an event notification may be that of the second in which the object was created.
    let in_that_second = Timestamp::from_unix_millis(object.created_at.unix_millis() + 500);
    for revoked_at in [granted.now, object.created_at, in_that_second] {
        assert!(matches!(arrives(Some(revoked_at)), Arrived::Rejected(..)), "{revoked_at}");
    }
    // A multipart upload that was found may have been completed after the revocation, however long before it was initiated.
    let found = found_multipart(object.created_at);
    let much_later = object.created_at.plus(SECOND * 1000);
    let arrives_found = |found: &SourceObject| granted.arrives_in(found, &with_key(Some(much_later)));
    assert!(matches!(arrives_found(&found), Arrived::Rejected(..)));
    let single = SourceObject { etag: "e".to_owned(), ..found };
    assert!(matches!(arrives_found(&single), Arrived::Accepted(_)), "its time is known");
    let rejected = arrives(Some(granted.now));
    assert!(
        matches!(&rejected, Arrived::Rejected(_, error) if error.code == "grant_revoked"),
        "{rejected:?}"
    );
}

#[test]
fn of_two_uploads_under_one_grant_the_first_of_those_that_are_known_is_accepted() {
    let nothing = History::nothing();
    let (first, second) = (version("0A", nothing.now), version("0B", nothing.now));
    let known = nothing.received(&second).received(&first);
    let granted = known.grant_issued_at(first.created_at, &grant("late", minute_from(first.created_at)));
    assert_eq!(
        granted.step(),
        Step::DecideObject(first.clone()),
        "in S3's order, not in that of the notifications"
    );
    let accepted = after_wait(granted.accepted(&first), &second);
    assert_eq!(accepted.rejected(&second, "grant_used").video().generation, 1);

    let granted = History::nothing().granted("1").granted("2");
    let (first, second) = (version("0A", granted.now), version("0B", granted.now));
    let accepted = granted.accepted(&second);
    let late = accepted.rejected(&first, "already_uploaded");
    let video = late.video();
    assert_eq!((video.upload.unwrap().version_id.as_deref(), video.open_grants.len()), (Some("v0B"), 1));
}

#[test]
fn the_earliest_grant_that_an_object_satisfies_is_used() {
    let granted = with_grant(History::nothing(), "large", |grant| grant.size = Some(9));
    let granted = with_grant(granted, "multipart", |grant| grant.multipart = true);
    let granted = with_grant(with_grant(granted, "first", |_| {}), "second", |_| {});
    let used = |object: &SourceObject| match granted.arrives(object) {
        Arrived::Accepted(decision) => match &decision.events[0] {
            EventBody::UploadCompleted(completed) => completed.grant_id.clone().unwrap(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    let object = version("01", granted.now);
    assert_eq!(used(&object), grant("first", granted.now).grant_id);
    let multipart = SourceObject { etag: "5d41402abc4b2a76b9719d911017c592-2".to_owned(), ..object };
    assert_eq!(used(&multipart), grant("multipart", granted.now).grant_id);
}

#[test]
fn a_found_object_that_was_rejected_is_not_accepted_under_a_later_multipart_grant() {
    for tag in ["5d41402abc4b2a76b9719d911017c592", "5d41402abc4b2a76b9719d911017c592-2"] {
        let ready = ready_video();
        let object =
            SourceObject { etag: tag.to_owned(), found: true, ..version("0B", minute_from(ready.now)) };
        let mut rejected = after_wait(ready, &object).rejected(&object, "grant_used");
        rejected.now = minute_from(minute_from(rejected.now));
        let granted =
            with_grant(rejected, "parts", |grant| (grant.multipart, grant.overwrite) = (true, true));
        assert_eq!(granted.arrives(&object), Arrived::Recorded, "{tag}");
    }
}

#[test]
fn an_upload_does_not_take_a_grant_that_demands_less_than_another_that_it_satisfies() {
    let granted = with_grant(History::nothing(), "any", |_| {});
    let granted = with_grant(granted, "exact", |grant| grant.size = Some(1));
    let exact = version("01", granted.now);
    let other = SourceObject { bytes: 2, ..version("02", granted.now) };
    let used = granted.accepted(&exact);
    assert_eq!(used.video().open_grants.keys().collect::<Vec<_>>(), [&grant("any", used.now).grant_id]);
    assert_eq!(used.accepted(&other).video().generation, 2);
}

#[test]
fn an_older_upload_does_not_replace_one_that_a_check_found_and_no_found_one_replaces_a_newer() {
    let found = |object: SourceObject| SourceObject { found: true, sequencer: String::new(), ..object };
    let unchanged = |object: SourceObject| object;
    for (newer_as, older_as) in
        [(found as fn(_) -> _, unchanged as fn(_) -> _), (unchanged, found), (found, found)]
    {
        let granted = with_grant(with_grant(History::nothing(), "1", |_| {}), "2", |_| {});
        let (older, newer) = (version("0A", granted.now), version("0B", granted.now.plus(2 * SECOND)));
        let rejected = granted.accepted(&newer_as(newer)).rejected(&older_as(older), "already_uploaded");
        assert_eq!(rejected.video().upload.unwrap().version_id.as_deref(), Some("v0B"));
    }
}
