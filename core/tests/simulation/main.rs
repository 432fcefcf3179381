//! Deterministic simulation of the application: uploads, intake, reactions, sweep, views and delivery on simulated stores, with
//! simulated workers, in virtual time, from one seed.
//!
//! | file | contents |
//! |---|---|
//! | `engine` | execution in virtual time |
//! | `plan`, `faults` | what a run does, and what fails |
//! | `world` | the stores and their adapters |
//! | `cloud` | the functions and what invokes them |
//! | `worker`, `tenant` | launcher and workers, tenants and the edge |
//! | `invariants` | what must hold |
//! | `run`, `shrink`, `report` | one run, its smallest failing part, and what is printed |
//!
//! `cargo xtask simulate` runs more seeds, and a seed again.

mod cloud;
mod engine;
mod faults;
mod invariants;
mod outages;
mod plan;
mod report;
mod run;
mod shrink;
mod tenant;
mod worker;
mod world;

use crate::faults::Fault;
use crate::plan::{Action, Plan};
use crate::report::Settings;

#[test]
fn every_invariant_holds_in_every_run() {
    let settings = Settings::from_environment();
    let summary = report::run_seeds(&settings);
    print!("{summary}");
    if let Some(failure) = &summary.failure {
        panic!("{}", report::describe(&settings, failure));
    }
    if settings.is_default() {
        assert_eq!(summary.unseen_faults(), Vec::<&str>::new(), "these faults never happened");
        assert_eq!(summary.unseen_events(), Vec::<&str>::new(), "these events never happened");
    }
}

#[test]
fn a_seed_determines_the_run() {
    let plans = || (0..).map(|seed| Plan::of_seed(seed, 24, Fault::ALL));
    // A rebuild of views handles all videos at once, in an order of its own.
    let has_rebuild = |plan: &Plan| plan.operations().any(|it| matches!(it.action, Action::Rebuild { .. }));
    for plan in plans().take(3).chain(plans().filter(has_rebuild).take(6)) {
        let seed = plan.seed;
        let [one, other] = [(); 2].map(|()| run::run(&plan, false));
        assert_eq!(one.digest, other.digest, "two runs of seed {seed} differ");
        assert_eq!(one.faults, other.faults);
        assert_eq!(one.steps, other.steps);
    }
}
