//! `streamio dead-letters`: the records that the platform could not handle.

mod list;
mod redrive;
mod selection;
mod show;

use clap::Subcommand;
use streamio_local::operator::FUNCTIONS;

use crate::exit::{Exit, Failure};
use crate::output::Output;

const EXAMPLES: &str = "\
Examples:
  streamio dead-letters list
  streamio dead-letters show react 1042                # with the whole record
  streamio dead-letters redrive react 1042             # after the cause was removed
  streamio dead-letters redrive --all --function views --aws

A record becomes a dead letter when it cannot be read, or its handling fails for a reason that does not pass. Its stream is quarantined, \
and all others go on. A redrive has the record handled again by the same logic, and removes the dead letter only if that succeeds; it may \
be repeated.";

/// List, show and handle again the records that could not be handled
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Command {
    /// List dead letters, oldest first
    #[command(after_help = list::EXAMPLES)]
    List(list::List),
    /// Show a dead letter with its whole record
    #[command(after_help = "Example:\n  streamio dead-letters show react 1042")]
    Show(show::Show),
    /// Handle records again, and remove the dead letters of those that succeed
    #[command(after_help = redrive::EXAMPLES)]
    Redrive(redrive::Redrive),
}

/// Runs `streamio dead-letters`.
pub(crate) async fn run(command: Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::List(arguments) => list::run(arguments, output).await,
        Command::Show(arguments) => show::run(arguments, output).await,
        Command::Redrive(arguments) => redrive::run(arguments, output).await,
    }
}

/// Parses the name of a function.
fn function(text: &str) -> Result<&'static str, String> {
    let known = FUNCTIONS.into_iter().find(|known| *known == text);
    known.ok_or_else(|| format!("must be one of {}", FUNCTIONS.join(", ")))
}

/// The failure if there is no such dead letter.
fn absent(function: &str, id: &str) -> Failure {
    Failure::new(
        Exit::NotFound,
        format!("there is no dead letter {id} of {function}"),
        "it may have been handled since; list them with `streamio dead-letters list`",
    )
}
