//! Decisions about uploads: objects that arrive in RAW, and grants that end without one.

use std::cmp::Ordering;
use std::time::Duration;

use super::decision::Decision;
use super::grant::{
    GRANT_REVOKED, Match, acceptable_after, compare, grants_in_time, is_kept, is_outdated, names_used_grant,
    refusal, revoked_at,
};
use crate::event::{EventBody, UploadCompleted, UploadExpired, UploadReceived, UploadRejected};
use crate::id::GrantId;
use crate::media::VideoError;
use crate::object_key::SourceKey;
use crate::project::Project;
use crate::timestamp::Timestamp;
use crate::video::{
    KnownObject, ObjectDetails, ObjectStatus, OpenGrant, Policy, SourceObject, Video, sequencer_order,
};

/// Allowance for the difference between S3's clock and this machine's and for the duration of a bucket check.
const CLOCK_TOLERANCE: Duration = Duration::from_mins(1);

/// What an arriving object is judged by, apart from the video.
#[derive(Debug, Clone, Copy)]
pub struct Conditions<'a> {
    /// The video's project.
    pub project: &'a Project,
    /// The current time.
    pub now: Timestamp,
    /// Limits and timeouts.
    pub policy: &'a Policy,
    /// Why an upload of the object's size exceeds the project's limits, if it does.
    pub limit_exceeded: Option<&'a VideoError>,
}

/// What follows from the arrival of an object.
#[derive(Debug, Clone, PartialEq)]
pub enum Arrived {
    /// The upload is accepted: append this decision.
    Accepted(Decision),
    /// The upload waits for its grant: append this decision.
    Received(Decision),
    /// The upload is rejected: append this decision.
    Rejected(Decision, VideoError),
    /// The decision depends on the object's metadata: read it ([`SourceObject::details`] and [`SourceObject::grant_id`]) and decide
    /// again.
    NeedsDetails,
    /// The object is recorded, or no decision about it is due.
    Recorded,
}

/// Returns what follows from the arrival of `object` under `s3_key`. Notifications arrive at least once and in any order.
///
/// A decision needs the object's metadata, so the object still existed after `video` was read: an object that was replaced or removed
/// is not decided. In a bucket without versions the one that replaced it has its own notification.
pub fn object_arrived(
    video: &Video,
    s3_key: &SourceKey,
    object: &SourceObject,
    conditions: &Conditions<'_>,
) -> Arrived {
    let Conditions { project, now, policy, limit_exceeded } = *conditions;
    let known = video.known(object);
    // With a sequencer its place among the others is certain.
    let notified = known.map(|known| &known.object).filter(|known| !known.found && object.found);
    let merged = notified.map(|known| {
        let (details, grant_id) = (object.details.clone(), object.grant_id.clone());
        SourceObject { details, grant_id, ..known.clone() }
    });
    let object = merged.as_ref().unwrap_or(object);
    let is_clarified = known.is_some_and(|known| is_clarified(known, object, now, policy));
    let after = match known {
        None if is_recorded(video, object) => return Arrived::Recorded,
        None => 0,
        Some(_) if is_clarified => 0,
        Some(known) if !is_undecided(video, known, now, policy) => return Arrived::Recorded,
        Some(KnownObject { status, recorded, .. }) => match acceptable_after(status, *recorded) {
            Some(after) => after,
            None => return Arrived::Recorded,
        },
    };
    let Some(details) = &object.details else { return Arrived::NeedsDetails };
    let reject = |error: VideoError| {
        if is_clarified {
            return Arrived::Recorded;
        }
        Arrived::Rejected(rejected(video, s3_key, object, known.is_some(), error.clone()), error)
    };
    if let Some(error) = refused_by_project(project, object, policy) {
        return reject(error);
    }
    let grants = grants_in_time(video, object, after, policy);
    let mut best: Option<(&OpenGrant, Match)> = None;
    if !is_outdated(video, object) {
        for (grant_id, grant) in &grants {
            // What was known before a revocation had been uploaded before it.
            let revoked_at = revoked_at(project, &grant.key_id)
                .filter(|revoked_at| known.is_none_or(|known| *revoked_at <= known.known_at()));
            match compare(video, object, details, grant, revoked_at) {
                Match::Satisfied => {
                    return match limit_exceeded {
                        Some(error) => reject(error.clone()),
                        None => Arrived::Accepted(accepted(video, s3_key, object, grant_id)),
                    };
                }
                unsatisfied if best.is_none_or(|(_, best)| unsatisfied > best) => {
                    best = Some((grant, unsatisfied));
                }
                _ => {}
            }
        }
    }
    let may_be_granted = grants.is_empty() && !is_outdated(video, object) && !names_used_grant(video, object);
    if may_be_granted && now < waits_until(object, policy) {
        return match known {
            Some(_) => Arrived::Recorded,
            None => Arrived::Received(received(video, s3_key, object, details)),
        };
    }
    reject(refusal(video, object, best, policy))
}

