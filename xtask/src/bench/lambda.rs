//! `cargo xtask bench lambda`: every Lambda function as it is deployed, run by the emulated Lambda service with a real event
//! on an emulated DynamoDB, beside a function that does nothing on the same runtime; and the road from S3's notice of an
//! upload to `RunTask` through the emulated cloud.

use std::env;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use xshell::cmd;

use super::comparison::{Comparison, Goal, Latencies, Latency, Unit};
use super::median::{median, percentile};
use super::report::Report;
use super::{Effort, progress};
use crate::edge::{self, Kind};
use crate::process::{capture_ok, run};
use crate::tools::{Tool, Tools, path};
use crate::workspace::Workspace;

const PEER: &str = "a function that does nothing";
/// What the measuring program calls it.
const PEER_NAME: &str = "peer";

/// The most of an executable, in MB.
const SIZE: Goal = Goal::Within(12.0);
/// The most of a cold start, in milliseconds.
const COLD: Goal = Goal::Within(100.0);

/// The most of a dispatch that may be spent in our code, in milliseconds.
const OWN: Goal = Goal::Within(10.0);

/// Measures all of them. `builds` says whether they are built first.
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
    progress("cold starts and warm answers of the Lambda functions");
    let target = workspace.target();
    let (program, programs) = (target.join("debug/streamio-emulator"), target.join("lambda"));
    let (peer, rounds) = (programs.join("noop"), effort.rounds.to_string());
    let measuring =
        cmd!(workspace.shell, "{program} bench-lambda --programs {programs} --peer {peer} --rounds {rounds}");
    let printed = capture_ok(measuring.envs(tools.environment()?)).context("the functions")?;
    for comparison in comparisons(&printed)? {
        report.add(comparison);
    }

    progress("the road from S3's notice to RunTask");
    let edge_worker = workspace.root.join(Kind::Worker.folder());
    let idle = path::find("cat").context("`cat` is not on PATH")?;
    let measuring = cmd!(
        workspace.shell,
        "{program} bench-dispatch --programs {programs} --edge-worker {edge_worker} --worker {idle}"
    );
    let printed = capture_ok(measuring.envs(tools.environment()?)).context("the road to RunTask")?;
    report.add(dispatch(&printed)?);
    Ok(())
}

/// What `streamio-emulator bench-dispatch` prints.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dispatches {
    whole_millis: Vec<f64>,
    own_millis: Vec<f64>,
}

/// Ours beside the whole, of which it is a part.
fn dispatch(printed: &str) -> Result<Comparison> {
    let Dispatches { whole_millis, own_millis } =
        serde_json::from_str(printed).context("what was measured is no JSON")?;
    let latency = |times: &[f64]| -> Result<Latency> {
        let percentile = |part| percentile(times, part).context("no dispatch was measured");
        Ok(Latency { p50: percentile(0.5)?, p99: percentile(0.99)? })
    };
    let latencies = Latencies { ours: latency(&own_millis)?, peer: latency(&whole_millis)? };
    Ok(Comparison {
        name: "from S3's notice to RunTask, in our code".to_owned(),
        peer_name: "the whole road, emulated services included",
        ours: latencies.ours.p50,
        peer: latencies.peer.p50,
        unit: Unit::Millis,
        goal: Some(OWN),
        latency: Some(latencies),
    })
}

fn build(workspace: &Workspace) -> Result<()> {
    let (shell, cargo) = (&workspace.shell, env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    progress("building the Lambda functions (profile lambda)");
    run(cmd!(shell, "{cargo} build --profile lambda -p streamio-lambdas --features aws,bench --bins"))?;
    progress("building the emulated cloud");
    run(cmd!(shell, "{cargo} build -p streamio-emulator --all-features --bin streamio-emulator"))
}

/// What `streamio-emulator bench-lambda` prints.
#[derive(Deserialize)]
struct Printed {
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

fn comparisons(printed: &str) -> Result<Vec<Comparison>> {
    let Printed { mut functions } = serde_json::from_str(printed).context("what was measured is no JSON")?;
    let peer = functions.iter().position(|function| function.name == PEER_NAME);
    let peer = functions.remove(peer.context("the function to compare with was not measured")?);
    ensure!(!functions.is_empty(), "no function was measured");
    Ok(functions.iter().flat_map(|function| of_one(function, &peer)).collect())
}

fn of_one(function: &Function, peer: &Function) -> [Comparison; 3] {
    let comparison = |what: &str, ours, peer, unit, goal| Comparison {
        name: format!("{}: {what}", function.name),
        peer_name: PEER,
        ours,
        peer,
        unit,
        goal,
        latency: None,
    };
    let middle = |times: &[f64]| median(times.iter().copied()).unwrap_or(f64::NAN);
    [
        comparison("size", megabytes(function.bytes), megabytes(peer.bytes), Unit::Megabytes, Some(SIZE)),
        comparison(
            "cold start to the first answer",
            middle(&function.cold_millis),
            middle(&peer.cold_millis),
            Unit::Millis,
            Some(COLD),
        ),
        comparison(
            "warm answer",
            middle(&function.warm_millis),
            middle(&peer.warm_millis),
            Unit::Millis,
            None,
        ),
    ]
}

/// Executables are far below the numbers that a float cannot tell apart.
#[expect(clippy::cast_precision_loss, reason = "see above")]
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
    fn each_function_has_three_figures_beside_the_peers() {
        let comparisons = comparisons(PRINTED).unwrap();
        let told: Vec<(&str, f64, f64, Option<bool>)> =
            comparisons.iter().map(|it| (it.name.as_str(), it.ours, it.peer, it.met())).take(4).collect();
        assert_eq!(
            told,
            [
                ("react: size", 9.0, 1.5, Some(true)),
                ("react: cold start to the first answer", 30.0, 10.0, Some(true)),
                ("react: warm answer", 1.5, 0.5, None),
                ("views: size", 13.0, 1.5, Some(false)),
            ]
        );
        assert_eq!(comparisons.len(), 6);
        assert!(comparisons[5].ours.is_nan(), "nothing was measured");
    }

    #[test]
    fn a_dispatch_is_held_to_what_it_spends_in_our_code() {
        let dispatch = dispatch(r#"{"wholeMillis": [40, 60, 50], "ownMillis": [4, 9, 5]}"#).unwrap();
        assert_eq!((dispatch.ours, dispatch.peer, dispatch.met()), (5.0, 50.0, Some(true)));
        assert!((dispatch.latency.unwrap().ours.p99 - 9.0).abs() < 1e-9);
        assert!(super::dispatch(r#"{"wholeMillis": [], "ownMillis": []}"#).is_err());
    }

    #[test]
    fn without_the_peer_or_a_function_there_is_no_result() {
        assert!(comparisons(r#"{"functions": []}"#).is_err());
        let only_peer =
            r#"{"functions": [{"name": "peer", "bytes": 1, "coldMillis": [], "warmMillis": []}]}"#;
        assert!(comparisons(only_peer).is_err());
    }
}
