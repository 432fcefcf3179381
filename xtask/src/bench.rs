//! `cargo xtask bench`: measures Streamio and its peers in the same run.
//!
//! The speed of a shared machine changes from minute to minute, so only ratios are reliable. Streamio and the peer are measured in
//! turn, and each figure is the median of the rounds.

mod comparison;
mod cpu;
mod edge;
mod effort;
mod lambda;
mod log;
mod machine;
mod median;
mod progress;
mod report;
mod webhooks;

use std::time::Duration;

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::workspace::Workspace;

use effort::{Effort, Selection};
use report::Report;

/// Measure Streamio against its peers, and report which goals are met.
///
/// Installs wrk and the npm packages if they are missing. Streamio and the peer are measured in turn on this machine; each figure is
/// the median of the rounds.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask bench edge\n  cargo xtask bench edge --json > bench.json\n  \
    cargo xtask bench edge --rounds 31 --check\n  \
    cargo xtask bench edge --only 'GET /play'\n  cargo xtask bench lambda --check\n  cargo xtask bench log --rounds 3 --seconds 3\n  \
    cargo xtask bench webhooks --rounds 1"
)]
pub(crate) struct Args {
    /// What to measure; everything by default
    #[arg(value_enum)]
    suites: Vec<Suite>,
    /// Print the results as JSON: {"machine": …, "results": [{"name", "ours", "peer", "unit", "ratio", "goal", …}]}
    #[arg(long)]
    json: bool,
    /// Fail if a goal is missed
    #[arg(long)]
    check: bool,
    /// Measure existing builds: the Worker of `cargo xtask edge build --probes`, and the functions of the last measurement
    #[arg(long)]
    no_build: bool,
    /// Measure only the comparisons of the edge whose name contains this text, such as "GET /play"
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// The number of rounds of each comparison; each round measures Streamio and the peer once
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// The duration of one load on one side
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
}

/// The benchmarks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Suite {
    /// The Worker on workerd against JavaScript Workers
    Edge,
    /// The Lambda functions: their sizes, cold starts and warm invocations
    Lambda,
    /// The event log on SQLite against SQLite alone
    Log,
    /// Webhook deliveries on one machine against a client that only signs and sends
    Webhooks,
}

/// Measures and prints the results. With `--check`, fails if a goal is missed.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let effort = Effort { rounds: args.rounds, turn: Duration::from_secs(args.seconds.into()) };
    let selection = Selection { only: args.only.clone() };
    let suites = match (&args.suites[..], &args.only) {
        ([], None) => Suite::value_variants(),
        ([], Some(_)) => &[Suite::Edge],
        (suites, Some(_)) if *suites != [Suite::Edge] => bail!("--only is for the edge"),
        (suites, _) => suites,
    };
    let mut report = Report::new(machine::describe());
    for suite in suites {
        match suite {
            Suite::Edge => edge::measure(workspace, (effort, &selection), !args.no_build, &mut report)?,
            Suite::Lambda => lambda::measure(workspace, effort, !args.no_build, &mut report)?,
            Suite::Log => log::measure(workspace, effort, &mut report)?,
            Suite::Webhooks => webhooks::measure(workspace, effort, &mut report)?,
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
