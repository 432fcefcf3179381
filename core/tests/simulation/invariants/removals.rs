//! Checks that what is recorded as removed is gone. By the times of objects, so that clocks must be right.

use streamio_core::ports::view_store::VideoRow;
use streamio_events::commit::Commit;
use streamio_events::event::UploadRemoved;
use streamio_events::object_key::SourceKey;
use streamio_events::video::NULL_VERSION;

use super::objects::{has_pictures, stable_keys};
use super::oracle::{VersionState, VideoFacts};
use super::unversioned;
use crate::world::{State, StoredObject, World};

/// A version, or a source without one, is gone.
pub(super) fn upload_removed(
    world: &World,
    state: &State,
    facts: &mut VideoFacts,
    removed: &UploadRemoved,
) -> Result<(), String> {
    if removed.version_id == NULL_VERSION {
        return unversioned::deleted_is_left(world, state, facts).map_or(Ok(()), Err);
    }
    facts.versions.insert(removed.version_id.clone(), VersionState::Removed);
    let key = facts.fold.s3_key.as_ref().map_or("", SourceKey::as_str);
    match state.raw.get(key, Some(&removed.version_id)) {
        Some(_) => Err("a version is recorded as removed that still exists".to_owned()),
        None => Ok(()),
    }
}

/// Of what nothing that is published has, nothing is left that was written before the preceding commit: the removal was decided from that
/// commit, and a worker that is late may write later.
pub(super) fn outputs_removed(
    world: &World,
    state: &State,
    facts: &mut VideoFacts,
    commit: &Commit,
) -> Result<(), String> {
    facts.has_unremoved_outputs = false;
    let Some(s3_key) = facts.fold.s3_key.as_ref().filter(|_| !world.plan.has_clock_faults()) else {
        return Ok(());
    };
    let commits = state.ledger.commits(&commit.stream);
    let preceding = commits.iter().rev().find(|it| it.first < commit.first);
    let Some(preceding) = preceding else { return Err("nothing was uploaded".to_owned()) };
    let is_before = |stored: &StoredObject| stored.info.last_modified < preceding.recorded_at;
    let poster = s3_key.processed().poster();
    let has_it = |key: &str, of: (u32, u32)| key != poster.as_str() || has_pictures(state, facts, of);
    for key in stable_keys(s3_key) {
        let stored = state.processed.get(&key, None).filter(|stored| is_before(stored));
        if stored.is_some() && !facts.published.is_some_and(|of| has_it(&key, of)) {
            return Err(format!("{key} is recorded as removed, and holds {stored:?}"));
        }
    }
    let is_deleted = |key: &str| {
        s3_key
            .processed()
            .attempt_of(key)
            .is_some_and(|(generation, _)| generation <= facts.deleted_generation)
    };
    let prefix = s3_key.processed().hls_prefix();
    let mut below = state.processed.below(&prefix);
    let left = below.find(|(key, stored)| is_deleted(key) && is_before(stored));
    left.map_or(Ok(()), |(key, _)| Err(format!("{key} is recorded as removed, and still exists")))
}

/// The sweep selects a video by its row until it is recorded that its deleted or replaced outputs were removed.
pub(super) fn is_never_due(facts: &VideoFacts, row: &VideoRow) -> bool {
    facts.has_unremoved_outputs && row.video.version == facts.fold.version && row.due_at.is_none()
}
