//! `cargo xtask bench lambda`: measures every Lambda function as it is deployed, and the time from S3's event notification of an
//! upload to `RunTask`.
//!
//! The emulated Lambda service invokes each function with a real event, on an emulated DynamoDB. The peer is a function that does
//! nothing on the same runtime. The time to `RunTask` is measured on the emulated cloud.

use std::env;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use xshell::cmd;

use super::comparison::{Comparison, Goal, Latencies, Latency, Unit};
use super::effort::Effort;
use super::median::{median, percentile};
use super::progress::print_progress;
use super::report::Report;
use crate::edge::{self, Kind};
use crate::process::{capture_ok, run};
use crate::tools::{Tool, Tools, path};
use crate::workspace::Workspace;

/// The peer's description in the report.
const PEER: &str = "a function that does nothing";
/// The peer's name in the output of `streamio-emulator bench-lambda`.
const PEER_NAME: &str = "peer";

/// The size of an executable, in MB.
const SIZE_GOAL: Goal = Goal::Within(12.0);
/// The duration of a cold start, in milliseconds.
const COLD_START_GOAL: Goal = Goal::Within(100.0);
/// The time of a dispatch that is spent in our code, in milliseconds.
const OWN_TIME_GOAL: Goal = Goal::Within(10.0);

/// Measures all functions and adds the results to `report`. With `builds`, builds the functions first.
pub(super) fn measure(
    workspace: &Workspace,
    effort: Effort,
    builds: bool,
    report: &mut Report,
) -> Result<()> {
    let tools = Tools::new(workspace);
    tools.ensure(&[Tool::NpmPackages, Tool::Dynoxide])?;
    if builds {
        build(workspace)?;
        edge::build(workspace, &tools, Kind::Worker)?;
    }
    print_progress("cold starts and warm invocations of the Lambda functions");
    let target = workspace.target();
    let (program, programs) = (target.join("debug/streamio-emulator"), target.join("lambda"));
    let (peer, rounds) = (programs.join("noop"), effort.rounds.to_string());
    let command =
        cmd!(workspace.shell, "{program} bench-lambda --programs {programs} --peer {peer} --rounds {rounds}");
    let printed =
        capture_ok(command.envs(tools.environment()?)).context("could not measure the functions")?;
    for comparison in comparisons(&printed)? {
        report.add(comparison);
    }

    print_progress("the time from S3's event notification to RunTask");
    let edge_worker = workspace.root.join(Kind::Worker.folder());
    let idle = path::find("cat").context("`cat` is not on PATH")?;
    let command = cmd!(
        workspace.shell,
        "{program} bench-dispatch --programs {programs} --edge-worker {edge_worker} --worker {idle}"
    );
    let printed =
        capture_ok(command.envs(tools.environment()?)).context("could not measure the time to RunTask")?;
    report.add(dispatch(&printed)?);
    Ok(())
}

/// The output of `streamio-emulator bench-dispatch`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dispatches {
    /// Times from S3's event notification to `RunTask`.
    whole_millis: Vec<f64>,
    /// The part of each that was spent in our code.
    own_millis: Vec<f64>,
}

/// Compares the time in our code with the whole time, of which it is a part.
fn dispatch(printed: &str) -> Result<Comparison> {
    let Dispatches { whole_millis, own_millis } =
        serde_json::from_str(printed).context("the measurements are not JSON")?;
    let latency = |times: &[f64]| -> Result<Latency> {
        let percentile = |part| percentile(times, part).context("no dispatch was measured");
        Ok(Latency { p50: percentile(0.5)?, p99: percentile(0.99)? })
    };
    let latencies = Latencies { ours: latency(&own_millis)?, peer: latency(&whole_millis)? };
    Ok(Comparison {
        name: "from S3's notice to RunTask, in our code".to_owned(),
        peer_name: "the whole path, emulated services included",
        ours: latencies.ours.p50,
        peer: latencies.peer.p50,
        unit: Unit::Millis,
        goal: Some(OWN_TIME_GOAL),
        latency: Some(latencies),
    })
}

