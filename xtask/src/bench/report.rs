//! The report of a run, as a table or as JSON.

use std::fmt;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use super::comparison::{Comparison, Goal, Latency, Unit};

/// All results of one run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The machine, and the versions of the measured programs.
    machine: Vec<String>,
    results: Vec<Comparison>,
}

impl Report {
    /// Creates an empty report with a description of the machine.
    pub(super) fn new(machine: String) -> Self {
        Self { machine: vec![machine], results: Vec::new() }
    }

    /// Adds the versions of measured programs.
    pub(super) fn add_versions(&mut self, versions: String) {
        self.machine.push(versions);
    }

    /// Adds a result.
    pub(super) fn add(&mut self, comparison: Comparison) {
        self.results.push(comparison);
    }

    /// Returns the names of the results that miss their goals, each with the value that the goal bounds.
    pub(super) fn missed(&self) -> Vec<String> {
        let missed = self.results.iter().filter(|result| result.met() == Some(false));
        missed.map(|result| format!("{} ({:.2})", result.name, result.bounded_value())).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.machine {
            writeln!(f, "{line}")?;
        }
        writeln!(f, "\n{}", figures(&self.results))?;
        if self.results.iter().any(|result| result.latency.is_some()) {
            writeln!(f, "\nLatency of single requests\n{}", latencies(&self.results))?;
        }
        Ok(())
    }
}

fn figures(results: &[Comparison]) -> Table {
    let header = ["", "ours", "peer", "unit", "ratio", "goal", "", "peer is"];
    let rows = results.iter().map(|result| {
        [
            result.name.clone(),
            figure(result.ours, result.unit),
            figure(result.peer, result.unit),
            result.unit.name().to_owned(),
            format!("{:.2}x", result.ratio()),
            result.goal.map(|it| goal(it, result.unit)).unwrap_or_default(),
            verdict(result.met()).to_owned(),
            result.peer_name.to_owned(),
        ]
    });
    table(header, rows, &[1, 2, 4, 5])
}

fn latencies(results: &[Comparison]) -> Table {
    let header = ["", "ours p50", "ours p99", "peer p50", "peer p99", "unit"];
    let rows = results.iter().filter_map(|result| {
        let both = result.latency?;
        let [ours, peer] =
            [both.ours, both.peer].map(|Latency { p50, p99 }| [p50, p99].map(|ms| format!("{ms:.2}")));
        let ([ours50, ours99], [peer50, peer99]) = (ours, peer);
        Some([result.name.clone(), ours50, ours99, peer50, peer99, "ms".to_owned()])
    });
    table(header, rows, &[1, 2, 3, 4])
}

fn table<const N: usize>(
    header: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
    right: &[usize],
) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header);
    for row in rows {
        table.add_row(row);
    }
    for column in right {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn figure(value: f64, unit: Unit) -> String {
    match unit {
        Unit::RequestsPerSecond | Unit::EventsPerSecond | Unit::DeliveriesPerSecond => format!("{value:.0}"),
        Unit::CpuMicrosPerRequest | Unit::Millis => format!("{value:.1}"),
        Unit::MicrosPerOperation | Unit::Megabytes => format!("{value:.2}"),
    }
}

fn goal(goal: Goal, unit: Unit) -> String {
    match goal {
        Goal::Within(number) => format!("<= {number} {}", unit.name()),
        Goal::Reach(number) => format!(">= {number} {}", unit.name()),
        Goal::AtLeast(number) => format!(">= {number}x"),
        Goal::AtMost(number) => format!("<= {number}x"),
    }
}

fn verdict(met: Option<bool>) -> &'static str {
    match met {
        None => "",
        Some(true) => "met",
        Some(false) => "MISSED",
    }
}

#[cfg(test)]
mod tests {
    use super::Report;
    use crate::bench::comparison::{Comparison, Goal, Latencies, Latency, Unit};

    fn report() -> Report {
        let mut report = Report::new("2 cores".to_owned());
        report.add_versions("peer 1.0".to_owned());
        let mut load = Comparison::sample(3000.4, 1000.0, Unit::RequestsPerSecond, Some(Goal::AtLeast(1.8)));
        load.latency =
            Some(Latencies { ours: Latency { p50: 1.0, p99: 2.5 }, peer: Latency { p50: 3.0, p99: 7.125 } });
        report.add(load);
        report.add(Comparison::sample(29.0, 20.0, Unit::Millis, Some(Goal::AtMost(1.4))));
        report.add(Comparison::sample(70.0, 140.0, Unit::CpuMicrosPerRequest, None));
        report
    }

    #[test]
    fn the_table_contains_figures_ratios_goals_and_verdicts() {
        let shown = report().to_string();
        let lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
        for expected in [
            vec!["2", "cores"],
            vec!["peer", "1.0"],
            vec!["x", "3000", "1000", "requests/s", "3.00x", ">=", "1.8x", "met", "y"],
            vec!["x", "29.0", "20.0", "ms", "1.45x", "<=", "1.4x", "MISSED", "y"],
            vec!["x", "70.0", "140.0", "CPU", "µs/request", "2.00x", "y"],
            vec!["x", "1.00", "2.50", "3.00", "7.12", "ms"],
        ] {
            assert!(lines.contains(&expected), "{expected:?} in\n{shown}");
        }
    }

    #[test]
    fn only_results_that_miss_a_goal_are_listed_as_missed() {
        assert_eq!(report().missed(), ["x (1.45)"]);
    }
}
