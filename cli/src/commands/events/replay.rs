//! `streamio events replay`: rebuilds a view from the log beside the live one.

use std::path::PathBuf;
use std::sync::Arc;

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use streamio_local::log_bound::LogBound;
use streamio_local::operator::IfMissing;
use streamio_local::progress::Progress;
use streamio_local::replay::{Difference, Options, Report, View};

use super::progress::with_progress;
use crate::args::DataDirectory;
use crate::commands::data_directory::{failure, open};
use crate::exit::{Exit, Failure};
use crate::output::Output;

pub(super) const HELP: &str = "\
Examples:
  streamio events replay --view status                    # does the view follow from the log?
  streamio events replay --view status --dry-run          # which rows do not?
  streamio events replay --view status --swap             # replace them
  streamio events replay --view usage --dry-run --from 2026-01-02T00:00:00Z
  streamio events replay --view status --to 2026-01-02T03:04:05Z --into then.db

Views: `status` (videos), `webhooks` (deliveries, which endpoints receive messages, replays) and `usage`. Nothing is sent, started or appended. The \
platform may run meanwhile: what it records is folded before the views are compared, and the rows that differ are replaced in one transaction. \
Every commit's hash is checked. A replay that is interrupted leaves the live view as it is.";

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// The view to rebuild
    #[arg(long, value_name = "NAME")]
    view: Name,
    /// Keep the rebuilt view in this SQLite file, which must not exist
    #[arg(long, value_name = "NEW")]
    into: Option<PathBuf>,
    /// Compare only rows that events from this time or position on changed
    #[arg(long, value_name = "TIME|POSITION")]
    from: Option<LogBound>,
    /// Rebuild the view as it was before this time, or at this position; rows that later events changed are not compared
    #[arg(long, value_name = "TIME|POSITION", conflicts_with = "swap")]
    to: Option<LogBound>,
    /// Print the rows in which the live view differs, and change nothing
    #[arg(long, conflicts_with = "swap")]
    dry_run: bool,
    /// Replace the rows of the live view that differ
    #[arg(long)]
    swap: bool,
    /// Number of threads (default: one per core)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: Option<u16>,
    #[command(flatten)]
    data: DataDirectory,
}

/// The name of a view.
#[derive(Debug, Clone, Copy)]
struct Name(View);

impl ValueEnum for Name {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [Name; 3] = [Name(View::ALL[0]), Name(View::ALL[1]), Name(View::ALL[2])];
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.name()))
    }
}

/// Runs `streamio events replay`.
pub(super) async fn run(arguments: Replay, output: Output) -> Result<(), Failure> {
    let Replay { view, into, from, to, dry_run, swap, threads, data } = arguments;
    let operator = open(&data, IfMissing::Fail)?;
    let options = Options { view: view.0, into, from, to, swap, threads: threads.map(usize::from) };
    let progress = Arc::new(Progress::default());
    let replaying = operator.replay(options.clone(), Arc::clone(&progress));
    let replayed = with_progress(output, "Replaying", &progress, replaying).await;
    let report = replayed.map_err(failure)?;
    output.result(&report, || text(&report, &options, dry_run))?;
    outcome(&report, dry_run)
}

fn outcome(report: &Report, dry_run: bool) -> Result<(), Failure> {
    let failed = |message: String, hint: &str| Err(Failure::new(Exit::Failed, message, hint));
    if !report.unreadable.is_empty() {
        return failed(
            format!("streams that cannot be read: {}", report.unreadable.len()),
            "`streamio events verify` lists damaged streams; restore a backup with `streamio restore`",
        );
    }
    let is_equal = report.live_hash.as_ref().is_none_or(|live| *live == report.hash);
    if !is_equal && report.swapped {
        return failed("rows differ again after they were replaced".to_owned(), "run the command again");
    }
    if !is_equal {
        return failed(
            format!("rows that differ: {}", report.differences.len()),
            if dry_run {
                "`--swap` replaces them"
            } else {
                "`--dry-run` prints them, `--swap` replaces them"
            },
        );
    }
    Ok(())
}

/// The report for people.
fn text(report: &Report, options: &Options, dry_run: bool) -> String {
    let mut lines = Vec::new();
    if dry_run {
        lines.extend(report.differences.iter().map(line));
    }
    let unreadable =
        report.unreadable.iter().map(|skipped| format!("unreadable {}: {}", skipped.stream, skipped.reason));
    lines.extend(unreadable);
    let Report { view, position, events, rows, rebuild_seconds, .. } = report;
    lines.push(format!(
        "Rebuilt {view} up to position {position}: {rows} rows from {events} events in {rebuild_seconds:.1} s"
    ));
    if let Some(path) = &options.into {
        lines.push(format!("It is in {}", path.display()));
    }
    if report.pending > 0 {
        lines.push(format!(
            "Not compared, because the platform has yet to update them: {} streams",
            report.pending
        ));
    }
    lines.push(match &report.live_hash {
        None => format!("There is no live view to compare with. Hash {}", report.hash),
        Some(live) if report.swapped && *live == report.hash => {
            format!("Replaced {} rows; the live view has the same hash now: {live}", report.differences.len())
        }
        Some(live) if *live == report.hash => format!("The live view has the same hash: {live}"),
        Some(live) => format!("The live view differs: its hash is {live} instead of {}", report.hash),
    });
    lines.join("\n")
}

fn line(difference: &Difference) -> String {
    let Difference { table, key, kind, columns, .. } = difference;
    let columns = if columns.is_empty() { String::new() } else { format!(": {}", columns.join(", ")) };
    format!("{} {table} {}{columns}", kind.as_str(), key.join(" "))
}
