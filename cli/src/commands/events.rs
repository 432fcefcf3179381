//! `streamio events`: reads the event log of a platform, or a project's events through the API.

mod export;
mod feed;
mod progress;
mod replay;

use std::io::{self, Write};

use clap::{Args, Subcommand};
use streamio_events::cloud_event::CloudEvent;
use streamio_events::event::EVENT_TYPES;
use streamio_events::id::ProjectId;
#[cfg(feature = "aws")]
use streamio_lambdas::operator::AwsOperatorError;
use streamio_local::operator::{Filter, IfMissing, OperatorError, Verification};

use super::data_directory::failure;
use super::platform::Platform;
use crate::args::Target;
use crate::exit::{Exit, Failure};
use crate::output::{Output, unwritable};
use crate::progress::{Progress, Unit};
use crate::signals::stop_requested;

const EXAMPLES: &str = "\
Examples:
  streamio events tail                                  # the last 20 events
  streamio events tail --follow --project acme --type video
  streamio events tail --lines 1000 | jq -r 'select(.type == \"video.errored\") | .data.error.message'
  streamio events export --output events.jsonl.zst
  streamio events verify                                # every chain of hashes
  streamio events replay --view status --dry-run        # rebuild a view beside the live one
  streamio events feed --follow                         # of the API key's project, through the API
  streamio events tail --aws --project acme --follow

`tail`, `feed` and `export` write CloudEvents 1.0, one JSON object per line. `tail`, `export`, `verify` and `replay` open the data directory; they work while \
the platform is running and while it is not. With --aws they read the tables of the deployment, but for `replay`: `tail` the feed of one project, `export` \
and `verify` the whole table of the event log.";

/// Read the event log
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Command {
    /// Print the last events, and with --follow new ones as they happen
    #[command(
        after_help = "Examples:\n  streamio events tail --lines 100 --project acme\n  streamio events tail --follow --type video\n  streamio events tail --aws --project acme\n\nOn AWS --project is needed: the events of all projects have no order there."
    )]
    Tail(Tail),
    /// Write the log as JSON Lines, compressed or not, in one go or in several
    #[command(after_help = export::HELP)]
    Export(export::Export),
    /// Check that no event was changed, removed or reordered: every stream's chain of hashes
    #[command(
        after_help = "Example:\n  streamio events verify\n\nA chain cannot show that its last commits were removed: compare with an export that was kept elsewhere."
    )]
    Verify(Verify),
    /// Rebuild a view from the log beside the live one, compare them, and replace what differs
    #[command(after_help = replay::HELP)]
    Replay(replay::Replay),
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
    target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    target: Target,
}

/// Runs `streamio events`.
pub(crate) async fn run(command: Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::Tail(arguments) => tail(arguments, output).await,
        Command::Export(arguments) => export::run(arguments, output).await,
        Command::Verify(arguments) => verify(&arguments, output).await,
        Command::Replay(arguments) => replay::run(arguments, output).await,
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
    let platform = Platform::open(&arguments.target, IfMissing::Fail).await?;
    let print = |event: &CloudEvent| {
        let mut stdout = io::stdout().lock();
        serde_json::to_writer(&mut stdout, event)?;
        stdout.write_all(b"\n")?;
        stdout.flush()
    };
    let (lines, follow) = (arguments.lines, arguments.follow);
    let printing = async {
        match &platform {
            Platform::Local(operator) => {
                let warn = |error: &_| output.note(&format!("warning: {error}"));
                match operator.tail(&filter, lines, follow, print, warn).await {
                    Err(OperatorError::Write(error)) => print_outcome(Err(error)),
                    outcome => outcome.map_err(failure),
                }
            }
            #[cfg(feature = "aws")]
            Platform::Aws(operator) => {
                let Some(project) = &filter.project_id else {
                    return Err(Failure::usage(
                        "on AWS the events of one project are read",
                        "name it with --project; `streamio project list --aws` lists them",
                    ));
                };
                let warn = |damaged| output.note(&format!("warning: {damaged}"));
                match operator.tail(project, &filter, lines, follow, print, warn).await {
                    Err(AwsOperatorError::Write(error)) => print_outcome(Err(error)),
                    outcome => outcome.map_err(super::aws::failure),
                }
            }
        }
    };
    if !follow {
        return printing.await;
    }
    tokio::select! {
        outcome = printing => outcome,
        // The normal end of --follow.
        () = stop_requested() => Ok(()),
    }
}

async fn verify(arguments: &Verify, output: Output) -> Result<(), Failure> {
    let mut verification = Verification::default();
    let result = match Platform::open(&arguments.target, IfMissing::Fail).await? {
        Platform::Local(operator) => {
            let progress = Progress::new(output, "Verifying", Unit::Percent, 100);
            let on_progress =
                |position: u64, end: u64| progress.set(position.saturating_mul(100) / end.max(1));
            let result = operator.verify(on_progress, &mut verification).await;
            progress.finish();
            result
        }
        #[cfg(feature = "aws")]
        Platform::Aws(operator) => {
            verification = super::aws::verify(&operator, None, output).await?;
            Ok(())
        }
    };
    if let Err(error) = result {
        // What was found before the error is not lost with it.
        if !verification.findings.is_empty() {
            output.result(&verification, || verification.findings.join("\n"))?;
        }
        return Err(failure(error));
    }
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
        "restore a backup with `streamio restore` (on AWS the table to a point in time), or compare with an earlier export",
    ))
}

/// The outcome of printing to standard output. A closed pipe (`| head`) is not a failure.
fn print_outcome(outcome: io::Result<()>) -> Result<(), Failure> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome.map_err(|error| unwritable(&error)),
    }
}
