//! Checks the limits of projects: what exceeds none is not refused, and nothing is accepted where nothing may be uploaded.

use streamio_events::commit::Commit;
use streamio_events::day::Day;
use streamio_events::event::{EventBody, UploadRejected};
use streamio_events::id::ProjectId;
use streamio_events::limits::Limit;
use streamio_events::stream::StreamId;
use streamio_events::usage::UsageCounters;

use crate::engine::{MINUTE, Millis};
use crate::faults::Fault;
use crate::world::{State, World};

/// How long after its decision a decision may be appended: a function may be slow.
const LONGEST_DECISION: Millis = 30 * MINUTE;

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

/// The limits of bytes per day that a project had so far, with the times at which they were recorded.
fn limits_of<'a>(
    state: &'a State,
    project_id: &ProjectId,
) -> impl DoubleEndedIterator<Item = (Millis, Limit)> + use<'a> {
    let commits = state.ledger.commits(&StreamId::Project(project_id.clone()));
    let limit = |commit: &Commit| {
        let mut limits = commit.events.iter().filter_map(|event| match event.body().ok()? {
            EventBody::ProjectUpdated(updated) => updated.limits?.bytes_per_day,
            _ => None,
        });
        limits.next_back()
    };
    commits.iter().filter_map(move |commit| Some((state.ledger.appended_at(commit), limit(commit)?)))
}
