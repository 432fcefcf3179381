//! Grants that are recorded after their objects, or again.

use std::time::Duration;

use super::history::{
    History, SECOND, after_wait, grant, minute_from, policy, ready_video, version, with_grant,
};
use crate::timestamp::Timestamp;
use crate::video::decide::{Arrived, Step, delete, due_at, grants_expired, undecided};
use crate::video::{Phase, Policy, SourceObject, VideoState};

fn minutes(count: u64) -> Duration {
    Duration::from_mins(count)
}

#[test]
fn an_object_waits_for_a_grant_that_is_recorded_after_it() {
    let nothing = History::nothing();
    let object = version("01", nothing.now);
    assert_eq!(
        nothing.arrives(&SourceObject { details: None, ..object.clone() }),
        Arrived::NeedsDetails,
        "what waits is recorded with its details"
    );
    let waits = nothing.received(&object);
    assert_eq!(waits.video().status().unwrap().state, VideoState::Waiting);
    let until = object.created_at.plus(policy().grant_wait);
    assert_eq!((waits.step(), due_at(&waits.video(), &policy())), (Step::Wait(until), Some(until)));
    assert_eq!(waits.arrives(&object), Arrived::Recorded, "no second record");
    let granted = waits.grant_issued_at(object.created_at, &grant("late", minute_from(object.created_at)));
    assert_eq!(granted.step(), Step::DecideObject(object.clone()));
    let accepted = granted.accepted(&object);
    assert_eq!(
        (accepted.video().generation, undecided(&accepted.video(), accepted.now, &policy())),
        (1, None)
    );
}

#[test]
fn an_object_without_a_grant_is_rejected_when_the_wait_is_over() {
    let nothing = History::nothing();
    let object = version("01", nothing.now);
    let waited = after_wait(nothing.received(&object), &object);
    assert_eq!(waited.step(), Step::DecideObject(object.clone()));
    let rejected = waited.rejected(&object, "no_grant");
    assert!(matches!(&rejected.video().phase, Phase::Errored { error } if error.code == "no_grant"));
    // The platform was late, not the upload.
    let late = rejected.grant_issued_at(object.created_at, &grant("late", minute_from(object.created_at)));
    let kept = SourceObject { details: None, ..object.clone() };
    assert_eq!(late.step(), Step::DecideObject(kept));
    let accepted = late.accepted(&object);
    let video = accepted.video();
    assert_eq!((video.generation, video.objects.len()), (1, 0), "it is no longer to be removed");
}

#[test]
fn a_rejected_object_is_not_accepted_under_a_grant_that_was_issued_after_it() {
    let ready = ready_video();
    let object = version("02", ready.now);
    let rejected = after_wait(ready, &object).rejected(&object, "grant_used");
    let again = with_grant(rejected, "2", |_| {});
    assert!(!matches!(again.step(), Step::DecideObject(_)), "{:?}", again.step());
    assert_eq!(again.arrives(&object), Arrived::Recorded);
}

#[test]
fn a_rejected_version_can_be_accepted_for_most_of_a_short_retention() {
    let policy = Policy { rejected_retention: Duration::from_mins(4), ..policy() };
    let rejected = History::nothing();
    let object = version("01", rejected.now);
    let rejected = after_wait(rejected, &object).rejected(&object, "no_grant");
    let granted = grant("late", rejected.now);
    let late = rejected.grant_issued_at(object.created_at, &granted);
    let after = |minutes: u64| late.now.plus(Duration::from_mins(minutes));
    assert_eq!(undecided(&late.video(), after(2), &policy), Some(SourceObject { details: None, ..object }));
    assert_eq!(undecided(&late.video(), after(3), &policy), None);
}

#[test]
fn a_grant_from_a_clock_that_is_a_little_behind_is_not_voided_by_a_deletion_before_it() {
    let deleted = ready_video().and(|video| delete(video).unwrap());
    let issued_at = Timestamp::from_unix_millis(deleted.now.unix_millis() - 1_500);
    let granted = deleted.grant_issued_at(issued_at, &grant("slow", minute_from(issued_at)));
    let object = version("05", granted.now);
    assert_eq!(granted.accepted(&object).video().generation, 2);
}

