//! `cargo xtask test`: every check, in one order, each with its time, and a summary.

mod advisories;
mod report;
mod steps;

use std::time::Instant;

use anyhow::{Result, bail};
use clap::builder::PossibleValuesParser;

use crate::clock::human;
use crate::process::Interrupted;
use crate::tools::Tools;
use crate::workspace::Workspace;

use report::{Finished, Outcome};
use steps::{STEPS, Step};

/// Check everything: formatting, rules, lints, docs, licences, the wasm32 build, all tests.
///
/// Runs every step in order and stops at the first that fails. Tools that are missing are fetched first.
/// The same command runs locally, in `.ci/run` and in the GitHub workflow.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask test\n  cargo xtask test --only fmt --only clippy\n  \
    cargo xtask test --keep-going")]
pub(crate) struct Args {
    /// Run only this step (repeatable); `--list` names them all
    #[arg(long, value_name = "STEP", value_parser = PossibleValuesParser::new(STEPS.iter().map(|step| step.name)))]
    only: Vec<String>,
    /// Print the steps in their order, and run nothing
    #[arg(long)]
    list: bool,
    /// Go on after a failure, to see all of them
    #[arg(long)]
    keep_going: bool,
    /// Treat a step that could not be run (no network for `advisories`) as failed
    #[arg(long)]
    deny_not_run: bool,
}

/// Runs the steps that the arguments select.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let selected = select(&args.only);
    if args.list {
        for step in &selected {
            println!("{:<11} {}", step.name, step.about);
        }
        return Ok(());
    }
    let tools = Tools::new(workspace);
    let started = Instant::now();
    let mut finished = Vec::new();
    for step in &selected {
        let result = run_step(workspace, &tools, step)?;
        eprintln!("{}", result.line());
        let failed = result.failed(args.deny_not_run);
        finished.push(result);
        if failed && !args.keep_going {
            break;
        }
    }
    eprint!("{}", report::summary(&finished, selected.len(), started.elapsed()));
    let failed: Vec<&str> =
        finished.iter().filter(|result| result.failed(args.deny_not_run)).map(|result| result.name).collect();
    if !failed.is_empty() {
        let again: Vec<String> = failed.iter().map(|name| format!(" --only {name}")).collect();
        bail!("failed: {}. To run only this again: cargo xtask test{}", failed.join(", "), again.concat());
    }
    Ok(())
}

/// The named steps, or all, always in the one order.
fn select(only: &[String]) -> Vec<&'static Step> {
    STEPS.iter().filter(|step| only.is_empty() || only.iter().any(|name| name == step.name)).collect()
}

/// Runs one step. Only a signal ends the whole run; everything else is the step's own outcome.
fn run_step(workspace: &Workspace, tools: &Tools, step: &Step) -> Result<Finished> {
    eprintln!("==> {}: {}", step.name, step.about);
    let started = Instant::now();
    let outcome = match tools.ensure(step.needs).and_then(|()| (step.run)(workspace, tools)) {
        Ok(outcome) => outcome,
        Err(error) if error.is::<Interrupted>() => {
            eprintln!("interrupted during `{}` after {}", step.name, human(started.elapsed()));
            return Err(error);
        }
        Err(error) => Outcome::Failed(format!("{error:#}")),
    };
    Ok(Finished { name: step.name, outcome, took: started.elapsed() })
}

#[cfg(test)]
mod tests {
    use super::{STEPS, select};

    #[test]
    fn steps_run_in_the_one_order_however_they_were_named() {
        let names: Vec<&str> = select(&["tests".into(), "fmt".into()]).iter().map(|step| step.name).collect();
        assert_eq!(names, ["fmt", "tests"]);
    }

    #[test]
    fn without_a_selection_every_step_runs() {
        assert_eq!(select(&[]).len(), STEPS.len());
    }
}