/// Whether `object` states the time of a version that was rejected because its time was not known: that of a multipart upload that was
/// found. Its event notification was late, and has the time of its completion.
fn is_clarified(known: &KnownObject, object: &SourceObject, now: Timestamp, policy: &Policy) -> bool {
    let is_revoked =
        matches!(&known.status, ObjectStatus::Rejected { code } if code.as_str() == GRANT_REVOKED);
    let was_uncertain = known.object.found && known.object.is_multipart();
    is_revoked && was_uncertain && !object.found && is_kept(known.since, now, policy)
}

fn refused_by_project(project: &Project, object: &SourceObject, policy: &Policy) -> Option<VideoError> {
    let (id, limit) = (&project.project_id, policy.limits.max_bytes);
    if !project.exists {
        Some(VideoError::permanent("project_unknown", format!("there is no project {id}")))
    } else if project.suspended {
        Some(VideoError::permanent("project_suspended", format!("the project {id} is suspended")))
    } else if object.bytes > limit {
        let message = format!("the file has {} bytes; at most {limit} are accepted", object.bytes);
        Some(VideoError::permanent("too_large", message))
    } else {
        None
    }
}

/// Until when the grant of `object` may still be on its way.
///
/// A version that was rejected is accepted when its grant is recorded during the retention. Without versions a rejected object is not
/// kept, so it waits as long before it is rejected.
fn waits_until(object: &SourceObject, policy: &Policy) -> Timestamp {
    let waits = if object.version_id.is_some() || policy.grant_wait.is_zero() {
        policy.grant_wait
    } else {
        policy.grant_wait.max(policy.rejected_retention)
    };
    object.created_at.plus(waits)
}

/// The known object that must be decided at `now`, the first in S3's order: one whose grant has been recorded, or whose
/// grant is no longer awaited. Decide it with [`object_arrived`].
pub fn undecided(video: &Video, now: Timestamp, policy: &Policy) -> Option<SourceObject> {
    let undecided = video.objects.iter().filter(|known| is_undecided(video, known, now, policy));
    undecided.map(|known| &known.object).min_by(|a, b| a.order(b)).cloned()
}

fn is_undecided(video: &Video, known: &KnownObject, now: Timestamp, policy: &Policy) -> bool {
    let is_kept = known.status == ObjectStatus::Received || is_kept(known.since, now, policy);
    is_kept && undecided_from(video, known, policy).is_some_and(|from| from <= now)
}

/// From when on a decision about a known object is due; `None` if only an event can make it due.
pub(super) fn undecided_from(video: &Video, known: &KnownObject, policy: &Policy) -> Option<Timestamp> {
    let after = acceptable_after(&known.status, known.recorded)?;
    let waits = known.status == ObjectStatus::Received;
    let is_due = if waits {
        is_outdated(video, &known.object) || !grants_in_time(video, &known.object, after, policy).is_empty()
    } else {
        !is_outdated(video, &known.object) && !grants_in_time(video, &known.object, after, policy).is_empty()
    };
    if is_due {
        return Some(known.since);
    }
    waits.then(|| waits_until(&known.object, policy))
}

fn accepted(video: &Video, s3_key: &SourceKey, object: &SourceObject, grant_id: &GrantId) -> Decision {
    let completed = UploadCompleted {
        generation: video.generation + 1,
        s3_key: s3_key.clone(),
        bytes: object.bytes,
        etag: object.etag.clone(),
        sequencer: sequencer_of(video, object),
        found: object.found,
        version_id: object.version_id.clone(),
        created_at: Some(object.created_at),
        grant_id: Some(grant_id.clone()),
    };
    decision(video, "object created", object, false, completed)
}

fn rejected(
    video: &Video,
    s3_key: &SourceKey,
    object: &SourceObject,
    again: bool,
    error: VideoError,
) -> Decision {
    let rejected = UploadRejected {
        s3_key: s3_key.clone(),
        bytes: object.bytes,
        etag: object.etag.clone(),
        sequencer: sequencer_of(video, object),
        error,
        found: object.found,
        version_id: object.version_id.clone(),
        created_at: Some(object.created_at),
        grant_id: object.grant_id.clone(),
    };
    decision(video, "object rejected", object, again, rejected)
}

/// The decision to reject a known object that no longer exists in the bucket.
pub fn object_missing(video: &Video, s3_key: &SourceKey, object: &SourceObject) -> Decision {
    let error = VideoError::permanent(
        "object_missing",
        "the file was removed from the bucket, or replaced there, before its upload URL was recorded; upload it again",
    );
    rejected(video, s3_key, object, true, error)
}

fn received(video: &Video, s3_key: &SourceKey, object: &SourceObject, details: &ObjectDetails) -> Decision {
    let received = UploadReceived {
        s3_key: s3_key.clone(),
        bytes: object.bytes,
        etag: object.etag.clone(),
        sequencer: object.sequencer.clone(),
        created_at: object.created_at,
        found: object.found,
        version_id: object.version_id.clone(),
        content_type: details.content_type.clone(),
        sha256: details.sha256.clone(),
        grant_id: object.grant_id.clone(),
    };
    decision(video, "object received", object, false, received)
}

