//! `streamio audit`: the transparency logs, for the operator of a platform and for tenants.

mod check_export;
mod recover;
mod verify;
mod watch;

use clap::Subcommand;

use crate::exit::Failure;
use crate::output::Output;

const EXAMPLES: &str = "\
Examples:
  streamio audit verify
  streamio audit verify --project acme --data ./streamio-data
  streamio audit recover acme
  streamio audit check-export events.jsonl --checkpoint kept.checkpoint --public-key \"$KEY\"
  streamio audit watch --state acme.audit.json";

/// Verify the audit logs of the projects
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Command {
    /// Check that no event was changed, removed, inserted or reordered since it was signed, and that no tile is damaged
    #[command(after_help = verify::HELP)]
    Verify(verify::Verify),
    /// Continue the audit log of a project from the last checkpoint that its events record
    #[command(after_help = recover::HELP)]
    Recover(recover::Recover),
    /// Compare an export of the log with a checkpoint, offline
    #[command(after_help = check_export::HELP)]
    CheckExport(check_export::CheckExport),
    /// Check that the log of your project has only grown since the last time
    #[command(after_help = watch::HELP)]
    Watch(watch::Watch),
}

/// Runs `streamio audit`.
pub(crate) async fn run(command: Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::Verify(arguments) => verify::run(arguments, output).await,
        Command::Recover(arguments) => recover::run(arguments, output).await,
        Command::CheckExport(arguments) => check_export::run(&arguments, output),
        Command::Watch(arguments) => watch::run(arguments, output).await,
    }
}
