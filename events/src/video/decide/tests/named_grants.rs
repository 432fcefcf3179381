//! Objects that name the grant of the URL that they were uploaded with.

use std::time::Duration;

use super::history::{
    History, SECOND, after_wait, grant, minute_from, policy, project, ready_video, version, with_grant,
};
use crate::api_key::ApiKey;
use crate::event::EventBody;
use crate::id::GrantId;
use crate::project::{Key, Project};
use crate::timestamp::Timestamp;
use crate::video::decide::{Arrived, Step, delete, grants_expired};
use crate::video::{Phase, SourceObject};

/// The version with this sequencer, uploaded now with the URL of this grant.
fn named(history: &History, sequencer: &str, id: &str) -> SourceObject {
    SourceObject { grant_id: Some(grant_id(id)), ..version(sequencer, history.now) }
}

fn grant_id(id: &str) -> GrantId {
    grant(id, Timestamp::default()).grant_id
}

/// The grant that `object` is accepted under.
fn used(history: &History, object: &SourceObject) -> GrantId {
    match history.arrives(object) {
        Arrived::Accepted(decision) => match &decision.events[..] {
            [EventBody::UploadCompleted(completed)] => completed.grant_id.clone().unwrap(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_upload_with_a_used_url_takes_no_other_grant_and_is_rejected_at_once() {
    let again = with_grant(ready_video(), "2", |_| {});
    let late = named(&again, "02", "1");
    let rejected = again.rejected(&late, "grant_used");
    assert_eq!((rejected.video().phase, rejected.video().generation), (Phase::Ready, 1));
    let own = named(&rejected, "03", "2");
    assert_eq!(used(&rejected, &own), grant_id("2"));
}

#[test]
fn an_upload_with_a_void_url_does_not_end_the_wait_for_that_of_another() {
    let deleted = ready_video().and(|video| delete(video).unwrap());
    let waiting = with_grant(deleted.wait(10 * SECOND), "2", |_| {});
    let dead = named(&waiting, "02", "1");
    let rejected = waiting.rejected(&dead, "grant_used");
    assert_eq!(rejected.video().phase, Phase::Waiting);
    let own = named(&rejected, "03", "2");
    let short = with_grant(History::nothing(), "own", |grant| grant.size = Some(9));
    let object = named(&short, "01", "own");
    let short = short.rejected(&object, "size_mismatch");
    assert!(matches!(short.video().phase, Phase::Errored { .. }), "no other URL is open");
    assert_eq!(used(&rejected, &own), grant_id("2"));
}

#[test]
fn an_upload_takes_its_own_grant_and_not_an_earlier_or_more_demanding_one() {
    let granted = with_grant(History::nothing().granted("first"), "exact", |grant| grant.size = Some(1));
    let granted = with_grant(granted, "own", |_| {});
    assert_eq!(used(&granted, &named(&granted, "01", "own")), grant_id("own"));
    let multipart = SourceObject { etag: "0-2".to_owned(), ..named(&granted, "01", "own") };
    assert_eq!(used(&granted, &multipart), grant_id("own"));
}

#[test]
fn an_upload_that_does_not_satisfy_its_own_grant_takes_no_other_one() {
    let granted = with_grant(History::nothing().granted("any"), "own", |grant| grant.size = Some(9));
    let object = named(&granted, "01", "own");
    let rejected = granted.rejected(&object, "size_mismatch");
    assert_eq!(rejected.video().open_grants.len(), 2);

    let key = ApiKey::generate("live", [1; 32]).unwrap().hash();
    let granted = with_grant(History::nothing().granted("any"), "own", |grant| grant.key_id = key.key_id());
    let revoked = Key {
        hash: key,
        scopes: vec![],
        label: None,
        created_at: Timestamp::default(),
        expires_at: None,
        revoked_at: Some(granted.now),
    };
    let project = Project { keys: [(key.key_id(), revoked)].into(), ..project() };
    match granted.arrives_in(&named(&granted, "01", "own"), &project) {
        Arrived::Rejected(_, error) => assert_eq!(error.code, "grant_revoked"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_upload_waits_for_the_record_of_its_own_grant() {
    let granted = History::nothing().granted("other");
    let object = named(&granted, "01", "own");
    let waits = granted.received(&object);
    assert!(matches!(waits.step(), Step::Wait(_)), "the other grant is not its own: {:?}", waits.step());
    // Its time is that of another clock.
    let issued_at = object.created_at.plus(Duration::from_secs(30));
    let recorded = waits.grant_issued_at(issued_at, &grant("own", minute_from(issued_at)));
    assert_eq!(recorded.step(), Step::DecideObject(object.clone()));
    assert_eq!(used(&recorded, &object), grant_id("own"));
}

/// The rejection names the grant, so that later grants of the key do not cause it to be decided again.
#[test]
fn a_rejected_upload_is_accepted_when_its_own_grant_is_recorded_and_under_no_other() {
    let granted = History::nothing().granted("other");
    let object = named(&granted, "01", "own");
    let rejected = after_wait(granted.received(&object), &object).rejected(&object, "no_grant");
    let other = rejected.grant_issued_at(object.created_at, &grant("late", minute_from(object.created_at)));
    assert!(!matches!(other.step(), Step::DecideObject(_)), "{:?}", other.step());
    assert_eq!(other.arrives(&object), Arrived::Recorded);
    let own = other.grant_issued_at(object.created_at, &grant("own", minute_from(object.created_at)));
    assert_eq!(own.step(), Step::DecideObject(SourceObject { details: None, ..object.clone() }));
    assert_eq!(used(&own, &object), grant_id("own"));
}

/// The object store refused it if it had begun after the expiry.
#[test]
fn an_upload_that_ends_after_the_expiry_takes_its_own_grant_while_that_is_open_and_never_another() {
    let first = History::nothing().granted("1");
    let ended = first.after_all_grants();
    let object = SourceObject { created_at: ended.now.plus(SECOND), ..named(&ended, "01", "1") };
    let now = object.created_at;
    let open = with_grant(ended, "2", |_| {});
    assert_eq!(used(&after_wait(open, &object), &object), grant_id("1"));
    let closed = History::nothing().granted("1").after_all_grants();
    let closed = closed.and(|video| grants_expired(video, now, &policy()));
    let closed = with_grant(closed, "2", |_| {});
    after_wait(closed, &object).rejected(&object, "grant_expired");
}

#[test]
fn an_upload_with_a_url_from_before_a_deletion_takes_no_grant_from_after_it() {
    let deleted = History::nothing().granted("1").and(|video| delete(video).unwrap());
    let again = with_grant(deleted.wait(10 * SECOND), "2", |_| {});
    let object = named(&again, "01", "1");
    after_wait(again, &object).rejected(&object, "video_deleted");
}

#[test]
fn an_upload_from_before_a_deletion_is_void_though_its_request_was_repeated_after_it() {
    let granted = History::nothing().granted("1");
    let before = named(&granted, "01", "1");
    let deleted = granted.wait(10 * SECOND).and(|video| delete(video).unwrap());
    let again = with_grant(deleted.wait(Duration::from_hours(1)), "1", |_| {});
    assert_eq!(again.video().open_grants.len(), 1);
    let after = named(&again, "02", "1");
    assert_eq!(used(&again, &after), grant_id("1"));
    after_wait(again, &before).rejected(&before, "video_deleted");
}

/// The object names the grant that the upload was created for; its client asked for new URLs since.
#[test]
fn a_multipart_upload_takes_any_grant_that_is_for_it() {
    let for_upload = |history: History, id: &str, upload: &str| {
        with_grant(history, id, |grant| (grant.multipart, grant.upload_id) = (true, Some(upload.to_owned())))
    };
    let first = for_upload(History::nothing(), "1", "a").after_all_grants();
    let now = first.now;
    let closed = first.and(|video| grants_expired(video, now, &policy()));
    assert_eq!(closed.video().open_grants.len(), 0);
    let continued = for_upload(for_upload(closed, "other", "b"), "2", "a");
    let object = SourceObject { etag: "0-2".to_owned(), ..named(&continued, "01", "1") };
    assert_eq!(used(&continued, &object), grant_id("2"));
    let accepted = continued.accepted(&object);
    let again = SourceObject { etag: "0-2".to_owned(), ..named(&accepted, "02", "1") };
    accepted.rejected(&again, "grant_used");
}
