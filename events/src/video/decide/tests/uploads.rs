//! Decisions about uploads that were found by a check of the bucket, in a bucket without versions.

use std::time::Duration;

use proptest::prelude::*;

use super::history::{History, job, key, notification_of, object, policy, project, stored, version};
use crate::event::EventBody;
use crate::id::GrantId;
use crate::video::decide::{
    Arrived, Conditions, Step, bucket_check, delete, due_at, grants_expired, object_arrived, ready, undecided,
};
use crate::video::{Phase, Policy, SourceObject, VideoState};

fn state(history: &History) -> VideoState {
    history.video().status().unwrap().state
}

#[test]
fn a_grant_expires_after_a_check_of_the_bucket_and_closes_after_another_one() {
    let granted = History::nothing().granted("1");
    let expires_at = granted.video().upload_until().unwrap();
    assert_eq!(granted.video().status().unwrap().expires_at, Some(expires_at));
    assert_eq!(granted.step(), Step::Wait(expires_at));
    assert_eq!(due_at(&granted.video(), &policy()), Some(expires_at));
    assert_eq!(grants_expired(&granted.video(), granted.now, &policy()), None);
    let mut ended = granted;
    ended.now = expires_at;
    assert_eq!(ended.step(), Step::CheckBucket(key()));
    let expired = ended.and(|video| grants_expired(video, expires_at, &policy()));
    assert_eq!(state(&expired), VideoState::Expired);
    assert_eq!(expired.video().status().unwrap().expires_at, None);
    let closes_at = expires_at.plus(policy().grant_grace);
    assert_eq!((expired.step(), expired.video().open_grants.len()), (Step::Wait(closes_at), 1));
    let mut closing = expired;
    closing.now = closes_at;
    assert_eq!(closing.step(), Step::CheckBucket(key()));
    let closed = closing.and(|video| grants_expired(video, closes_at, &policy()));
    assert_eq!((state(&closed), closed.video().open_grants.len()), (VideoState::Expired, 0));
    assert_eq!((closed.step(), due_at(&closed.video(), &policy())), (Step::Idle, None));
    assert_eq!(state(&closed.granted("2")), VideoState::Waiting, "a new grant is a new try");
}

#[test]
fn an_upload_that_began_in_time_is_accepted_after_the_expiry_and_not_after_the_grace() {
    let granted = History::nothing().granted("1");
    let expires_at = granted.video().upload_until().unwrap();
    let mut expired = granted;
    expired.now = expires_at;
    let expired = expired.and(|video| grants_expired(video, expires_at, &policy()));
    let arrives = |after: Duration| {
        let object = SourceObject { created_at: expires_at.plus(after), ..object("01") };
        let mut later = History { commits: expired.commits.clone(), now: object.created_at };
        // Without versions.
        later.now = later.now.plus(policy().rejected_retention);
        later.arrives(&object)
    };
    assert!(matches!(arrives(policy().grant_grace), Arrived::Accepted(_)));
    let late = arrives(policy().grant_grace + Duration::from_millis(1));
    assert!(matches!(&late, Arrived::Rejected(_, error) if error.code == "grant_expired"), "{late:?}");
}

proptest! {
    /// The event notification of the upload is lost, so that only a check of the bucket finds it.
    #[test]
    fn an_upload_is_found_and_accepted_although_the_clock_was_set_forward_during_it(
        late in 0u64..3600,
        step in 0u64..=7200,
        first_check in 0u64..60,
    ) {
        let policy = Policy { clock_step: Duration::from_hours(2), ..policy() };
        let seconds = Duration::from_secs;
        let mut history = History::nothing().granted("1");
        // It begins in time, the clock is set, and the sweep finds the grant expired.
        let expires_at = history.video().upload_until().unwrap();
        history.now = expires_at.plus(seconds(step + first_check));
        let now = history.now;
        let expired = history.and(|video| grants_expired(video, now, &policy));
        let created_at = expires_at.plus(seconds(step + late));
        let last_check = due_at(&expired.video(), &policy).unwrap();
        prop_assert_eq!(bucket_check(&expired.video(), last_check, &policy), Some(key()));
        prop_assert!(created_at <= last_check, "no check of the bucket finds it");
        let grant_id = Some(GrantId::derived_from(&[b"1"]));
        let object = SourceObject { found: true, grant_id, ..version("", created_at) };
        let conditions =
            Conditions { project: &project(), now: last_check, policy: &policy, limit_exceeded: None };
        let arrived = object_arrived(&expired.video(), &key(), &object, &conditions);
        prop_assert!(matches!(arrived, Arrived::Accepted(_)), "{:?}", arrived);
    }
}

