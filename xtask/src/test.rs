//! `cargo xtask test`: runs all checks in a fixed order, and prints their times and a summary.

mod advisories;
mod contract;
mod report;
mod steps;
mod suites;

use std::time::Instant;

use anyhow::{Result, bail};
use clap::builder::PossibleValuesParser;

use crate::duration::format_duration;
use crate::process::Interrupted;
use crate::tools::Tools;
use crate::workspace::Workspace;

use report::{Finished, Outcome};
use steps::{STEPS, Step};

/// Run all checks: formatting, rules, lints, docs, licences, the wasm32 build, tests.
///
/// Runs the steps in order and stops at the first failure. Missing tools are installed first. The same command runs in
/// `.ci/run` and in the GitHub workflow.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask test\n  cargo xtask test --only fmt --only clippy\n  \
    cargo xtask test --keep-going")]
pub(crate) struct Args {
    /// Run only this step (repeatable); `--list` prints all names
    #[arg(long, value_name = "STEP", value_parser = PossibleValuesParser::new(STEPS.iter().map(|step| step.name)))]
    only: Vec<String>,
    /// Print the steps in order, without running them
    #[arg(long)]
    list: bool,
    /// Continue after a failure
    #[arg(long)]
    keep_going: bool,
    /// Fail if a step could not be run (no network for `advisories`)
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

/// Returns the steps with these names, or all steps if there are none, in the fixed order.
fn select(only: &[String]) -> Vec<&'static Step> {
    STEPS.iter().filter(|step| only.is_empty() || only.iter().any(|name| name == step.name)).collect()
}

/// Runs one step. Fails only if it is interrupted by a signal; other errors are the outcome of the step.
fn run_step(workspace: &Workspace, tools: &Tools, step: &Step) -> Result<Finished> {
    eprintln!("==> {}: {}", step.name, step.about);
    let started = Instant::now();
    let outcome = match tools.ensure(step.needs).and_then(|()| (step.run)(workspace, tools)) {
        Ok(outcome) => outcome,
        Err(error) if error.is::<Interrupted>() => {
            eprintln!("interrupted during `{}` after {}", step.name, format_duration(started.elapsed()));
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
    fn selected_steps_run_in_the_fixed_order() {
        let names: Vec<&str> = select(&["tests".into(), "fmt".into()]).iter().map(|step| step.name).collect();
        assert_eq!(names, ["fmt", "tests"]);
    }

    #[test]
    fn without_a_selection_every_step_runs() {
        assert_eq!(select(&[]).len(), STEPS.len());
    }
}
