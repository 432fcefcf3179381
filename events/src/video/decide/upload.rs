//! Decisions about uploads: objects that arrive in RAW, and grants that end without one.

use std::cmp::Ordering;
use std::time::Duration;

use super::decision::Decision;
use crate::event::{EventBody, UploadCompleted, UploadExpired, UploadRejected};
use crate::media::VideoError;
use crate::object_key::SourceKey;
use crate::timestamp::Timestamp;
use crate::video::{Policy, Video, sequencer_order};

/// An object that was created in RAW, from an S3 event notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectCreated {
    /// The object's key.
    pub s3_key: SourceKey,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its entity tag, without quotes.
    pub etag: String,
    /// S3's order among events of one key; compare with [`sequencer_order`].
    pub sequencer: String,
    /// When it was created, by S3's clock.
    pub created_at: Timestamp,
}

/// An object in RAW, from a check of the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectFound {
    /// The object's key.
    pub s3_key: SourceKey,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its entity tag, without quotes.
    pub etag: String,
    /// When it was created, by S3's clock: to the second, and for a multipart upload the time of its initiation.
    pub created_at: Timestamp,
}

/// Allowance for the difference between S3's clock and this machine's and for the duration of a bucket check.
const CLOCK_TOLERANCE: Duration = Duration::from_mins(1);

/// Returns the decision to record `object` as uploaded. `None` if this or a later event of the key is recorded, or if
/// the object was found by a check of the bucket: notifications arrive at least once and in any order. If
/// [`needs_bucket_check`] returns `true`, call this only for an object that still exists in the bucket.
pub fn object_created(video: &Video, object: ObjectCreated) -> Option<Decision> {
    if is_recorded(video, &object) {
        return None;
    }
    let cause = ["object created", &object.etag.clone(), &object.sequencer.clone()];
    let completed = UploadCompleted {
        generation: video.generation + 1,
        s3_key: object.s3_key,
        bytes: object.bytes,
        etag: object.etag,
        sequencer: object.sequencer,
        found: false,
    };
    Some(Decision::new(video, &cause, completed))
}

/// Returns the decision to record `object` as rejected for `error`; otherwise like [`object_created`].
pub fn object_rejected(video: &Video, object: ObjectCreated, error: VideoError) -> Option<Decision> {
    if is_recorded(video, &object) {
        return None;
    }
    let cause = ["object rejected", &object.etag.clone(), &object.sequencer.clone()];
    let rejected = UploadRejected {
        s3_key: object.s3_key,
        bytes: object.bytes,
        etag: object.etag,
        sequencer: object.sequencer,
        error,
        found: false,
    };
    Some(Decision::new(video, &cause, rejected))
}

/// Whether only the bucket shows if `object` is newer than the latest upload. That upload was found without S3's
/// event, so its position among the key's events is unknown: the notification may be about the object that it
/// replaced, or about one that replaced it. An object that no longer exists has been replaced, and its successor has
/// its own notification. Check the bucket after reading the video, and append at the version that was read.
pub fn needs_bucket_check(video: &Video, object: &ObjectCreated) -> bool {
    !is_recorded(video, object) && video.latest.as_ref().is_some_and(|latest| latest.found)
}

fn is_recorded(video: &Video, object: &ObjectCreated) -> bool {
    let known = |last: &str| sequencer_order(&object.sequencer, last) != Ordering::Greater;
    let found = video.latest.as_ref().is_some_and(|latest| latest.found);
    (found && is_latest(video, &object.etag, object.created_at))
        || video.sequencer.as_deref().is_some_and(known)
}

/// Whether the object with this entity tag is the latest recorded one. The same bytes have the same entity tag; if
/// they were created after the log recorded them, or after they were deleted, they are another upload. A multipart
/// upload may have the time of its initiation: if that is earlier than its record but its completion is later, it is
/// taken for the latest one.
fn is_latest(video: &Video, etag: &str, created_at: Timestamp) -> bool {
    video.latest.as_ref().filter(|latest| latest.etag == etag).is_some_and(|latest| {
        let deleted_at = video.deleted.as_ref().map(|deletion| deletion.at).filter(|at| *at >= latest.at);
        created_at <= deleted_at.unwrap_or_else(|| latest.at.plus(CLOCK_TOLERANCE))
    })
}

/// Returns the decision to record `object`, found by a check of the bucket, as uploaded or, if `refused` has a reason,
/// as rejected. `None` if it is the latest recorded object. A caller that reads the video, then checks the bucket, and
/// appends at the version that it read cannot miss an event: the object is at least as new as everything recorded.
pub fn object_found(video: &Video, object: ObjectFound, refused: Option<VideoError>) -> Option<Decision> {
    let ObjectFound { s3_key, bytes, etag, created_at } = object;
    if is_latest(video, &etag, created_at) {
        return None;
    }
    let cause = ["object found", &etag.clone(), &video.version.to_string()];
    let sequencer = video.sequencer.clone().unwrap_or_default();
    let event: EventBody = match refused {
        None => {
            let generation = video.generation + 1;
            UploadCompleted { generation, s3_key, bytes, etag, sequencer, found: true }.into()
        }
        Some(error) => UploadRejected { s3_key, bytes, etag, sequencer, error, found: true }.into(),
    };
    Some(Decision::new(video, &cause, event))
}

/// Returns the decision to expire all grants that have ended at `now`, for a bucket without a new object; `None` if
/// none has ended.
pub fn grants_expired(video: &Video, now: Timestamp, policy: &Policy) -> Option<Decision> {
    let over = video.open_grants.iter().filter(|(_, expiry)| grant_ends_at(**expiry, policy) <= now);
    let grant_ids: Vec<_> = over.map(|(grant_id, _)| grant_id.clone()).collect();
    let last = grant_ids.last()?.to_string();
    Some(Decision::new(video, &["grants expired", &last], UploadExpired { grant_ids }))
}

/// When the first open grant ends. Its upload may be lost while other grants are open, and new grants may be issued
/// forever.
pub(super) fn first_grant_ends_at(video: &Video, policy: &Policy) -> Option<Timestamp> {
    video.open_grants.values().min().map(|expiry| grant_ends_at(*expiry, policy))
}

fn grant_ends_at(expiry: Timestamp, policy: &Policy) -> Timestamp {
    expiry.plus(policy.grant_grace)
}