#[test]
fn grants_end_one_by_one() {
    let mut history = History::nothing().granted("1").granted("2");
    let mut expiries: Vec<_> = history.video().open_grants.values().map(|grant| grant.expires_at).collect();
    expiries.sort();
    let (first, second) = (expiries[0], expiries[1]);
    assert_eq!((history.step(), due_at(&history.video(), &policy())), (Step::Wait(first), Some(first)));
    history.now = first;
    assert_eq!(history.step(), Step::CheckBucket(key()), "an upload may be lost while another grant is open");
    let mut expired = history.and(|video| grants_expired(video, first, &policy()));
    assert_eq!((expired.video().upload_until(), state(&expired)), (Some(second), VideoState::Waiting));
    expired.now = first;
    assert_eq!(expired.step(), Step::Wait(second));
}

#[test]
fn a_rejection_after_a_deletion_ends_a_waiting_video_in_error() {
    let waiting = History::uploaded().and(|video| delete(video).unwrap()).granted("2");
    assert!(matches!(waiting.video().phase, Phase::Waiting));
    let object = SourceObject { bytes: 1 << 50, created_at: waiting.now, ..notification_of("b", "05") };
    let rejected = waiting.rejected(&object, "too_large").video();
    assert!(matches!(rejected.phase, Phase::Errored { .. }), "{:?}", rejected.phase);
    assert_eq!(rejected.open_grants.len(), 1, "another upload under the same grant is a new try");
}

/// A grant of the clip and its expiry; the object with the entity tag `a` was found.
fn found(etag: &str) -> History {
    History::nothing().granted("1").after_all_grants().accepted(&stored(etag))
}

#[test]
fn the_same_bytes_created_again_are_another_upload() {
    let found = found("a");
    // Within the allowance for clocks the same bytes are the same upload; after a deletion they are always a new one.
    let within = SourceObject { created_at: found.now.plus(Duration::from_secs(30)), ..stored("a") };
    assert_eq!(found.arrives(&within), Arrived::Recorded);
    let mut again = found.and(|video| delete(video).unwrap()).granted("2");
    again.now = again.now.plus(Duration::from_secs(30));
    let (before, now) = (stored("a"), again.now);
    assert_eq!(again.arrives(&before), Arrived::Recorded, "the object to remove");
    assert!(matches!(again.arrives(&SourceObject { created_at: now, ..before }), Arrived::Accepted(_)));
    let late = notification_of("a", "05");
    assert_eq!(again.arrives(&late), Arrived::Recorded);
    let notification = SourceObject { created_at: now, ..late };
    assert!(matches!(again.arrives(&notification), Arrived::Accepted(_)));
}

#[test]
fn a_found_object_is_an_upload_and_its_late_notification_is_ignored() {
    let found = found("a");
    let video = found.video();
    assert_eq!((video.generation, video.upload.clone().map(|it| it.bytes)), (1, Some(7)));
    assert!(video.open_grants.is_empty());
    assert!(matches!(found.appended(), EventBody::ProcessingDispatched(_)));
    let late = notification_of("a", "05");
    assert_eq!(found.arrives(&late), Arrived::Recorded);
    assert_eq!(found.arrives(&stored("a")), Arrived::Recorded, "an object is found once");
}

#[test]
fn after_an_object_was_found_sequencers_are_compared_from_the_next_notification_on() {
    let newer = found("b");
    let newer = newer.granted("2");
    let object = SourceObject { created_at: newer.now, ..notification_of("c", "03") };
    let newer = newer.accepted(&object);
    let video = newer.video();
    assert_eq!((video.generation, video.sequencer.as_deref()), (2, Some("03")));
    let late = notification_of("b", "02");
    assert_eq!(newer.arrives(&late), Arrived::Recorded, "the sequencers can be compared again");
}

