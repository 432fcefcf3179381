//! `streamio events`: reads the event log of a platform on this machine, or a project's events through the API.

mod feed;

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;
use streamio_events::cloud_event::CloudEvent;
use streamio_events::event::EVENT_TYPES;
use streamio_events::id::ProjectId;
use streamio_local::operator::{ExportSummary, Filter, IfMissing, Operator, OperatorError, Verification};

use super::data_directory::{failure, open};
use crate::args::DataDirectory;
use crate::exit::{Exit, Failure};
use crate::output::{Output, unwritable};
use crate::progress::{Progress, Unit};
use crate::signals::stop_requested;

const EXAMPLES: &str = "\
Examples:
  streamio events tail                                  # the last 20 events
  streamio events tail --follow --project acme --type video
  streamio events tail --lines 1000 | jq -r 'select(.type == \"video.errored\") | .data.error.message'
  streamio events export --output events.jsonl
  streamio events verify                                # every chain of hashes
  streamio events feed --follow                         # of the API key's project, through the API

`tail` and `feed` print CloudEvents 1.0, one JSON object per line. `export` writes complete commits with their \
chained hashes, so that an archive can be verified later. `tail`, `export` and `verify` open the data directory; they work while \
the platform is running and while it is not.";

/// Read the event log
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Command {
    /// Print the last events, and with --follow new ones as they happen
    #[command(
        after_help = "Examples:\n  streamio events tail --lines 100 --project acme\n  streamio events tail --follow --type video"
    )]
    Tail(Tail),
    /// Write the complete log, with its hashes
    #[command(after_help = "Example:\n  streamio events export --output events.jsonl")]
    Export(Export),
    /// Check that no event was changed, removed or reordered: every stream's chain of hashes
    #[command(
        after_help = "Example:\n  streamio events verify\n\nA chain cannot show that its last commits were removed: compare with an export that was kept elsewhere."
    )]
    Verify(Verify),
    /// Print the events of the API key's project through the API, and with --follow new ones as they happen
    #[command(
        after_help = "Examples:\n  streamio events feed --follow\n  streamio events feed --after POSITION      # a position that an earlier run has printed"
    )]
    Feed(feed::Feed),
}

#[derive(Debug, Args)]
pub(crate) struct Tail {
    /// Continue to print new events until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// Number of past events to print first
    #[arg(long, short = 'n', value_name = "N", default_value = "20")]
    lines: usize,
    /// Only events of this project
    #[arg(long, value_name = "PROJECT")]
    project: Option<ProjectId>,
    /// Only events of this type, such as video.ready, or with this prefix, such as video (repeatable)
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',')]
    types: Vec<String>,
    #[command(flatten)]
    data: DataDirectory,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Write to this file, which is created when the export is complete (default: standard output)
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    data: DataDirectory,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    data: DataDirectory,
}

/// Runs `streamio events`.
pub(crate) async fn run(command: Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::Tail(arguments) => tail(arguments, output).await,
        Command::Export(arguments) => export(arguments, output).await,
        Command::Verify(arguments) => verify(&arguments, output).await,
        Command::Feed(arguments) => feed::run(arguments, output).await,
    }
}

async fn tail(arguments: Tail, output: Output) -> Result<(), Failure> {
    let filter = Filter { project_id: arguments.project, types: arguments.types };
    if let Some(unknown) = filter.unknown_type() {
        let known: Vec<_> = EVENT_TYPES.iter().map(|(kind, _)| *kind).collect();
        return Err(Failure::usage(
            format!("there is no event type {unknown}"),
            format!("use a prefix such as video, or one of {}", known.join(", ")),
        ));
    }
    let operator = open(&arguments.data, IfMissing::Fail)?;
    let print = |event: &CloudEvent| {
        let mut stdout = io::stdout().lock();
        serde_json::to_writer(&mut stdout, event)?;
        stdout.write_all(b"\n")?;
        stdout.flush()
    };
    let warn = |error: &_| output.note(&format!("warning: {error}"));
    let printing = operator.tail(&filter, arguments.lines, arguments.follow, print, warn);
    if !arguments.follow {
        return print_outcome(printing.await);
    }
    tokio::select! {
        outcome = printing => print_outcome(outcome),
        // The normal end of --follow.
        () = stop_requested() => Ok(()),
    }
}

async fn export(arguments: Export, output: Output) -> Result<(), Failure> {
    let operator = open(&arguments.data, IfMissing::Fail)?;
    match &arguments.output {
        None => {
            let mut stdout = BufWriter::new(io::stdout());
            print_outcome(operator.export(&mut stdout).await.map(|_| ()))
        }
        Some(path) => {
            let ExportSummary { commits, events } = export_to_file(&operator, path).await?;
            output.result(&json!({"file": path, "commits": commits, "events": events}), || {
                format!("Wrote {events} events in {commits} commits to {}", path.display())
            })
        }
    }
}

async fn verify(arguments: &Verify, output: Output) -> Result<(), Failure> {
    let operator = open(&arguments.data, IfMissing::Fail)?;
    let progress = Progress::new(output, "Verifying", Unit::Percent, 100);
    let verification =
        operator.verify(|position, end| progress.set(position.saturating_mul(100) / end.max(1)));
    let verification = verification.await;
    progress.finish();
    let verification = verification.map_err(failure)?;
    let Verification { streams, commits, events, findings } = &verification;
    if findings.is_empty() {
        return output.result(&verification, || {
            format!("No change found: {streams} streams with {events} events in {commits} commits")
        });
    }
    output.result(&verification, || findings.join("\n"))?;
    Err(Failure::new(
        Exit::Failed,
        format!("defects of the log: {}", findings.len()),
        "restore a backup with `streamio restore`, or compare with an earlier export",
    ))
}

/// Writes to a temporary file first, so that `path` always is a complete export.
async fn export_to_file(operator: &Operator, path: &Path) -> Result<ExportSummary, Failure> {
    let failed = |error: &io::Error| {
        Failure::new(
            Exit::Failed,
            format!("cannot write {}: {error}", path.display()),
            "choose another --output",
        )
    };
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let file = tempfile::NamedTempFile::new_in(directory).map_err(|error| failed(&error))?;
    let mut writer = BufWriter::new(file);
    let written = operator.export(&mut writer).await.map_err(failure)?;
    let file = writer.into_inner().map_err(|error| failed(error.error()))?;
    file.as_file().sync_all().map_err(|error| failed(&error))?;
    file.persist(path).map_err(|error| failed(&error.error))?;
    Ok(written)
}

/// The outcome of printing to standard output. A closed pipe (`| head`) is not a failure.
fn print_outcome(outcome: Result<(), OperatorError>) -> Result<(), Failure> {
    match outcome {
        Err(OperatorError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(OperatorError::Write(error)) => Err(unwritable(&error)),
        outcome => outcome.map_err(failure),
    }
}
