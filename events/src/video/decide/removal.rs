//! Decisions about the removal of versions that are not, or no longer, a video's source.

use super::decision::Decision;
use crate::event::{RemovalReason, UploadRemoved};
use crate::timestamp::Timestamp;
use crate::video::{KnownObject, Policy, SourceObject, Video};

/// A version to remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// The version. [`NULL_VERSION`](crate::video::NULL_VERSION): the object without a version, if it has the entity tag.
    pub version_id: String,
    /// Its entity tag, without quotes.
    pub etag: String,
    /// Why it is not kept.
    pub reason: RemovalReason,
    /// Its size in bytes.
    pub bytes: u64,
}

/// The versions to remove at `now`. A version is removed before its removal is recorded.
pub fn due_removals(video: &Video, now: Timestamp, policy: &Policy) -> Vec<Removal> {
    let due = video.objects.iter().filter(|known| removal_at(known, policy).is_some_and(|at| at <= now));
    let removals = due.filter_map(|known| {
        let SourceObject { version_id, etag, bytes, .. } = known.object.clone();
        Some(Removal { version_id: version_id?, etag, reason: known.status.removal()?, bytes })
    });
    removals.collect()
}

/// When a known object is to be removed; `None` while it waits for its grant.
pub(super) fn removal_at(known: &KnownObject, policy: &Policy) -> Option<Timestamp> {
    known.object.version_id.as_ref()?;
    Some(match known.status.removal()? {
        RemovalReason::Deleted => known.since,
        RemovalReason::Rejected | RemovalReason::Superseded => known.since.plus(policy.rejected_retention),
    })
}

/// Records that `removals` were removed; those that are no longer known are left out. `None` if none is left.
pub fn versions_removed(video: &Video, removals: &[Removal]) -> Option<Decision> {
    let s3_key = video.s3_key.as_ref()?;
    let known = |removal: &&Removal| {
        let version_id = Some(&removal.version_id);
        video.objects.iter().any(|known| known.object.version_id.as_ref() == version_id)
    };
    let removals: Vec<&Removal> = removals.iter().filter(known).collect();
    let first = removals.first()?.version_id.as_str();
    let events = removals.iter().map(|Removal { version_id, reason, bytes, .. }| {
        let (s3_key, version_id) = (s3_key.clone(), version_id.clone());
        UploadRemoved { s3_key, version_id, reason: *reason, bytes: *bytes }.into()
    });
    Decision::of_all(video, &["removed", first, &removals.len().to_string()], events.collect())
}
