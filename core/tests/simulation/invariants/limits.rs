//! Checks the limits of projects: what exceeds none is not refused, nothing is accepted where nothing may be uploaded, and no more
//! attempts run at the same time than may.

use streamio_events::commit::Commit;
use streamio_events::day::Day;
use streamio_events::event::{EventBody, UploadRejected};
use streamio_events::id::ProjectId;
use streamio_events::limits::Limit;
use streamio_events::stream::StreamId;
use streamio_events::usage::UsageCounters;

use super::oracle::AttemptState;
use crate::engine::{MINUTE, Millis};
use crate::faults::Fault;
use crate::world::{State, World};

/// How long after its decision a decision may be appended: a function may be slow.
pub(super) const LONGEST_DECISION: Millis = 30 * MINUTE;

/// An upload is refused for a limit only if the project has or had one that the upload exceeds.
pub(super) fn check_rejection(
    state: &State,
    commit: &Commit,
    rejected: &UploadRejected,
) -> Result<(), String> {
    if rejected.error.code != "limit_exceeded" {
        return Ok(());
    }
    let project_id = commit.stream.project_id();
    let smallest = limits_of(state, project_id).map(|(_, limit)| limit).min().unwrap_or(Limit::Unlimited);
    // The day of the decision; it is appended soon after.
    let day = Day::of(commit.recorded_at);
    let days = [day, day.minus(1)];
    let of_project = state.ledger.streams().filter(|(stream, _)| stream.project_id() == project_id);
    let commits = of_project.flat_map(|(_, commits)| commits);
    let today = commits.filter(|commit| days.contains(&Day::of(commit.recorded_at)));
    let uploaded: UsageCounters = today.map(UsageCounters::of).sum();
    if smallest.is_exceeded_by(uploaded.bytes_uploaded + rejected.bytes) {
        return Ok(());
    }
    Err(format!("an upload is refused that is within the limit of {smallest} bytes"))
}

/// Nothing is accepted in a project that may upload nothing.
pub(super) fn check_acceptance(world: &World, state: &State, commit: &Commit) -> Result<(), String> {
    let Some((at, Limit::AtMost(0))) = limits_of(state, commit.stream.project_id()).next_back() else {
        return Ok(());
    };
    let now = world.engine.now();
    if now < at + LONGEST_DECISION || world.plan.has(Fault::SlowCall) {
        return Ok(());
    }
    Err("an upload is accepted in a project that may upload nothing".to_owned())
}

/// No project has more running attempts than its limit. An attempt runs from its start until it is published or ended according to the
/// log; a worker whose attempt was ended without it, because it was silent or replaced, may run a while longer and does not count. On one
/// machine, the runner limits its own processes.
pub(super) fn check_start(world: &World, state: &State, commit: &Commit) -> Result<(), String> {
    let (limit, project_id) = (world.plan.concurrent_encodes, commit.stream.project_id());
    // The video of the commit is not among them.
    let running = state.oracle.videos.iter().filter(|(stream, facts)| {
        stream.project_id() == project_id
            && !facts.is_unreadable
            && matches!(facts.state, AttemptState::Started(_) | AttemptState::Completed)
    });
    let count = running.count() as u64 + 1;
    if world.plan.has_one_clock || !limit.is_exceeded_by(count) {
        return Ok(());
    }
    Err(format!("{count} attempts of a project run at the same time, which may have {limit}"))
}

/// The limits of bytes per day that a project had so far, with the times at which they were recorded.
fn limits_of<'a>(
    state: &'a State,
    project_id: &ProjectId,
) -> impl DoubleEndedIterator<Item = (Millis, Limit)> + use<'a> {
    let limit = |commit: &Commit| {
        let mut limits = commit.events.iter().filter_map(|event| match event.body().ok()? {
            EventBody::ProjectUpdated(updated) => updated.limits?.bytes_per_day,
            _ => None,
        });
        limits.next_back()
    };
    let stream = StreamId::Project(project_id.clone());
    let commits: Vec<(Millis, &Commit)> = state.ledger.timed(&stream).collect();
    commits.into_iter().filter_map(move |(appended_at, commit)| Some((appended_at, limit(commit)?)))
}
