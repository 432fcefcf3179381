//! `cargo xtask bench`: ours and the peers', side by side in one run.
//!
//! The machine is shared and its speed changes from minute to minute, so that only ratios mean anything: ours and the
//! peer take turns, and each figure is the median of its rounds.

mod comparison;
mod cpu;
mod edge;
mod lambda;
mod machine;
mod median;
mod report;

use std::time::Duration;

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::bench::report::Report;
use crate::workspace::Workspace;

/// Measure Streamio against its peers, and say whether its goals are met.
///
/// Gets wrk and the npm packages when they are missing. Ours and the peer take turns on this machine; every figure is
/// the median of the rounds.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask bench edge\n  cargo xtask bench edge --json > bench.json\n  \
    cargo xtask bench edge --rounds 31 --check\n  cargo xtask bench lambda --check"
)]
pub(crate) struct Args {
    /// What to measure; without a name, everything
    #[arg(value_enum)]
    suites: Vec<Suite>,
    /// Print the results as JSON: {"machine": …, "results": [{"name", "ours", "peer", "unit", "ratio", "goal", …}]}
    #[arg(long)]
    json: bool,
    /// Fail when a goal is missed
    #[arg(long)]
    check: bool,
    /// Measure what earlier builds have left: `cargo xtask edge build --probes`, and the functions of the last measurement
    #[arg(long)]
    no_build: bool,
    /// How many turns ours and the peer take in each comparison
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How long one turn of a load lasts
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Suite {
    /// The Worker on workerd against JavaScript Workers
    Edge,
    /// The Lambda functions: their size, their cold starts and their warm answers
    Lambda,
}

/// How much is done for one figure.
#[derive(Clone, Copy, Debug)]
struct Effort {
    /// Turns of each side.
    rounds: u32,
    /// How long one turn of a load lasts.
    turn: Duration,
}

/// Measures, prints, and fails where a goal is missed and that was asked for.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let effort = Effort { rounds: args.rounds, turn: Duration::from_secs(args.seconds.into()) };
    let suites = if args.suites.is_empty() { Suite::value_variants() } else { &args.suites };
    let mut report = Report::new(machine::describe());
    for suite in suites {
        match suite {
            Suite::Edge => edge::measure(workspace, effort, !args.no_build, &mut report)?,
            Suite::Lambda => lambda::measure(workspace, effort, !args.no_build, &mut report)?,
        }
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{report}");
    }
    let missed = report.missed();
    if args.check && !missed.is_empty() {
        bail!("goals missed: {}", missed.join("; "));
    }
    Ok(())
}

/// The one line that tells what is being measured, on stderr: results go to stdout.
fn progress(line: &str) {
    eprintln!("bench: {line}");
}
