//! `streamio backup`: copies a platform's data while it runs or not.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde_json::json;
use streamio_local::backup::{self, BackupError, Contents, Report};

use super::data_directory;
use crate::args::DataDirectory;
use crate::exit::{Exit, Failure};
use crate::output::{Output, size};
use crate::permissions::data_directory_failure;
use crate::progress::{Progress, Unit};

const HELP: &str = "\
Examples:
  streamio backup /backups/monday
  streamio backup /backups/monday --data /srv/streamio --json
  rsync -a /backups/monday other-machine:/backups/     # a copy that survives this disk

The platform may run meanwhile. The backup has the event log, the objects and the generated keys, as they were at one moment, and is \
verified. A DIR that exists is complete: it is made as DIR.partial.

On the disk of the data directory, the files of objects are hard links: they take no space and little time. Such a backup helps \
against deleted objects and a damaged database, not against the loss of the disk: copy it elsewhere. Who can read it can sign URLs \
and read all videos. Restore it with `streamio restore`.";

/// Back up the platform's data to a new directory, while it runs or not
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Arguments {
    /// The directory to make, which must not exist or be empty
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    #[command(flatten)]
    data: DataDirectory,
}

/// Runs `streamio backup`.
pub(crate) async fn run(arguments: Arguments, output: Output) -> Result<(), Failure> {
    let Arguments { directory, data } = arguments;
    let (progress, report) = reported(output, "Backing up");
    let made = backup::back_up(&data.path, &directory, report).await;
    progress.finish();
    let made = made.map_err(|error| data_directory_failure(&data.path).unwrap_or_else(|| failure(&error)))?;
    output.result(&json!({"directory": &directory, "backup": &made}), || {
        let guidance = if is_same_file_system(&data.path, &directory) {
            output.guidance(
                "\nCopy it to another disk: its files are hard links to those of the data directory",
            )
        } else {
            String::new()
        };
        format!("Backed up {} to {}{guidance}", summary(&made.contents), directory.display())
    })
}

/// Whether two directories are in one file system, in which files can be linked.
fn is_same_file_system(one: &Path, other: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).map(|found| found.dev()).ok();
    device(one) == device(other)
}

/// The progress of making or restoring a backup, and the function that reports it.
pub(super) fn reported(output: Output, label: &str) -> (Progress, Report) {
    let progress = Progress::new(output, label, Unit::Percent, 100);
    let shown = progress.clone();
    let report = move |step: &'static str, percent| {
        shown.step(step);
        shown.set(percent);
    };
    (progress, Arc::new(report))
}

/// What a backup has, in words.
pub(super) fn summary(contents: &Contents) -> String {
    let Contents { events, streams, object_versions, object_bytes, .. } = contents;
    format!(
        "{events} events in {streams} streams and {object_versions} versions of objects ({})",
        size(*object_bytes)
    )
}

/// The failure for an error of making or restoring a backup, with its exit code and what to do.
pub(super) fn failure(error: &BackupError) -> Failure {
    let message = data_directory::error_chain(error);
    let failed = |hint: &str| Failure::new(Exit::Failed, &message, hint);
    match error {
        BackupError::NoData(_) => {
            Failure::new(Exit::NotFound, message, "name the platform's directory with --data")
        }
        BackupError::NoBackup(_) => {
            Failure::new(Exit::NotFound, message, "name a directory that `streamio backup` made")
        }
        BackupError::NotEmpty(_) => {
            failed("name a directory that does not exist, or move this one away first")
        }
        BackupError::InsideData(_) => failed("name a directory elsewhere, best on another disk"),
        BackupError::DeletedMeanwhile(_) => Failure::new(
            Exit::Unavailable,
            message,
            "try again when fewer objects are deleted, or back up to the disk of the data directory and copy the backup from there",
        ),
        BackupError::LogChanged(_) => {
            failed("`streamio events verify` lists all damaged streams; keep the earlier backups")
        }
        BackupError::FileMissing(_)
        | BackupError::FileLength { .. }
        | BackupError::IndexMissing(_)
        | BackupError::DatabaseDamaged { .. } => failed("keep the earlier backups: data was lost here"),
        BackupError::Changed { .. } | BackupError::ManifestDamaged { .. } => {
            failed("restore another backup, or another copy of this one")
        }
        BackupError::DataDir(_)
        | BackupError::Log(_)
        | BackupError::Io { .. }
        | BackupError::Database { .. } => {
            failed("check the disk, its free space and the permissions, then try again")
        }
        BackupError::MountPoint(_)
        | BackupError::Leftover(_)
        | BackupError::IndexTooNew { .. }
        | BackupError::Format { .. } => failed(""),
    }
}