#[test]
fn the_same_bytes_as_a_rejected_upload_are_another_upload_after_a_deletion() {
    let rejected = History::nothing().wait(policy().rejected_retention).rejected(&stored("a"), "no_grant");
    let deleted = rejected.and(|video| delete(video).unwrap()).granted("1");
    assert_eq!(deleted.arrives(&stored("a")), Arrived::Recorded);
    let again = SourceObject { created_at: deleted.now, ..stored("a") };
    assert!(matches!(deleted.arrives(&again), Arrived::Accepted(_)));
}

/// Without versions, its bytes no longer exist.
#[test]
fn a_waiting_object_is_forgotten_when_another_replaces_it() {
    let waiting = History::nothing().received(&notification_of("a", "01"));
    let granted = waiting.granted("1").granted("2");
    let object = SourceObject { created_at: granted.now, ..notification_of("b", "02") };
    for newer in [object.clone(), SourceObject { created_at: object.created_at, ..stored("b") }] {
        let history = History { commits: granted.commits.clone(), now: granted.now };
        let accepted = history.accepted(&newer).video();
        assert_eq!((accepted.generation, accepted.open_grants.len()), (1, 1));
        assert_eq!(undecided(&accepted, accepted.updated_at, &policy()), None, "{newer:?}");
    }
    let large = SourceObject { bytes: 1 << 50, ..object };
    assert_eq!(granted.rejected(&large, "too_large").video().objects, []);
}

#[test]
fn an_older_object_does_not_replace_the_one_that_waits() {
    let waiting = History::nothing().received(&notification_of("b", "02"));
    let older = waiting.received(&notification_of("a", "01")).video();
    assert_eq!(older.objects.iter().map(|it| it.object.etag.as_str()).collect::<Vec<_>>(), ["b"]);
    let found = History::nothing().received(&stored("b"));
    let newer = found.received(&notification_of("c", "03")).video();
    assert_eq!(newer.objects.iter().map(|it| it.object.etag.as_str()).collect::<Vec<_>>(), ["c"]);
}

#[test]
fn a_lost_upload_that_replaces_a_ready_video_is_found() {
    let ready = History::started().completed_by("one").and(|video| ready(video, &job(video)).ok());
    let again = ready.granted("again");
    let created_at = again.now;
    assert!(matches!(again.step(), Step::Wait(_)));
    assert!(due_at(&again.video(), &policy()).is_some());
    let ended = again.after_all_grants();
    assert_eq!(ended.step(), Step::CheckBucket(key()));
    assert_eq!(ended.arrives(&stored("e")), Arrived::Recorded, "this object is processed already");
    let found = ended.accepted(&SourceObject { created_at, ..stored("new") });
    let video = found.video();
    assert_eq!(
        (video.generation, video.sequencer.as_deref()),
        (2, Some("01")),
        "the sequencer of the previous upload"
    );
    assert_eq!(found.arrives(&object("01")), Arrived::Recorded);
}

#[test]
fn an_unused_grant_leaves_a_ready_video_unchanged() {
    let ready = History::started().completed_by("one").and(|video| ready(video, &job(video)).ok());
    let ended = ready.granted("again").after_all_grants();
    let now = ended.now;
    let expired = ended.and(|video| grants_expired(video, now, &policy()));
    assert_eq!((expired.video().phase, expired.video().open_grants.len()), (Phase::Ready, 0));
    assert_eq!((expired.step(), due_at(&expired.video(), &policy())), (Step::Idle, None));
}

#[test]
fn a_found_object_is_rejected_once() {
    let large = SourceObject { bytes: 1 << 50, ..stored("a") };
    let rejected = History::nothing().granted("1").after_all_grants().rejected(&large, "too_large");
    assert!(matches!(&rejected.video().phase, Phase::Errored { error } if error.code == "too_large"));
    assert_eq!(rejected.arrives(&notification_of("a", "05")), Arrived::Recorded);
    assert_eq!(rejected.arrives(&large), Arrived::Recorded);
}

#[test]
fn the_current_attempt_takes_precedence_over_a_bucket_check() {
    let mut started = History::started().granted("again");
    started.now = started.now.plus(policy().heartbeat_timeout);
    assert!(matches!(started.after_all_grants().appended(), EventBody::ProcessingExpired(_)));
    let dispatched = History::uploaded().dispatched().granted("again").after_all_grants();
    assert!(matches!(dispatched.step(), Step::Launch(_)));
}
