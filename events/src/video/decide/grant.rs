//! Which grant an object uses, and why it uses none.

use std::cmp::Reverse;
use std::time::Duration;

use crate::id::{GrantId, KeyId};
use crate::media::VideoError;
use crate::timestamp::Timestamp;
use crate::video::{
    ClosedGrant, GrantEnd, ObjectDetails, ObjectStatus, OpenGrant, Policy, SourceObject, Video,
    sequencer_order,
};

/// The last part of an object's retention, in which it may already be being removed. Of a short retention, a quarter.
const REMOVAL_MARGIN: Duration = Duration::from_hours(1);

/// The code of a rejection because the API key of the grant was revoked.
pub(super) const GRANT_REVOKED: &str = "grant_revoked";

/// How an object compares with a grant within whose time it was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Match {
    /// The size differs.
    OtherSize,
    /// The media type differs.
    OtherContentType,
    /// The checksum differs or is missing.
    OtherChecksum,
    /// The grant does not allow to replace the video.
    Occupied,
    /// The grant's API key was revoked before.
    Revoked,
    /// The object satisfies the grant.
    Satisfied,
}

/// The open grants that `object` may use. Only grants that were recorded after `after` are returned.
///
/// An object that names its grant may use that one, or another one for the same multipart upload, as long as it is open. Any other object may use those within
/// whose time it was created, the one to use first: one for this kind of upload, then the one that demands most, so that no upload takes
/// a grant that another one needs, then the earliest.
pub(super) fn grants_in_time<'a>(
    video: &'a Video,
    object: &SourceObject,
    after: u64,
    policy: &Policy,
) -> Vec<(&'a GrantId, &'a OpenGrant)> {
    let is_multipart = object.is_multipart();
    // A found multipart upload has the time of its initiation, which may be long before a grant to continue it. An object that
    // was decided before, or that is older than a deletion, is no such upload.
    let may_be_continued = object.found
        && is_multipart
        && after == 0
        && video.deleted_at.is_none_or(|deleted_at| object.created_at > deleted_at);
    // A grant that is recorded soon after a rejection may be for a new try.
    let tolerance = if after == 0 { policy.clock_tolerance } else { Duration::ZERO };
    let is_usable = |grant_id: &GrantId, grant: &OpenGrant| match &object.grant_id {
        // It was issued before the object that names it, whatever the clocks say.
        Some(named) => {
            is_named(video, named, grant_id, grant.upload_id.as_deref()) && !is_void(video, object, policy)
        }
        None => may_be_continued && grant.multipart || is_issued_before(grant.granted_at, object, tolerance),
    };
    let in_time = |grant_id: &GrantId, grant: &OpenGrant| {
        // The object store refuses a URL that has expired. An object that names its grant began in time, also if the clock was set
        // forward while it was uploaded.
        let began_in_time =
            object.grant_id.is_some() || object.created_at <= grant.expires_at.plus(policy.grant_grace);
        grant.recorded > after && is_usable(grant_id, grant) && began_in_time
    };
    let grants = video.open_grants.iter();
    let mut grants: Vec<_> = grants.filter(|(grant_id, grant)| in_time(grant_id, grant)).collect();
    // Other stores may have other tags for multipart uploads, so this is only an order.
    grants.sort_by_key(|(grant_id, grant)| {
        (grant.multipart != is_multipart, Reverse(demands(grant)), grant.granted_at, *grant_id)
    });
    grants
}

/// Whether `named` is this grant, or another one for the same multipart upload.
fn is_named(video: &Video, named: &GrantId, grant_id: &GrantId, upload_id: Option<&str>) -> bool {
    named == grant_id || upload_id.is_some() && upload_id == upload_of(video, named)
}

/// The multipart upload that a grant is for.
fn upload_of<'a>(video: &'a Video, grant_id: &GrantId) -> Option<&'a str> {
    let open = video.open_grants.get(grant_id).map(|grant| &grant.upload_id);
    let closed = || video.closed_grants.iter().find(|closed| closed.grant_id == *grant_id);
    open.or_else(|| closed().map(|closed| &closed.upload_id)).and_then(Option::as_deref)
}