#[test]
fn a_grant_issued_before_a_deletion_and_recorded_after_it_is_void() {
    let ready = ready_video();
    let issued_at = ready.now;
    let deleted = ready.wait(2 * SECOND).and(|video| delete(video).unwrap());
    let late = deleted.grant_issued_at(issued_at, &grant("late", minute_from(issued_at)));
    assert_eq!((late.video().phase.clone(), late.video().open_grants.len()), (Phase::Deleted, 0));
    let again = with_grant(late, "new", |_| {});
    assert_eq!((again.video().phase.clone(), again.video().open_grants.len()), (Phase::Waiting, 1));
    let object = version("05", again.now);
    assert_eq!(again.accepted(&object).video().generation, 2);
}

/// A repeated request gets a URL with a later expiry where grants go through a queue, and each is recorded, in any order.
fn repeated(history: History, id: &str, issued_at: Timestamp, lifetime: Duration) -> History {
    history.grant_issued_at(issued_at, &grant(id, issued_at.plus(lifetime)))
}

#[test]
fn an_upload_with_the_latest_url_of_a_grant_is_accepted_and_takes_the_grant() {
    let hour = Duration::from_hours(1);
    let first = History::nothing().now;
    let second = first.plus(hour * 24);
    let both = repeated(repeated(History::nothing(), "1", first, hour), "1", second, hour);
    let swapped = repeated(repeated(History::nothing(), "1", second, hour), "1", first, hour);
    for history in [both, swapped] {
        let video = history.video();
        let (_, open) = video.open_grants.first_key_value().unwrap();
        assert_eq!(
            (video.open_grants.len(), open.granted_at, open.expires_at),
            (1, first, second.plus(hour))
        );
        for created_at in [first, second, second.plus(hour)] {
            let object = version("01", created_at);
            let accepted = History { commits: history.commits.clone(), now: created_at }.accepted(&object);
            assert!(accepted.video().open_grants.is_empty());
        }
    }
}

#[test]
fn a_grant_that_was_used_stays_used_when_its_request_is_repeated() {
    let used = ready_video();
    let again = repeated(used, "1", History::nothing().now.plus(Duration::from_hours(2)), minutes(15));
    assert!(again.video().open_grants.is_empty());
    assert_eq!(again.video().phase, Phase::Ready);
    let object = version("02", again.now);
    let rejected = after_wait(again.received(&object), &object).rejected(&object, "grant_used");
    assert_eq!(rejected.video().generation, 1);
}

#[test]
fn a_grant_that_expired_is_open_again_when_its_request_is_repeated() {
    let issued_at = History::nothing().now;
    let mut ended = repeated(History::nothing(), "1", issued_at, minutes(15));
    ended.now = issued_at.plus(Duration::from_hours(24));
    let now = ended.now;
    let ended = ended.and(|video| grants_expired(video, now, &policy()));
    assert_eq!((ended.video().open_grants.len(), ended.video().closed_grants.len()), (0, 1));
    let again = repeated(ended, "1", now, minutes(15));
    let video = again.video();
    assert_eq!((video.open_grants.len(), video.closed_grants.len()), (1, 0));
    assert_eq!(video.status().unwrap().state, VideoState::Waiting);
    let object = version("01", now.plus(minutes(1)));
    assert_eq!(again.accepted(&object).video().generation, 1);
}

/// The platform was late, not the upload.
#[test]
fn an_upload_that_was_rejected_as_late_is_accepted_when_the_record_of_its_url_arrives() {
    let issued_at = History::nothing().now;
    let mut first = repeated(History::nothing(), "1", issued_at, minutes(15));
    let again_at = issued_at.plus(Duration::from_hours(24));
    first.now = again_at;
    let object = version("01", again_at.plus(minutes(1)));
    let rejected = after_wait(first, &object).rejected(&object, "grant_expired");
    let again = repeated(rejected, "1", again_at, minutes(15));
    let kept = SourceObject { details: None, ..object.clone() };
    assert_eq!(again.step(), Step::DecideObject(kept));
    assert_eq!(again.accepted(&object).video().generation, 1);
}
