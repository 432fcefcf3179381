//! Which versions of a source are kept, and when the others are removed.

use super::history::{History, after_wait, job, key, policy, ready_video, version, with_grant};
use crate::event::{EventBody, RemovalReason};
use crate::timestamp::Timestamp;
use crate::video::decide::{Arrived, Removal, Step, delete, due_at, grants_expired, ready, versions_removed};
use crate::video::{NULL_VERSION, SourceObject, VideoState};

/// The removal of `version(sequencer, …)`.
fn removal(sequencer: &str, reason: RemovalReason) -> Removal {
    let SourceObject { version_id, etag, .. } = version(sequencer, Timestamp::default());
    Removal { version_id: version_id.unwrap(), etag, reason }
}

#[test]
fn a_rejected_version_is_removed_after_its_retention_and_the_removal_is_recorded_once() {
    let ready = ready_video();
    let object = version("02", ready.now);
    let rejected = after_wait(ready, &object).rejected(&object, "grant_used");
    let due = rejected.now.plus(policy().rejected_retention);
    let rejected = rejected.and(|video| grants_expired(video, due, &policy()));
    assert_eq!((rejected.step(), due_at(&rejected.video(), &policy())), (Step::Wait(due), Some(due)));
    let due = rejected.wait(policy().rejected_retention);
    let removal = removal("02", RemovalReason::Rejected);
    let removals = vec![removal.clone()];
    assert_eq!(due.step(), Step::RemoveVersions(key(), removals.clone()));
    let removed = due.and(|video| versions_removed(video, &removals));
    assert_eq!((removed.step(), versions_removed(&removed.video(), &removals)), (Step::Idle, None));
}

#[test]
fn a_superseded_version_is_removed_after_the_same_time() {
    let again = with_grant(ready_video(), "2", |_| {});
    let object = version("02", again.now);
    let accepted = again.accepted(&object);
    assert_eq!(accepted.video().generation, 2);
    let removals = vec![removal("01", RemovalReason::Superseded)];
    let accepted = accepted.dispatched().started_by("two").completed_by("two");
    let due = accepted.and(|video| ready(video, &job(video)).ok()).wait(policy().rejected_retention);
    assert_eq!(due.step(), Step::RemoveVersions(key(), removals));
}

#[test]
fn a_deletion_removes_all_known_versions_at_once_and_voids_all_grants() {
    let ready = ready_video();
    let object = version("02", ready.now);
    let rejected = after_wait(ready, &object).rejected(&object, "grant_used").granted("open");
    let deleted = rejected.and(|video| delete(video).unwrap()).unused_removed();
    let of = |id: &str| removal(id, RemovalReason::Deleted);
    let Step::RemoveVersions(_, mut removals) = deleted.step() else { panic!("{:?}", deleted.step()) };
    removals.sort_by(|a, b| a.version_id.cmp(&b.version_id));
    assert_eq!(removals, [of("01"), of("02")]);
    assert!(deleted.video().deletion_of_source().is_none(), "a version is removed by its id");
    // With the URL that was issued before the deletion.
    let late = version("03", deleted.now);
    let late_history = after_wait(deleted.received(&late), &late).rejected(&late, "video_deleted");
    assert_eq!(late_history.video().status().unwrap().state, VideoState::Deleted);
}

#[test]
fn an_upload_without_a_version_is_removed_after_a_version_replaced_it() {
    let granted = with_grant(History::nothing().granted("1"), "2", |_| {});
    let old = SourceObject { version_id: None, ..version("01", granted.now) };
    let new = version("02", granted.now);
    let accepted = granted.accepted(&old).accepted(&new);
    let accepted = accepted.dispatched().started_by("two").completed_by("two");
    let due = accepted.and(|video| ready(video, &job(video)).ok()).wait(policy().rejected_retention);
    let (version_id, etag) = (NULL_VERSION.to_owned(), old.etag);
    let removals = vec![Removal { version_id, etag, reason: RemovalReason::Superseded }];
    assert_eq!(due.step(), Step::RemoveVersions(key(), removals.clone()));
    let removed = due.and(|video| versions_removed(video, &removals));
    assert!(removed.video().objects.is_empty());
}

#[test]
fn the_bucket_is_checked_once_after_the_url_of_a_used_or_voided_grant_can_no_longer_be_used() {
    let deleted = ready_video().and(|video| delete(video).unwrap()).unused_removed();
    for history in [ready_video(), deleted] {
        let history = match history.step() {
            Step::RemoveVersions(_, removals) => history.and(|video| versions_removed(video, &removals)),
            _ => history,
        };
        let Step::Wait(end) = history.check_of_used_urls() else { unreachable!() };
        assert_eq!(history.step(), Step::Wait(end));
        let mut ended = history;
        ended.now = end;
        assert_eq!(ended.step(), Step::CheckBucket(key()));
        let (phase, now) = (ended.video().phase, ended.now);
        let checked = ended.and(|video| grants_expired(video, now, &policy()));
        assert_eq!((checked.step(), checked.video().phase), (Step::Idle, phase));
    }
}

#[test]
fn a_second_check_finds_nothing_that_the_first_one_recorded() {
    let granted = History::nothing().granted("1");
    let found = SourceObject { found: true, sequencer: String::new(), ..version("01", granted.now) };
    let notified = version("01", granted.now);
    let ended = granted.after_all_grants().accepted(&found);
    assert_eq!((ended.arrives(&found), ended.arrives(&notified)), (Arrived::Recorded, Arrived::Recorded));
    let now = ended.now;
    let decision = grants_expired(&ended.video(), now, &policy()).expect("its URL can no longer be used");
    let [EventBody::UploadExpired(expired)] = &decision.events[..] else { panic!("{decision:?}") };
    assert_eq!(expired.grant_ids, [], "the grant was used");
}

#[test]
fn a_removal_that_began_before_a_deletion_does_not_count_its_bytes_twice() {
    let again = with_grant(ready_video(), "2", |_| {});
    let object = version("02", again.now);
    let replaced = again.accepted(&object);
    let removals = vec![removal("01", RemovalReason::Superseded)];
    let deleted = replaced.and(|video| delete(video).unwrap());
    let decision = versions_removed(&deleted.video(), &removals).unwrap();
    assert!(
        matches!(&decision.events[..], [EventBody::UploadRemoved(it)] if it.reason == RemovalReason::Deleted)
    );
}
