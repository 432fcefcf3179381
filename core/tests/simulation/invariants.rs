//! What must hold in every run: checked at each effect on a store, and when all is quiet.
//!
//! The checks have a state of their own, which is derived from events, objects and the tenants' calls without the product's
//! decisions. Only the comparison of views uses the product's fold.

mod dead_letters;
mod delays;
mod end;
mod events;
mod limits;
mod objects;
mod oracle;
mod removals;
mod unversioned;

pub(crate) use self::end::{check_quiet, kinds};
pub(crate) use self::objects::{object_removed, result_written};
pub(crate) use self::oracle::Oracle;

use std::sync::Arc;

use streamio_core::ports::view_store::VideoRow;
use streamio_events::commit::NewCommit;
use streamio_events::job::Job;
use streamio_events::log::{AppendError, Appended, Expected};
use streamio_events::stream::StreamId;
use streamio_events::video::Video;

use crate::world::{State, World};

/// Appends to the log, and checks what was appended.
pub(crate) fn append(
    world: &Arc<World>,
    stream: &StreamId,
    expected: Expected,
    commit: NewCommit,
) -> Result<Appended, AppendError> {
    let mut state = world.state();
    let appended = state.ledger.append(stream, expected, commit, world.engine.now())?;
    if !appended.repeated {
        let now = world.engine.now();
        let commit = &appended.commit;
        state.trace(now, || {
            let kinds: Vec<&str> = commit.events.iter().map(|event| event.kind.as_str()).collect();
            format!("log: {} {}: {}", commit.stream, commit.first, kinds.join(", "))
        });
        events::check(world, &mut state, commit);
        world.changes.notify();
    }
    Ok(appended)
}

/// Checks a row before it is written.
pub(crate) fn row_written(state: &mut State, row: &VideoRow) {
    let stream = row.video.stream();
    let (project_id, video_id) = (row.video.project_id.clone(), row.video.video_id.clone());
    let known = state.oracle.videos.get(&stream).map(|facts| &facts.fold);
    let is_equal = if let Some(known) = known.filter(|known| known.version == row.video.version) {
        *known == row.video
    } else {
        let commits = state.ledger.commits(&stream).iter();
        let before = commits.take_while(|commit| commit.last() <= row.video.version);
        Video::fold(project_id, video_id, before).is_ok_and(|folded| folded == row.video)
    };
    if !is_equal {
        state.oracle.violated(format!("a row of {stream} at version {} is not its fold", row.video.version));
    }
    if state.oracle.videos.get(&stream).is_some_and(|facts| removals::is_never_due(facts, row)) {
        state.oracle.violated(format!("{stream}: outputs are left, and nothing of the video is due"));
    }
}

/// Checks a launch.
pub(crate) fn job_launched(state: &mut State, job: &Job) {
    let dispatched = state
        .oracle
        .videos
        .get(&job.stream())
        .and_then(|facts| facts.dispatched.get(&(job.generation, job.attempt)).cloned());
    match dispatched {
        Some(dispatched) => state.oracle.same_parameters(&dispatched, job),
        None => state.oracle.violated(format!("a job was launched that the log does not contain: {job:?}")),
    }
}
