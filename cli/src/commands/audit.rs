//! `streamio audit`: the transparency logs of a platform on this machine.

use clap::{Args, Subcommand};
use streamio_events::id::ProjectId;
use streamio_local::operator::{AuditVerification, IfMissing};

use super::data_directory::{failure, open};
use crate::args::DataDirectory;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::progress::{Progress, Unit};

const EXAMPLES: &str = "\
Examples:
  streamio audit verify
  streamio audit verify --project acme --data ./streamio-data";

const VERIFY_HELP: &str = "\
Examples:
  streamio audit verify
  streamio audit verify --project acme

Compares every commit with its chain of hashes, its place in the project's feed, the project's tree and the signed checkpoint. Works while the \
platform is running and while it is not. Commits since the last checkpoint, some seconds, have no tree yet.";

/// Verify the audit logs of the projects
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Command {
    /// Check that no event was changed, removed, inserted or reordered since it was signed, and that no tile is damaged
    #[command(after_help = VERIFY_HELP)]
    Verify(Verify),
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Only this project
    #[arg(long, value_name = "PROJECT")]
    project: Option<ProjectId>,
    #[command(flatten)]
    data: DataDirectory,
}

/// Runs `streamio audit`.
pub(crate) async fn run(command: Command, output: Output) -> Result<(), Failure> {
    let Command::Verify(arguments) = command;
    let operator = open(&arguments.data, IfMissing::Fail)?;
    let progress = Progress::new(output, "Verifying", Unit::Percent, 100);
    let verification = operator
        .verify_audit(arguments.project.as_ref(), |position, end| {
            progress.set(position.saturating_mul(100) / end.max(1));
        })
        .await;
    progress.finish();
    let verification = verification.map_err(failure)?;
    let AuditVerification { chains, checkpoints, proven, audit_findings } = &verification;
    let findings: Vec<&str> = chains.findings.iter().chain(audit_findings).map(String::as_str).collect();
    if findings.is_empty() {
        return output.result(&verification, || {
            format!(
                "No change found: {} streams with {} events in {} commits; {checkpoints} signed checkpoints of {proven} commits",
                chains.streams, chains.events, chains.commits
            )
        });
    }
    output.result(&verification, || findings.join("\n"))?;
    Err(Failure::new(
        Exit::Failed,
        format!("{} finding{}", findings.len(), if findings.len() == 1 { "" } else { "s" }),
        "if only tiles are damaged, stop the platform, remove audit/PROJECT/tile and start it; otherwise restore a backup with `streamio restore`",
    ))
}
