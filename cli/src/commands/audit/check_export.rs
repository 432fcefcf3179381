//! `streamio audit check-export`.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use streamio_local::audit_check::{ExportCheck, ExportError, LogKey, check_export};
use streamio_local::export::open;

use crate::exit::{Exit, Failure};
use crate::output::Output;

pub(super) const HELP: &str = "\
Examples:
  streamio audit check-export archive.jsonl.zst --checkpoint kept.checkpoint --public-key \"$KEY\"

Needs no platform and no data directory. FILE is what `streamio events export --format commits --project PROJECT` wrote, compressed or not; lines of other projects are skipped. KEY is the publicKey of `GET \
/audit/public-key`, and the checkpoint is what `GET /audit/checkpoint` returned; keep both where the operator cannot change them. Computes the hashes \
of all commits again, their chains and the root of their tree.";

#[derive(Debug, Args)]
pub(crate) struct CheckExport {
    /// The export, of complete commits (`--format commits`)
    #[arg(value_name = "FILE")]
    export: PathBuf,
    /// File with the checkpoint
    #[arg(long, value_name = "FILE")]
    checkpoint: PathBuf,
    /// Public key of the project's log, `<host>/<project>+<id>+<base64>`
    #[arg(long, value_name = "KEY")]
    public_key: LogKey,
}

/// Runs `streamio audit check-export`.
pub(super) fn run(arguments: &CheckExport, output: Output) -> Result<(), Failure> {
    let CheckExport { export, checkpoint, public_key } = arguments;
    let note = std::fs::read_to_string(checkpoint).map_err(|error| unreadable(checkpoint, &error))?;
    let lines = open(export).map_err(|error| unreadable(export, &error))?;
    let found = check_export(lines, &note, public_key).map_err(|error| match error {
        ExportError::Events(_) | ExportError::LongLine(_) | ExportError::NoCommits(_) => Failure::new(
            Exit::Failed,
            format!("{}: {error}", export.display()),
            "ask the operator for an export that was made with `streamio events export --format commits --project PROJECT`",
        ),
        ExportError::Read(error) => unreadable(export, &error),
        ExportError::Checkpoint(_) => Failure::new(
            Exit::Failed,
            format!("{}: {error}", checkpoint.display()),
            "use the file and the key as the API returned them, both of the same project",
        ),
    })?;
    let ExportCheck { project_id, size, commits, findings } = &found;
    if findings.is_empty() {
        return output.result(&found, || {
            let later = match commits - size {
                0 => String::new(),
                later => format!("; {later} later ones are not in it"),
            };
            format!("No change found: {size} commits of {project_id} have the root of the checkpoint{later}")
        });
    }
    output.result(&found, || findings.join("\n"))?;
    let count = format!("{} finding{}", findings.len(), if findings.len() == 1 { "" } else { "s" });
    Err(Failure::new(
        Exit::Failed,
        count,
        "the export is not of the log that was signed: ask the operator for another one",
    ))
}

/// The failure for a file that cannot be read.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let message = format!("cannot read {}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::NotFound => Failure::new(Exit::NotFound, message, "name an existing file"),
        io::ErrorKind::PermissionDenied => {
            Failure::permission(message, "run the command as the owner of the file")
        }
        _ => Failure::new(Exit::Failed, message, "name a readable file"),
    }
}