/// Whether the video was deleted after `object`, of which the log did not know, was created. Its grant was void then, even if a repeated
/// request opened it again.
fn is_void(video: &Video, object: &SourceObject, policy: &Policy) -> bool {
    video.deleted_at.is_some_and(|deleted_at| !is_issued_before(deleted_at, object, policy.clock_tolerance))
}

/// Whether `object` names a grant that another object used. Such a grant is never opened again.
pub(super) fn names_used_grant(video: &Video, object: &SourceObject) -> bool {
    ends_of_named_grants(video, object).any(|end| end == GrantEnd::Used)
}

/// How the closed grants ended that `object` may have been uploaded with by its own statement, in the order of their ends.
fn ends_of_named_grants<'a>(
    video: &'a Video,
    object: &'a SourceObject,
) -> impl DoubleEndedIterator<Item = GrantEnd> + 'a {
    let named = object.grant_id.as_ref();
    let is_named = move |closed: &&ClosedGrant| {
        named.is_some_and(|named| is_named(video, named, &closed.grant_id, closed.upload_id.as_deref()))
    };
    video.closed_grants.iter().filter(is_named).map(|closed| closed.end)
}

/// How many properties of the upload a grant states.
fn demands(grant: &OpenGrant) -> usize {
    [grant.size.is_some(), grant.content_type.is_some(), grant.sha256.is_some()]
        .into_iter()
        .filter(|is_stated| *is_stated)
        .count()
}

fn is_issued_before(granted_at: Timestamp, object: &SourceObject, tolerance: Duration) -> bool {
    granted_at <= object.created_at.plus(tolerance).plus(object.time_precision())
}

/// Compares `object` with a grant of [`grants_in_time`]. `revoked_at` is when the grant's API key was revoked.
pub(super) fn compare(
    video: &Video,
    object: &SourceObject,
    details: &ObjectDetails,
    grant: &OpenGrant,
    revoked_at: Option<Timestamp>,
) -> Match {
    let differs = |stated: Option<&String>, found: Option<&String>| {
        stated
            .is_some_and(|stated| found.is_none_or(|found| !found.trim().eq_ignore_ascii_case(stated.trim())))
    };
    // Base64 distinguishes upper and lower case.
    let is_other_sum = grant.sha256.is_some() && grant.sha256 != details.sha256;
    if grant.size.is_some_and(|size| size != object.bytes) {
        Match::OtherSize
    } else if differs(grant.content_type.as_ref(), details.content_type.as_ref()) {
        Match::OtherContentType
    } else if is_other_sum {
        Match::OtherChecksum
    } else if video.is_occupied() && !grant.overwrite {
        Match::Occupied
    } else if revoked_at.is_some_and(|at| object.may_be_created_after(at)) {
        Match::Revoked
    } else {
        Match::Satisfied
    }
}

/// Whether a later upload than `object` was accepted.
pub(super) fn is_outdated(video: &Video, object: &SourceObject) -> bool {
    // Sequencers are S3's order. Where one of two objects has none, only their times can be compared.
    let latest = if object.found { video.accepted.latest } else { video.accepted.latest_found };
    let by_time = latest.is_some_and(|latest| object.precedes(latest));
    let sequencer = video.sequencer.as_deref().filter(|sequencer| !sequencer.is_empty() && !object.found);
    let by_sequencer = sequencer.is_some_and(|latest| sequencer_order(&object.sequencer, latest).is_lt());
    object.version_id.is_some() && (by_time || by_sequencer)
}

