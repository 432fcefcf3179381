//! `streamio audit verify`.

use clap::Args;
use streamio_events::id::ProjectId;
use streamio_local::operator::{AuditVerification, IfMissing};

use crate::args::Target;
use crate::commands::data_directory::failure;
use crate::commands::platform::Platform;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::progress::{Progress, Unit};

pub(super) const HELP: &str = "\
Examples:
  streamio audit verify
  streamio audit verify --project acme
  streamio audit verify --project acme --aws

Compares every commit with its chain of hashes, its place in the project's feed, the project's tree, the signed checkpoint and those that the log \
records. Works while the platform is running and while it is not. Commits since the last checkpoint, some seconds, have no tree yet; their number is \
printed. A history that was changed together with all of its checkpoints shows only in a checkpoint that somebody has kept elsewhere. \
On AWS there are no trees yet: only the chains of hashes are verified, for which the whole table of the event log is read.";

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Only this project
    #[arg(long, value_name = "PROJECT")]
    project: Option<ProjectId>,
    #[command(flatten)]
    target: Target,
}

/// Runs `streamio audit verify`.
pub(super) async fn run(arguments: Verify, output: Output) -> Result<(), Failure> {
    let mut verification = AuditVerification::default();
    let result = match Platform::open(&arguments.target, IfMissing::Fail).await? {
        Platform::Local(operator) => {
            let progress = Progress::new(output, "Verifying", Unit::Percent, 100);
            let on_progress =
                |position: u64, end: u64| progress.set(position.saturating_mul(100) / end.max(1));
            let result =
                operator.verify_audit(arguments.project.as_ref(), on_progress, &mut verification).await;
            progress.finish();
            result
        }
        #[cfg(feature = "aws")]
        Platform::Aws(operator) => {
            output.note(
                "There are no trees and checkpoints on AWS yet: only the chains of hashes are verified",
            );
            verification.chains =
                crate::commands::aws::verify(&operator, arguments.project.as_ref(), output).await?;
            Ok(())
        }
    };
    let AuditVerification { chains, checkpoints, proven, unsigned, audit_findings, notes } = &verification;
    let findings: Vec<&str> = chains.findings.iter().chain(audit_findings).map(String::as_str).collect();
    if let Err(error) = result {
        // What was found before the error is not lost with it.
        if !findings.is_empty() {
            output.result(&verification, || findings.join("\n"))?;
        }
        return Err(failure(error));
    }
    if findings.is_empty() {
        return output.result(&verification, || {
            let unsigned = match unsigned {
                0 => String::new(),
                unsigned => format!("; {unsigned} commits have no checkpoint yet"),
            };
            let summary = format!(
                "No change found: {} streams with {} events in {} commits; {checkpoints} signed checkpoints of {proven} commits{unsigned}",
                chains.streams, chains.events, chains.commits
            );
            std::iter::once(&summary).chain(notes).map(String::as_str).collect::<Vec<_>>().join("\n")
        });
    }
    output.result(&verification, || findings.join("\n"))?;
    Err(Failure::new(
        Exit::Failed,
        format!("{} finding{}", findings.len(), if findings.len() == 1 { "" } else { "s" }),
        "if only tiles are damaged, stop the platform, remove audit/PROJECT/tile and start it; if only a checkpoint is missing or older than \
         a recorded one, see `streamio audit recover --help`; otherwise restore a backup with `streamio restore`, on AWS the table to a point \
         in time",
    ))
}
