//! `cargo xtask bench webhooks`: deliveries of the whole platform on one machine, against a client that only signs and sends.

use std::env;

use anyhow::{Context, Result};
use serde::Deserialize;
use xshell::cmd;

use super::comparison::{Comparison, Goal, Latencies, Latency, Unit};
use super::effort::Effort;
use super::median::{median, percentile};
use super::progress::print_progress;
use super::report::Report;
use crate::process::capture_ok;
use crate::workspace::Workspace;

const CLIENT: &str = "a client that signs and sends the same bodies, 16 at a time";
const ALONE: &str = "the same project alone";

/// How many messages one round delivers.
const MESSAGES: u32 = 20_000;

/// How many uploads are made one after another.
const UPLOADS: u32 = 300;

/// How many messages are pending to the endpoint that does not answer.
const PENDING: u32 = 100_000;

/// The most rounds: each one makes a log of 100,000 messages.
const MAX_ROUNDS: u32 = 3;

/// Measures deliveries and adds the results to `report`.
pub(super) fn measure(workspace: &Workspace, effort: Effort, report: &mut Report) -> Result<()> {
    print_progress("webhooks on one machine (release build)");
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let sizes = [effort.rounds.min(MAX_ROUNDS), MESSAGES, UPLOADS, PENDING].map(|size| size.to_string());
    let command = cmd!(workspace.shell, "{cargo} bench -q -p streamio-local --bench webhooks -- {sizes...}");
    let printed = capture_ok(command).context("could not measure webhooks")?;
    for comparison in comparisons(&printed)? {
        report.add(comparison);
    }
    Ok(())
}

/// The output of the benchmark: the figures of all rounds.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    deliveries: Vec<Sent>,
    peer: Vec<Sent>,
    /// In milliseconds, of each round in order.
    alone: Vec<Vec<f64>>,
    beside_dead_endpoint: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sent {
    per_second: f64,
    processor_micros: f64,
}

/// The medians of the rounds.
fn latency(rounds: &[Vec<f64>]) -> Option<Latency> {
    let of = |part| median(rounds.iter().map(|round| percentile(round, part)).collect::<Option<Vec<_>>>()?);
    Some(Latency { p50: of(0.5)?, p99: of(0.99)? })
}

fn comparisons(printed: &str) -> Result<Vec<Comparison>> {
    let figures: Figures = serde_json::from_str(printed).context("the measurements are not JSON")?;
    let middle =
        |of: &[Sent], value: fn(&Sent) -> f64| median(of.iter().map(value)).context("nothing was measured");
    let per_second = [&figures.deliveries, &figures.peer].map(|of| middle(of, |sent| sent.per_second));
    let processor = [&figures.deliveries, &figures.peer].map(|of| middle(of, |sent| sent.processor_micros));
    let ([ours, peer], [our_processor, peer_processor]) = (per_second, processor);
    let alone = latency(&figures.alone).context("no upload was measured")?;
    let beside = latency(&figures.beside_dead_endpoint).context("no upload was measured")?;
    let deliveries = Comparison {
        name: "deliveries".to_owned(),
        peer_name: CLIENT,
        ours: ours?,
        peer: peer?,
        unit: Unit::DeliveriesPerSecond,
        goal: Some(Goal::Reach(2_000.0)),
        latency: None,
    };
    let waited = |name: &str, (ours, peer): (f64, f64), goal| Comparison {
        name: name.to_owned(),
        peer_name: ALONE,
        ours,
        peer,
        unit: Unit::Millis,
        goal: Some(goal),
        latency: Some(Latencies { ours: beside, peer: alone }),
    };
    Ok(vec![
        Comparison {
            name: "processor time of a delivery".to_owned(),
            ours: our_processor?,
            peer: peer_processor?,
            unit: Unit::CpuMicrosPerRequest,
            goal: None,
            ..deliveries.clone()
        },
        deliveries,
        Comparison {
            latency: None,
            ..waited("from an event to the first attempt, p50", (alone.p50, alone.p50), Goal::Within(50.0))
        },
        waited(
            "the same beside an endpoint with 100,000 pending messages, p99",
            (beside.p99, alone.p99),
            Goal::AtMost(2.0),
        ),
    ])
}

#[cfg(test)]
mod tests {
    use super::comparisons;

    #[test]
    fn each_goal_is_compared_with_the_median_of_the_rounds() {
        let printed = r#"{"deliveries": [{"perSecond": 3000, "processorMicros": 400}], "peer": [{"perSecond": 9000, "processorMicros": 100}],
            "alone": [[10, 20, 30]], "besideDeadEndpoint": [[15, 25, 70]]}"#;
        let comparisons = comparisons(printed).unwrap();
        let met: Vec<_> = comparisons.iter().map(super::Comparison::met).collect();
        assert_eq!(met, [None, Some(true), Some(true), Some(false)]);
        assert!(super::comparisons(&printed.replace("[10, 20, 30]", "")).is_err());
        assert!(super::comparisons(&printed.replace("[[10, 20, 30]]", "[[]]")).is_err());
    }
}
