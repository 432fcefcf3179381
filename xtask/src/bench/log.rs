//! `cargo xtask bench log`: the log on SQLite against SQLite alone, on the same disk and in the same run.

use std::env;

use anyhow::{Context, Result};
use serde::Deserialize;
use xshell::cmd;

use super::comparison::{Comparison, Goal, Unit};
use super::effort::Effort;
use super::median::median;
use super::progress::print_progress;
use super::report::Report;
use crate::process::capture_ok;
use crate::workspace::Workspace;

const PEER: &str = "rusqlite, rows of the same events in groups of 100";
const ONE_WRITER: &str = "the log with one writer";
const DECODE: &str = "rusqlite writes, rows of the same events in groups of 100";

/// The number of events of a replay.
const EVENTS: u64 = 1_000_000;

/// The most rounds: each one makes a log of a million events.
const MAX_ROUNDS: u32 = 5;

/// Measures the log and adds the results to `report`.
pub(super) fn measure(workspace: &Workspace, effort: Effort, report: &mut Report) -> Result<()> {
    print_progress("the log on SQLite (release build)");
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let (rounds, seconds) = (effort.rounds.min(MAX_ROUNDS).to_string(), effort.turn.as_secs().to_string());
    let events = EVENTS.to_string();
    let command = cmd!(
        workspace.shell,
        "{cargo} bench -q -p streamio-events --features embedded --bench log -- {rounds} {seconds} {events}"
    );
    let printed = capture_ok(command).context("could not measure the log")?;
    for comparison in comparisons(&printed)? {
        report.add(comparison);
    }
    Ok(())
}

/// The output of the benchmark: the rates of all rounds, in a second.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rates {
    one_writer: Vec<f64>,
    sixteen_writers: Vec<f64>,
    many_writers: Vec<f64>,
    commits_of_ten: Vec<f64>,
    peer: Vec<f64>,
    replay: Vec<f64>,
    peak_megabytes: f64,
}

fn comparisons(printed: &str) -> Result<Vec<Comparison>> {
    let rates: Rates = serde_json::from_str(printed).context("the measurements are not JSON")?;
    let middle = |values: Vec<f64>| median(values).context("nothing was measured");
    let (one, sixteen, many) =
        (middle(rates.one_writer)?, middle(rates.sixteen_writers)?, middle(rates.many_writers)?);
    let (tens, peer, replay) = (middle(rates.commits_of_ten)?, middle(rates.peer)?, middle(rates.replay)?);
    let rate =
        |name: &str, ours: f64, (peer_name, peer): (&'static str, f64), goal: Option<Goal>| Comparison {
            name: name.to_owned(),
            peer_name,
            ours,
            peer,
            unit: Unit::EventsPerSecond,
            goal,
            latency: None,
        };
    Ok(vec![
        rate("commits of one event, 1 writer", one, (PEER, peer), None),
        rate("commits of one event, 16 writers", sixteen, (ONE_WRITER, one), Some(Goal::AtLeast(4.0))),
        rate("commits of one event, 128 writers", many, (PEER, peer), Some(Goal::AtLeast(0.25))),
        rate(
            "commits of one event, 128 writers, per second",
            many,
            (PEER, peer),
            Some(Goal::Reach(60_000.0)),
        ),
        rate("events in commits of ten, 128 writers", tens, (PEER, peer), Some(Goal::AtLeast(0.8))),
        rate("events in commits of ten, per second", tens, (PEER, peer), Some(Goal::Reach(250_000.0))),
        rate("events read, verified, decoded and folded", replay, (DECODE, peer), Some(Goal::Reach(1e6))),
        Comparison {
            unit: Unit::Megabytes,
            ..rate(
                "memory of the benchmark",
                rates.peak_megabytes,
                (DECODE, rates.peak_megabytes),
                Some(Goal::Within(200.0)),
            )
        },
    ])
}

#[cfg(test)]
mod tests {
    use super::comparisons;

    #[test]
    fn each_goal_is_compared_with_the_median_of_the_rounds() {
        let printed = r#"{"oneWriter": [3000, 1000, 2000], "sixteenWriters": [9000], "manyWriters": [70000],
            "commitsOfTen": [150000], "peer": [200000], "replay": [1200000], "peakMegabytes": 150}"#;
        let comparisons = comparisons(printed).unwrap();
        let met: Vec<_> = comparisons.iter().map(super::Comparison::met).collect();
        let expected =
            [None, Some(true), Some(true), Some(true), Some(false), Some(false), Some(true), Some(true)];
        assert_eq!(met, expected);
        assert!((comparisons[1].ratio() - 4.5).abs() < 1e-9);
        assert!(super::comparisons(&printed.replace("[200000]", "[]")).is_err());
    }
}