/// Why `object` is rejected, of which `best` is the best of its comparisons with open grants.
pub(super) fn refusal(
    video: &Video,
    object: &SourceObject,
    best: Option<(&OpenGrant, Match)>,
    policy: &Policy,
) -> VideoError {
    if is_outdated(video, object) {
        return VideoError::permanent(
            "already_uploaded",
            "a later upload of this file was accepted; nothing is to be done, or upload it again with a new upload URL",
        );
    }
    match best {
        Some((grant, Match::OtherSize)) => VideoError::permanent(
            "size_mismatch",
            format!(
                "the file has {} bytes, and the upload URL was issued for {}; upload the whole file, or request an upload \
                 URL with its size",
                object.bytes,
                grant.size.unwrap_or_default(),
            ),
        ),
        Some((grant, Match::OtherContentType)) => VideoError::permanent(
            "content_type_mismatch",
            format!(
                "the file was uploaded with another content type than the upload URL was issued for; send the header \
                 content-type: {}",
                grant.content_type.as_deref().unwrap_or_default(),
            ),
        ),
        Some((_, Match::OtherChecksum)) => VideoError::permanent(
            "checksum_mismatch",
            "the file has not the SHA-256 that the upload URL was issued for; upload the right file with all headers that \
             were returned with the URL",
        ),
        Some((_, Match::Occupied)) => VideoError::permanent(
            "already_uploaded",
            "there is a video under this key; request an upload URL with \"overwrite\": true to replace it, or with \
             \"unique\": true to keep both",
        ),
        Some((_, Match::Revoked)) => VideoError::permanent(
            GRANT_REVOKED,
            "the API key that issued the upload URL was revoked, and the file is not known to have arrived before; request \
             an upload URL with another API key, and upload the file again",
        ),
        _ => refusal_without_grant(video, object, policy),
    }
}

fn refusal_without_grant(video: &Video, object: &SourceObject, policy: &Policy) -> VideoError {
    let closed = if object.grant_id.is_some() {
        let is_used = names_used_grant(video, object);
        is_used.then_some(GrantEnd::Used).or_else(|| ends_of_named_grants(video, object).next_back())
    } else {
        let closed = video.closed_grants.iter().rev();
        let closed =
            closed.filter(|grant| is_issued_before(grant.granted_at, object, policy.clock_tolerance));
        closed.max_by_key(|grant| grant.granted_at).map(|closed| closed.end)
    };
    let is_expired = |(grant_id, grant): (&GrantId, &OpenGrant)| {
        object.grant_id.as_ref().is_none_or(|named| named == grant_id) && object.created_at > grant.expires_at
    };
    let end = match closed {
        Some(end) => Some(end),
        None if video.open_grants.iter().any(is_expired) => Some(GrantEnd::Expired),
        None => video.deleted_at.map(|_| GrantEnd::Deleted),
    };
    match end {
        Some(GrantEnd::Used) => VideoError::permanent(
            "grant_used",
            "the upload URL was used before: it takes one upload; request a new upload URL for another",
        ),
        Some(GrantEnd::Expired) => VideoError::permanent(
            "grant_expired",
            "the file arrived after its upload URL had expired; request a new upload URL and upload it again",
        ),
        Some(GrantEnd::Deleted) => VideoError::permanent(
            "video_deleted",
            "the video was deleted after the upload URL was issued; request a new upload URL to upload it again",
        ),
        None => VideoError::permanent(
            "no_grant",
            "no upload URL was issued for this file; request one and upload the file with it",
        ),
    }
}

/// The version of the stream after which a grant makes an object with this status acceptable; `None` if nothing does. A
/// grant that was issued in time may be recorded after the object was rejected: the platform was late, not the upload.
pub(super) fn acceptable_after(status: &ObjectStatus, recorded: u64) -> Option<u64> {
    match status {
        ObjectStatus::Received => Some(0),
        ObjectStatus::Rejected { code } => matches!(
            code.as_str(),
            "no_grant"
                | "grant_used"
                | "grant_expired"
                | GRANT_REVOKED
                | "already_uploaded"
                | "size_mismatch"
                | "content_type_mismatch"
                | "checksum_mismatch"
        )
        .then_some(recorded),
        ObjectStatus::Superseded | ObjectStatus::Deleted => None,
    }
}

/// Whether an object that was rejected at `since` certainly still exists.
pub(super) fn is_kept(since: Timestamp, now: Timestamp, policy: &Policy) -> bool {
    let margin = REMOVAL_MARGIN.min(policy.rejected_retention / 4);
    now.plus(margin) < since.plus(policy.rejected_retention)
}

/// When `key_id` was revoked.
pub(super) fn revoked_at(project: &crate::project::Project, key_id: &KeyId) -> Option<Timestamp> {
    project.keys.get(key_id).and_then(|key| key.revoked_at)
}
