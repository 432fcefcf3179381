//! Decisions about uploads and grants.

use std::time::Duration;

use super::history::{History, job, key, notification_of, object, policy, retryable, stored};
use crate::event::EventBody;
use crate::media::VideoError;
use crate::video::Phase;
use crate::video::decide::{
    ObjectCreated, ObjectFound, Step, delete, due_at, grants_expired, needs_bucket_check, object_created,
    object_found, object_rejected, ready,
};

#[test]
fn the_bucket_is_checked_before_ended_grants_expire() {
    let granted = History::nothing().granted("1");
    let ends_at = granted.video().open_grants.values().max().unwrap().plus(policy().grant_grace);
    assert_eq!(granted.step(), Step::Wait(ends_at));
    assert_eq!(due_at(&granted.video(), &policy()), Some(ends_at));
    assert_eq!(grants_expired(&granted.video(), granted.now, &policy()), None, "an upload may have begun");
    let ended = granted.after_all_grants();
    assert_eq!(ended.step(), Step::CheckBucket(key()));
    let now = ended.now;
    let expired = ended.and(|video| grants_expired(video, now, &policy()));
    assert!(matches!(expired.video().phase, Phase::Errored { error } if error.code == "upload_expired"));
    assert_eq!(expired.step(), Step::Idle);
}

#[test]
fn a_rejection_after_a_deletion_ends_a_waiting_video_in_error() {
    let waiting = History::uploaded().and(|video| delete(video).unwrap()).granted("2");
    assert!(matches!(waiting.video().phase, Phase::Waiting));
    let rejected =
        waiting.and(|video| object_rejected(video, notification_of("b", "05"), retryable())).video();
    assert!(matches!(rejected.phase, Phase::Errored { .. }), "{:?}", rejected.phase);
}

#[test]
fn grants_end_one_by_one() {
    let mut history = History::nothing().granted("1").granted("2");
    let expiries: Vec<_> =
        history.video().open_grants.values().map(|expiry| expiry.plus(policy().grant_grace)).collect();
    let (first, second) = (*expiries.iter().min().unwrap(), *expiries.iter().max().unwrap());
    assert_eq!((history.step(), due_at(&history.video(), &policy())), (Step::Wait(first), Some(first)));
    history.now = first;
    assert_eq!(history.step(), Step::CheckBucket(key()), "an upload may be lost while another grant is open");
    let mut expired = history.and(|video| grants_expired(video, first, &policy()));
    assert_eq!((expired.video().open_grants.len(), expired.video().phase), (1, Phase::Waiting));
    expired.now = first;
    assert_eq!(expired.step(), Step::Wait(second));
}

#[test]
fn the_same_bytes_created_again_are_another_upload() {
    let found = History::nothing().granted("1").after_all_grants().found("a");
    // Within the allowance for clocks the same bytes are the same upload; after a deletion they are always a new one.
    let within = ObjectFound { created_at: found.now.plus(Duration::from_secs(30)), ..stored("a") };
    assert_eq!(object_found(&found.video(), within, None), None);
    let mut again = found.and(|video| delete(video).unwrap()).granted("2");
    again.now = again.now.plus(Duration::from_secs(30));
    let video = again.video();
    let (before, now) = (stored("a"), again.now);
    assert_eq!(object_found(&video, before.clone(), None), None, "the object to remove");
    assert!(object_found(&video, ObjectFound { created_at: now, ..before }, None).is_some());
    let late = notification_of("a", "05");
    assert_eq!(object_created(&video, late.clone()), None);
    let notification = ObjectCreated { created_at: now, ..late };
    assert!(needs_bucket_check(&video, &notification));
    assert!(object_created(&video, notification).is_some());
}

#[test]
fn a_found_object_is_an_upload_and_its_late_notification_is_ignored() {
    let found = History::nothing().granted("1").after_all_grants().found("a");
    let video = found.video();
    assert_eq!((video.generation, video.upload.clone().map(|it| it.bytes)), (1, Some(7)));
    assert!(video.open_grants.is_empty());
    assert!(matches!(found.appended(), EventBody::ProcessingDispatched(_)));
    let late = notification_of("a", "05");
    assert!(!needs_bucket_check(&video, &late), "it is about the object that was found");
    assert_eq!(object_created(&video, late.clone()), None);
    assert_eq!(object_rejected(&video, late, retryable()), None);
    assert_eq!(object_found(&video, stored("a"), None), None, "an object is found once");
}

#[test]
fn after_an_object_was_found_only_the_bucket_shows_which_notifications_are_newer() {
    let video = History::nothing().granted("1").after_all_grants().found("b").video();
    assert!(
        needs_bucket_check(&video, &notification_of("a", "01")),
        "it may be about the replaced object or about the replacement"
    );
    let newer = History::nothing().granted("1").after_all_grants().found("b");
    let newer = newer.and(|video| object_created(video, notification_of("c", "03")));
    let video = newer.video();
    assert_eq!((video.generation, video.sequencer.as_deref()), (2, Some("03")));
    let late = notification_of("b", "02");
    assert!(!needs_bucket_check(&video, &late));
    assert_eq!(object_created(&video, late), None, "the sequencers can be compared again");
}

#[test]
fn a_lost_upload_that_replaces_a_ready_video_is_found() {
    let ready = History::started().completed_by("one").and(|video| ready(video, &job(video)).ok());
    let again = ready.granted("again");
    assert!(matches!(again.step(), Step::Wait(_)));
    assert!(due_at(&again.video(), &policy()).is_some());
    let ended = again.after_all_grants();
    assert_eq!(ended.step(), Step::CheckBucket(key()));
    assert_eq!(object_found(&ended.video(), stored("e"), None), None, "this object is processed already");
    let found = ended.found("new");
    let video = found.video();
    assert_eq!(
        (video.generation, video.sequencer.as_deref()),
        (2, Some("01")),
        "the sequencer of the previous upload"
    );
    assert_eq!(object_created(&video, object("01")), None);
}

#[test]
fn an_unused_grant_leaves_a_ready_video_unchanged() {
    let ready = History::started().completed_by("one").and(|video| ready(video, &job(video)).ok());
    let ended = ready.granted("again").after_all_grants();
    let now = ended.now;
    let expired = ended.and(|video| grants_expired(video, now, &policy()));
    assert_eq!(expired.video().phase, Phase::Ready);
    assert_eq!((expired.step(), due_at(&expired.video(), &policy())), (Step::Idle, None));
}

#[test]
fn a_found_object_is_rejected_once() {
    let error = VideoError::permanent("too_large", "large");
    let rejected = History::nothing().granted("1").after_all_grants();
    let rejected = rejected.and(|video| object_found(video, stored("a"), Some(error.clone())));
    let video = rejected.video();
    assert!(matches!(&video.phase, Phase::Errored { error } if error.code == "too_large"));
    assert_eq!(object_created(&video, notification_of("a", "05")), None);
    assert_eq!(object_found(&video, stored("a"), None), None);
    assert_eq!(rejected.step(), Step::Idle);
}

#[test]
fn the_current_attempt_takes_precedence_over_a_bucket_check() {
    let mut started = History::started().granted("again");
    started.now = started.now.plus(policy().heartbeat_timeout);
    assert!(matches!(started.after_all_grants().appended(), EventBody::ProcessingExpired(_)));
    let dispatched = History::uploaded().dispatched().granted("again").after_all_grants();
    assert!(matches!(dispatched.step(), Step::Launch(_)));
}
