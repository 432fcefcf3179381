//! The figures of a run, from libFuzzer's output.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

/// The figures of one target.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Figures {
    /// The inputs that were run.
    pub(super) executions: u64,
    /// The places of the instrumented code that were reached.
    pub(super) coverage: u64,
    /// Inputs per second.
    pub(super) per_second: u64,
    /// Whether an input broke a law.
    pub(super) is_broken: bool,
}

impl Figures {
    /// Reads the output with `-print_final_stats=1`.
    pub(super) fn read(output: &str) -> Self {
        let stated = |name: &str| {
            let value = output.lines().rev().find_map(|line| line.trim().strip_prefix(name));
            value.and_then(|value| value.split_whitespace().next()?.parse().ok())
        };
        let coverage = output.lines().rev().find_map(|line| line.split_once(" cov: "));
        let coverage = coverage.and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok());
        Self {
            executions: stated("stat::number_of_executed_units:").unwrap_or(0),
            coverage: coverage.unwrap_or(0),
            per_second: stated("stat::average_exec_per_sec:").unwrap_or(0),
            is_broken: false,
        }
    }
}

/// The figures of all targets.
pub(super) fn table(results: &[(String, Figures)]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(["target", "executions", "coverage", "per second", ""]);
    for (name, figures) in results {
        let broken = if figures.is_broken { "a law is broken" } else { "" };
        let numbers =
            [figures.executions, figures.coverage, figures.per_second].map(|number| number.to_string());
        table.add_row([&[name.clone()][..], &numbers, &[broken.to_owned()]].concat());
    }
    for column in 1..4 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::{Figures, table};

    const OUTPUT: &str = "#2\tINITED cov: 61 ft: 62 corp: 1/1b exec/s: 0 rss: 40Mb\n\
        #4096\tpulse  cov: 70 ft: 90 corp: 9/30b lim: 43 exec/s: 2048 rss: 41Mb\n\
        #8192\tDONE   cov: 71 ft: 91 corp: 9/30b lim: 80 exec/s: 2730 rss: 41Mb\n\
        stat::number_of_executed_units: 8192\nstat::average_exec_per_sec:     2730\n";

    #[test]
    fn the_last_figures_count() {
        let figures = Figures { executions: 8192, coverage: 71, per_second: 2730, is_broken: false };
        assert_eq!(Figures::read(OUTPUT), figures);
        assert_eq!(Figures::read(""), Figures::default());
    }

    #[test]
    fn a_broken_law_is_in_the_row_of_its_target() {
        let broken = Figures { is_broken: true, ..Figures::read(OUTPUT) };
        let shown =
            table(&[("range".to_owned(), broken), ("fact".to_owned(), Figures::default())]).to_string();
        let row = shown.lines().find(|line| line.contains("range")).unwrap();
        assert!(row.contains("8192") && row.contains("a law is broken"), "{shown}");
        assert_eq!(shown.matches("broken").count(), 1);
    }
}
