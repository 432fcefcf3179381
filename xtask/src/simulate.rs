//! `cargo xtask simulate`: runs the application on simulated stores, with faults, and checks that planted bugs are found.

mod bugs;
mod planted;

use std::env;

use anyhow::Result;
use xshell::cmd;

use crate::process::run as run_child;
use crate::workspace::Workspace;

/// The name of the test that runs the seeds.
const TEST: &str = "every_invariant_holds_in_every_run";

/// The crates that the profile `dev` optimizes.
const CRATES: [&str; 2] = ["streamio-core", "streamio-events"];

/// Run the application on simulated stores in virtual time, with random faults, and check what must hold
///
/// Each run has a seed, which determines everything in it. Runs the seeds until one breaks an invariant, and prints the smallest
/// part of that run that still does, with a trace of what happens. Pass its seed to run it again. For long runs, set
/// `CARGO_PROFILE_DEV_OPT_LEVEL=3`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The first seed, or with `--seeds 1` the only one
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// The number of seeds: 1 with `--seed`, otherwise 1000
    #[arg(long, value_name = "N")]
    seeds: Option<u64>,
    /// Simulated hours in which tenants act and faults happen
    #[arg(long, value_name = "N")]
    hours: Option<u64>,
    /// Kinds of faults, separated by commas; without it, all. The summary names them
    #[arg(long, value_name = "KINDS")]
    faults: Option<String>,
    /// Build copies of the workspace, each with one of the listed bugs, and report which of them the simulation finds. With names,
    /// only these
    #[arg(long, value_name = "NAME", num_args = 0..)]
    planted: Option<Vec<String>>,
}

/// The arguments with which Cargo builds the crates that have a level of optimization of their own with `level`, too, which is that of
/// all others.
fn opt_levels(level: Option<&str>) -> Vec<String> {
    let of_crate = |name, level| format!("--config=profile.dev.package.{name}.opt-level={level}");
    level.into_iter().flat_map(|level| CRATES.map(|name| of_crate(name, level))).collect()
}

/// Runs the simulation, or the planted bugs.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    if let Some(names) = &args.planted {
        return planted::run(workspace, names, args.seeds);
    }
    let (shell, cargo) = (&workspace.shell, env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    let levels = opt_levels(env::var("CARGO_PROFILE_DEV_OPT_LEVEL").ok().as_deref());
    let test = cmd!(
        shell,
        "{cargo} test -p streamio-core --all-features --test simulation {levels...} -- --exact {TEST} --nocapture"
    );
    let numbers = [("SEED", args.seed), ("SEEDS", args.seeds), ("HOURS", args.hours)];
    let numbers = numbers.into_iter().filter_map(|(name, number)| Some((name, number?.to_string())));
    let variables = numbers.chain(args.faults.clone().map(|kinds| ("FAULTS", kinds)));
    run_child(test.envs(variables.map(|(name, value)| (format!("STREAMIO_SIMULATION_{name}"), value))))
}
