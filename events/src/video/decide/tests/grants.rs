//! A grant takes one upload: decisions about the versions of a source.

use std::time::Duration;

use super::history::{History, grant, job, key, policy, project, version};
use crate::api_key::ApiKey;
use crate::event::{EventBody, RemovalReason, UploadGranted};
use crate::project::{Key, Project};
use crate::timestamp::Timestamp;
use crate::video::decide::{
    Arrived, Removal, Step, delete, due_at, grants_expired, ready, undecided, versions_removed,
};
use crate::video::{NULL_VERSION, ObjectDetails, Phase, Policy, SourceObject, VideoState};

const SECOND: Duration = Duration::from_secs(1);

fn minute_from(at: Timestamp) -> Timestamp {
    at.plus(Duration::from_mins(1))
}

fn minutes(count: u64) -> Duration {
    Duration::from_mins(count)
}

/// A video whose only version is ready.
fn ready_video() -> History {
    let granted = History::nothing().granted("1");
    let object = version("01", granted.now);
    let started = granted.accepted(&object).dispatched().started_by("one");
    started.completed_by("one").and(|video| ready(video, &job(video)).ok())
}

/// Adds a grant of this form, issued at this moment.
fn with_grant(history: History, id: &str, change: impl Fn(&mut UploadGranted)) -> History {
    let mut granted = grant(id, minute_from(history.now));
    change(&mut granted);
    let now = history.now.plus(SECOND);
    history.grant_issued_at(now, &granted)
}

/// The removal of `version(sequencer, …)`.
fn removal(sequencer: &str, reason: RemovalReason) -> Removal {
    let SourceObject { version_id, etag, .. } = version(sequencer, Timestamp::default());
    Removal { version_id: version_id.unwrap(), etag, reason }
}

fn after_wait(mut history: History, object: &SourceObject) -> History {
    history.now = object.created_at.plus(policy().grant_wait);
    history
}

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
    let deleted = rejected.and(|video| delete(video).unwrap());
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
    assert_eq!(granted.arrives(&version("01", granted.now)), Arrived::NeedsDetails);
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

#[test]
fn an_object_under_a_grant_of_a_revoked_key_is_rejected() {
    let key = ApiKey::generate("live", [1; 32]).unwrap().hash();
    let granted = with_grant(History::nothing(), "1", |grant| grant.key_id = key.key_id());
    let revoked = |revoked_at: Option<Timestamp>| {
        let created = Key {
            hash: key,
            scopes: vec![],
            label: None,
            created_at: Timestamp::default(),
            expires_at: None,
            revoked_at,
        };
        Project { keys: [(key.key_id(), created)].into(), ..project() }
    };
    let object = version("01", granted.now.plus(SECOND));
    let arrives = |revoked_at| granted.arrives_in(&object, &revoked(revoked_at));
    assert!(matches!(arrives(None), Arrived::Accepted(_)));
    assert!(matches!(arrives(Some(object.created_at.plus(SECOND))), Arrived::Accepted(_)), "revoked later");
    let rejected = arrives(Some(granted.now));
    assert!(
        matches!(&rejected, Arrived::Rejected(_, error) if error.code == "grant_revoked"),
        "{rejected:?}"
    );
}

#[test]
fn an_object_waits_for_a_grant_that_is_recorded_after_it() {
    let nothing = History::nothing();
    let object = SourceObject { details: Some(ObjectDetails::default()), ..version("01", nothing.now) };
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
    let object = SourceObject { details: Some(ObjectDetails::default()), ..version("01", nothing.now) };
    let waited = after_wait(nothing.received(&object), &object);
    assert_eq!(waited.step(), Step::DecideObject(object.clone()));
    let rejected = waited.rejected(&object, "no_grant");
    assert!(matches!(&rejected.video().phase, Phase::Errored { error } if error.code == "no_grant"));
    // The platform was late, not the upload.
    let late = rejected.grant_issued_at(object.created_at, &grant("late", minute_from(object.created_at)));
    let kept = SourceObject { details: None, ..object };
    assert_eq!(late.step(), Step::DecideObject(kept.clone()));
    let accepted = late.accepted(&kept);
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
fn of_two_uploads_under_one_grant_the_first_of_those_that_are_known_is_accepted() {
    let nothing = History::nothing();
    let details = Some(ObjectDetails::default());
    let first = SourceObject { details: details.clone(), ..version("0A", nothing.now) };
    let second = SourceObject { details, ..version("0B", nothing.now) };
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
    let kept = SourceObject { details: None, ..object };
    assert_eq!(again.step(), Step::DecideObject(kept.clone()));
    assert_eq!(again.accepted(&kept).video().generation, 1);
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
    let deleted = ready_video().and(|video| delete(video).unwrap());
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
fn a_rejected_version_can_be_accepted_for_most_of_a_short_retention() {
    let policy = Policy { rejected_retention: Duration::from_mins(4), ..policy() };
    let rejected = History::nothing();
    let object = version("01", rejected.now);
    let rejected = after_wait(rejected, &object).rejected(&object, "no_grant");
    let granted = grant("late", rejected.now);
    let late = rejected.grant_issued_at(object.created_at, &granted);
    let after = |minutes: u64| late.now.plus(Duration::from_mins(minutes));
    assert_eq!(undecided(&late.video(), after(2), &policy), Some(object));
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
