//! `streamio store`: the object store of a platform on this machine.

use clap::{Args, Subcommand};
use streamio_local::operator::check_store;
use streamio_local::s3::{CheckOptions, CheckReport, IndexState};

use super::data_directory::failure;
use crate::args::DataDirectory;
use crate::exit::{Exit, Failure};
use crate::output::{Output, size};
use crate::permissions::data_directory_failure;
use crate::progress::{Progress, Unit};

const EXAMPLES: &str = "\
Examples:
  streamio store check                # the index against the names and lengths of the files
  streamio store check --read         # and every byte against its checksum
  streamio store check --repair       # rebuild a missing or damaged index";

const CHECK_HELP: &str = "\
Examples:
  streamio store check --read --data ./streamio-data
  streamio store check --repair

The platform must not run. The store keeps, beside each object's files, a manifest with its key, version, type, length and \
checksums. --repair rebuilds a missing, damaged or outdated index from the manifests, moves the former index to s3/lost+found, and deletes \
nothing. Lost with the index are uploads in parts that were not completed, and after a power failure the objects of the last seconds.";

/// Check and repair the store of objects
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Command {
    /// Check that every object has its files, and repair the index
    #[command(after_help = CHECK_HELP)]
    Check(Check),
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Rebuild an index that is missing or damaged, and write manifests that are missing or wrong
    #[arg(long)]
    repair: bool,
    /// Read all bytes and compare them with their checksums
    #[arg(long)]
    read: bool,
    #[command(flatten)]
    data: DataDirectory,
}

/// Runs `streamio store`.
pub(crate) async fn run(command: Command, output: Output) -> Result<(), Failure> {
    let Command::Check(arguments) = command;
    let progress = Progress::new(output, "checking", Unit::Percent, 100);
    let (path, shown) = (arguments.data.path.clone(), progress.clone());
    let options = CheckOptions { repair: arguments.repair, read_bytes: arguments.read };
    let checked = tokio::task::spawn_blocking(move || {
        check_store(&path, options, |checked, total| shown.set(checked.saturating_mul(100) / total.max(1)))
    })
    .await;
    progress.finish();
    let report = checked
        .map_err(|error| Failure::new(Exit::Failed, format!("the check ended early: {error}"), ""))?
        .map_err(|error| data_directory_failure(&arguments.data.path).unwrap_or_else(|| failure(error)))?;
    output.result(&report, || text(&report))?;
    if report.faults.is_empty() {
        return Ok(());
    }
    let count = report.faults.len();
    let is_readable = matches!(report.index, IndexState::Intact | IndexState::Rebuilt);
    Err(Failure::new(
        Exit::Failed,
        if count == 1 { "1 fault was found".to_owned() } else { format!("{count} faults were found") },
        if arguments.repair || is_readable {
            ""
        } else {
            "`streamio store check --repair` rebuilds the index"
        },
    ))
}

fn text(report: &CheckReport) -> String {
    let CheckReport { index, objects, bytes, faults, repaired_manifests, unreferenced, lost_and_found } =
        report;
    let mut lines = faults.clone();
    if matches!(index, IndexState::Intact | IndexState::Rebuilt) {
        let index =
            if *index == IndexState::Rebuilt { "The index was rebuilt" } else { "The index is intact" };
        lines.push(format!("{index}: {objects} objects with {}", size(*bytes)));
    }
    let counted = [
        (*repaired_manifests, "manifests that were written"),
        (
            *unreferenced,
            "files of no known object (an upload that was not completed, or a lost manifest), which the next start moves to \
             s3/lost+found",
        ),
        (*lost_and_found, "files in s3/lost+found"),
    ];
    lines.extend(
        counted.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count}: {what}")),
    );
    lines.join("\n")
}
