//! Checks what holds in a bucket of sources without versions, where each object replaces the one before it.

use streamio_events::stream::StreamId;
use streamio_events::video::ObjectStatus;

use super::delays::millis;
use super::limits::LONGEST_DECISION;
use super::oracle::{TenantObject, VideoFacts};
use crate::engine::HOUR;
use crate::faults::Fault;
use crate::world::{State, World};

/// An object is accepted only if it exists: not long after another one has replaced it.
pub(super) fn check_acceptance(
    world: &World,
    state: &State,
    stream: &StreamId,
    etag: &str,
) -> Result<(), String> {
    let last = state.oracle.last_object(stream).filter(|last| last.version_id.is_none());
    let Some(replaced_by) = last.filter(|last| last.etag != etag) else { return Ok(()) };
    if world.engine.now() < replaced_by.stored_at + LONGEST_DECISION || world.plan.has(Fault::SlowCall) {
        return Ok(());
    }
    Err(format!("the object {etag} is accepted, which {} has replaced", replaced_by.etag))
}

/// The object that no other one has replaced is recorded, and is decided when its grant is no longer awaited.
pub(super) fn is_not_recorded(world: &World, state: &State, object: &TenantObject) -> Option<String> {
    let TenantObject { stream, etag, stored_at, .. } = object;
    let last = state.oracle.last_object(stream)?;
    if (&last.etag, &last.stored_at) != (etag, stored_at) {
        return None;
    }
    let Some(facts) = state.oracle.videos.get(stream).filter(|facts| facts.unversioned.contains(etag)) else {
        return Some(format!("{stream}: the upload {etag} is not recorded"));
    };
    // It waits for its grant as long as versions are kept.
    let waits = millis(world.policy.rejected_retention.max(world.policy.grant_wait));
    let mut known = facts.fold.objects.iter();
    let is_waiting = known.any(|it| it.object.etag == *etag && it.status == ObjectStatus::Received);
    (is_waiting && stored_at + waits + HOUR < world.engine.now())
        .then(|| format!("{stream}: {etag} still waits"))
}

/// The file of a deleted video is removed, unless it was uploaded again. By the times of the two, so that clocks must be right.
pub(super) fn deleted_is_left(world: &World, state: &State, facts: &VideoFacts) -> Option<String> {
    let last = state.oracle.last_object(&facts.fold.stream()).filter(|last| last.version_id.is_none())?;
    let is_deleted = facts.deleted.get(&last.etag).is_some_and(|at| last.stored_at < *at);
    let key = facts.fold.s3_key.as_ref()?.as_str();
    let is_left = is_deleted && state.raw.get(key, None).is_some() && !world.plan.has_clock_faults();
    is_left.then(|| format!("the deleted file {} still exists", last.etag))
}