/// For a found object the sequencer of the previous upload.
fn sequencer_of(video: &Video, object: &SourceObject) -> String {
    if object.found { video.sequencer.clone().unwrap_or_default() } else { object.sequencer.clone() }
}

/// Without a version, only the version of the stream distinguishes found objects with the same bytes.
fn decision(
    video: &Video,
    what: &str,
    object: &SourceObject,
    again: bool,
    event: impl Into<EventBody>,
) -> Decision {
    let (version_id, at) = (object.version_id.as_deref().unwrap_or_default(), video.version.to_string());
    let at = if again || (object.found && object.version_id.is_none()) { at.as_str() } else { "" };
    Decision::new(video, &[what, version_id, &object.etag, &object.sequencer, at], event)
}

/// Whether the log has decided about `object`.
fn is_recorded(video: &Video, object: &SourceObject) -> bool {
    if let Some(version_id) = &object.version_id {
        let current = video.upload.as_ref().and_then(|upload| upload.version_id.as_ref());
        return current == Some(version_id) || is_recorded_without_version(video, object);
    }
    if object.found {
        return is_latest(video, &object.etag, object.created_at);
    }
    let known = |last: &str| sequencer_order(&object.sequencer, last) != Ordering::Greater;
    let found = video.latest.as_ref().is_some_and(|latest| latest.found);
    (found && is_latest(video, &object.etag, object.created_at))
        || video.sequencer.as_deref().is_some_and(known)
}

/// Whether an earlier release, which did not know versions, recorded `object`.
fn is_recorded_without_version(video: &Video, object: &SourceObject) -> bool {
    video.latest.as_ref().is_some_and(|latest| latest.etag == object.etag)
        && if object.found {
            is_latest(video, &object.etag, object.created_at)
        } else {
            video.sequencer.as_deref().is_some_and(|last| sequencer_order(&object.sequencer, last).is_eq())
        }
}

/// Whether the object with this entity tag is the latest recorded one. The same bytes have the same entity tag; if
/// they were created after the log recorded them, or after the video was deleted, they are another upload. A multipart
/// upload may have the time of its initiation: if that is earlier than its record but its completion is later, it is
/// taken for the latest one.
fn is_latest(video: &Video, etag: &str, created_at: Timestamp) -> bool {
    video.latest.as_ref().filter(|latest| latest.etag == etag).is_some_and(|latest| {
        let deleted_at = video.deleted_at.filter(|at| *at >= latest.at);
        created_at <= deleted_at.unwrap_or_else(|| latest.at.plus(CLOCK_TOLERANCE))
    })
}

/// Returns the decision to record the grants that have expired at `now`, and those after whose expiry no upload is
/// accepted any more, for a bucket without an object that the log does not know. `None` if there are none.
///
/// Grants that were used or voided are recorded as checked in the same way, all at once.
pub fn grants_expired(video: &Video, now: Timestamp, policy: &Policy) -> Option<Decision> {
    let ids = |is_over: &dyn Fn(&OpenGrant) -> bool| -> Vec<GrantId> {
        video.open_grants.iter().filter(|(_, grant)| is_over(grant)).map(|(id, _)| id.clone()).collect()
    };
    let expired = ids(&|grant| !grant.expired && grant.expires_at <= now);
    let closed = ids(&|grant| closes_at(grant.expires_at, policy) <= now);
    let checked_until = video.unchecked_until.filter(|until| closes_at(*until, policy) <= now);
    let events = [
        UploadExpired { grant_ids: expired, closed: false, checked_until: None },
        UploadExpired { grant_ids: closed, closed: true, checked_until },
    ];
    let is_due = |event: &UploadExpired| !event.grant_ids.is_empty() || event.checked_until.is_some();
    let events = events.into_iter().filter(is_due).map(EventBody::from).collect();
    Decision::of_all(video, &["grants expired", &video.version.to_string()], events)
}

/// When the bucket is checked for the last time for uploads with a URL that expires at `expires_at`: an upload that began in time has ended
/// by then, even if the clock was set forward meanwhile.
fn closes_at(expires_at: Timestamp, policy: &Policy) -> Timestamp {
    expires_at.plus(policy.grant_grace).plus(policy.clock_step)
}

/// When the next open grant expires or, if its expiry is recorded, closes; or when the URLs of used and voided grants can no longer be
/// used. Event notifications of uploads may be lost while other grants are open, and there may always be new grants.
pub(super) fn next_grant_end(video: &Video, policy: &Policy) -> Option<Timestamp> {
    let end = |grant: &OpenGrant| {
        if grant.expired { closes_at(grant.expires_at, policy) } else { grant.expires_at }
    };
    let unchecked = video.unchecked_until.map(|until| closes_at(until, policy));
    video.open_grants.values().map(end).chain(unchecked).min()
}
