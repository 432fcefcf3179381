//! Decisions about the removal of objects: versions that are not, or no longer, a video's source, and what deleted and replaced content left.

use super::decision::Decision;
use crate::event::{EventBody, OutputsRemoved, RemovalReason, UploadRemoved};
use crate::timestamp::Timestamp;
use crate::video::{KnownObject, NULL_VERSION, Policy, SourceObject, Video};

/// A version to remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// The version. [`NULL_VERSION`](crate::video::NULL_VERSION): the object without a version, if it has the entity tag.
    pub version_id: String,
    /// Its entity tag, without quotes.
    pub etag: String,
    /// Why it is not kept.
    pub reason: RemovalReason,
}

/// The versions to remove at `now`. A version is removed before its removal is recorded.
pub fn due_removals(video: &Video, now: Timestamp, policy: &Policy) -> Vec<Removal> {
    let due = video.objects.iter().filter(|known| removal_at(known, policy).is_some_and(|at| at <= now));
    let removals = due.filter_map(|known| {
        let SourceObject { version_id, etag, .. } = &known.object;
        Some(Removal { version_id: version_id.clone()?, etag: etag.clone(), reason: known.status.removal()? })
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
    // The reason may have changed since the removal began: the video may have been deleted.
    let removed = removals.iter().filter_map(|Removal { version_id, .. }| {
        let known =
            video.objects.iter().find(|known| known.object.version_id.as_ref() == Some(version_id))?;
        let (s3_key, version_id) = (s3_key.clone(), version_id.clone());
        Some(UploadRemoved { s3_key, version_id, reason: known.status.removal()?, bytes: known.object.bytes })
    });
    let removed: Vec<UploadRemoved> = removed.collect();
    let first = removed.first()?.version_id.clone();
    let count = removed.len().to_string();
    Decision::of_all(video, &["removed", &first, &count], removed.into_iter().map(Into::into).collect())
}

/// From when on the objects that nothing needs must be removed, see [`Step::RemoveUnused`](super::Step); `None` if their removal is
/// recorded, or if an attempt is about to be published.
pub(super) fn unused_removal_at(video: &Video) -> Option<Timestamp> {
    let outputs = video.outputs_to_remove().map(|unremoved| unremoved.since);
    let source = video.source_to_remove().map(|deletion| deletion.at);
    outputs.into_iter().chain(source).min()
}

/// Records that the objects that nothing needs were removed. To be appended at the version of `video` from which it was determined which
/// these are, and only after none of them was left. `None` if their removal is recorded, or if an attempt is about to be published.
pub fn unused_removed(video: &Video) -> Option<Decision> {
    let outputs =
        video.outputs_to_remove().map(|unremoved| OutputsRemoved { generation: unremoved.generation });
    let source = video.source_to_remove().and(video.s3_key.clone()).map(|s3_key| UploadRemoved {
        s3_key,
        version_id: NULL_VERSION.to_owned(),
        reason: RemovalReason::Deleted,
        bytes: 0,
    });
    let events = outputs.map(EventBody::from).into_iter().chain(source.map(EventBody::from)).collect();
    Decision::of_all(video, &["unused removed", &video.version.to_string()], events)
}