fn build(workspace: &Workspace) -> Result<()> {
    let (shell, cargo) = (&workspace.shell, env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    print_progress("building the Lambda functions (profile lambda)");
    run(cmd!(shell, "{cargo} build --profile lambda -p streamio-lambdas --all-features --bins"))?;
    print_progress("building the emulated cloud");
    run(cmd!(shell, "{cargo} build -p streamio-emulator --all-features --bin streamio-emulator"))
}

/// The output of `streamio-emulator bench-lambda`.
#[derive(Deserialize)]
struct Functions {
    functions: Vec<Function>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Function {
    name: String,
    bytes: u64,
    cold_millis: Vec<f64>,
    warm_millis: Vec<f64>,
}

/// Compares each function with the peer.
fn comparisons(printed: &str) -> Result<Vec<Comparison>> {
    let Functions { mut functions } =
        serde_json::from_str(printed).context("the measurements are not JSON")?;
    let peer = functions.iter().position(|function| function.name == PEER_NAME);
    let peer = functions.remove(peer.context("the peer was not measured")?);
    ensure!(!functions.is_empty(), "no function was measured");
    Ok(functions.iter().flat_map(|function| compare_function(function, &peer)).collect())
}

fn compare_function(function: &Function, peer: &Function) -> [Comparison; 3] {
    let comparison = |what: &str, ours, peer, unit, goal| Comparison {
        name: format!("{}: {what}", function.name),
        peer_name: PEER,
        ours,
        peer,
        unit,
        goal,
        latency: None,
    };
    let median_of = |times: &[f64]| median(times.iter().copied()).unwrap_or(f64::NAN);
    [
        comparison(
            "size",
            megabytes(function.bytes),
            megabytes(peer.bytes),
            Unit::Megabytes,
            Some(SIZE_GOAL),
        ),
        comparison(
            "cold start to the first answer",
            median_of(&function.cold_millis),
            median_of(&peer.cold_millis),
            Unit::Millis,
            Some(COLD_START_GOAL),
        ),
        comparison(
            "warm answer",
            median_of(&function.warm_millis),
            median_of(&peer.warm_millis),
            Unit::Millis,
            None,
        ),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "sizes of executables are far below 2^52")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::{comparisons, dispatch};

    const PRINTED: &str = r#"{"functions": [
        {"name": "react", "bytes": 9000000, "coldMillis": [50, 20, 30], "warmMillis": [2, 1]},
        {"name": "views", "bytes": 13000000, "coldMillis": [150], "warmMillis": []},
        {"name": "peer", "bytes": 1500000, "coldMillis": [10], "warmMillis": [0.5]}
    ]}"#;

    #[test]
    fn each_function_is_compared_with_the_peer_in_three_figures() {
        let comparisons = comparisons(PRINTED).unwrap();
        let first: Vec<(&str, f64, f64, Option<bool>)> =
            comparisons.iter().map(|it| (it.name.as_str(), it.ours, it.peer, it.met())).take(4).collect();
        assert_eq!(
            first,
            [
                ("react: size", 9.0, 1.5, Some(true)),
                ("react: cold start to the first answer", 30.0, 10.0, Some(true)),
                ("react: warm answer", 1.5, 0.5, None),
                ("views: size", 13.0, 1.5, Some(false)),
            ]
        );
        assert_eq!(comparisons.len(), 6);
        assert!(comparisons[5].ours.is_nan(), "there is no measurement");
    }

    #[test]
    fn the_goal_of_a_dispatch_bounds_the_time_in_our_code() {
        let dispatch = dispatch(r#"{"wholeMillis": [40, 60, 50], "ownMillis": [4, 9, 5]}"#).unwrap();
        assert_eq!((dispatch.ours, dispatch.peer, dispatch.met()), (5.0, 50.0, Some(true)));
        assert!((dispatch.latency.unwrap().ours.p99 - 9.0).abs() < 1e-9);
        assert!(super::dispatch(r#"{"wholeMillis": [], "ownMillis": []}"#).is_err());
    }

    #[test]
    fn measurements_without_the_peer_or_without_a_function_are_refused() {
        assert!(comparisons(r#"{"functions": []}"#).is_err());
        let only_peer =
            r#"{"functions": [{"name": "peer", "bytes": 1, "coldMillis": [], "warmMillis": []}]}"#;
        assert!(comparisons(only_peer).is_err());
    }
}
