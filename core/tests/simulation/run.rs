//! One run.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use sha2::{Digest as _, Sha256};

use crate::engine::{Millis, Stopped};
use crate::plan::{Plan, QUIET};
use crate::world::World;
use crate::{cloud, invariants, tenant};

/// The result of a run.
pub(crate) struct Outcome {
    /// The first violation of an invariant.
    pub(crate) violation: Option<String>,
    /// How often each kind of fault happened.
    pub(crate) faults: Vec<u64>,
    /// The kinds of events in the log.
    pub(crate) events: BTreeSet<String>,
    /// How often a task ran.
    pub(crate) steps: u64,
    /// A digest of the log.
    pub(crate) digest: String,
    /// What happened, if a trace was asked for.
    pub(crate) trace: Vec<(Millis, String)>,
}

/// Runs `plan`.
pub(crate) fn run(plan: &Plan, has_trace: bool) -> Outcome {
    let world = World::new(plan.clone(), has_trace);
    let ran = catch_unwind(AssertUnwindSafe(|| {
        tenant::create_projects(&world);
        cloud::start(&world);
        tenant::start(&world);
        let is_over = || world.state().oracle.violation().is_some();
        let ended = world.engine.run_until(plan.active + QUIET, is_over);
        if ended.is_ok() {
            invariants::check_quiet(&world);
        }
        ended
    }));
    let (steps, stopped) = match ran {
        Ok(Ok(steps)) => (steps, None),
        Ok(Err(Stopped::OnRequest)) => (0, None),
        Ok(Err(Stopped::TooManySteps)) => (0, Some("the run does not come to rest".to_owned())),
        Err(panic) => (0, Some(format!("a panic: {}", text_of(&*panic)))),
    };
    let (violation, events, digest) = {
        let state = world.state();
        let violation = state.oracle.violation().map(str::to_owned).or(stopped);
        let mut hasher = Sha256::new();
        for (stream, commits) in state.ledger.streams() {
            hasher.update(stream.to_string());
            hasher.update(commits.last().map_or_else(String::new, |commit| commit.hash.to_string()));
        }
        (violation, invariants::kinds(&state), format!("{:x?}", hasher.finalize()))
    };
    let (faults, trace) = (world.faults.counts(), world.take_trace());
    // The tasks own the world, and the world owns them.
    world.engine.shut_down();
    Outcome { violation, faults, events, steps, digest, trace }
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
