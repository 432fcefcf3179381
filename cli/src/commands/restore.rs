//! `streamio restore`: makes a data directory from a backup.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use streamio_local::backup;

use super::backup::{failure, reported, summary};
use crate::args::DataDirectory;
use crate::exit::Failure;
use crate::output::Output;

const HELP: &str = "\
Examples:
  streamio restore /backups/monday --data ./restored
  streamio up --data ./restored

  mv streamio-data streamio-data.broken       # in place of a data directory that exists
  streamio restore /backups/monday

The backup is verified first and stays as it is. Nothing is replaced: the data directory must not exist or be empty. The restored \
platform has the same API keys, objects and ports, and what was signed stays valid; what happened after the backup is not in it. \
Do not run it beside the original: both would process the same uploads.";

/// Make a data directory from a backup
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Arguments {
    /// The directory that `streamio backup` made
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    #[command(flatten)]
    data: DataDirectory,
}

/// Runs `streamio restore`.
pub(crate) async fn run(arguments: Arguments, output: Output) -> Result<(), Failure> {
    let Arguments { directory, data } = arguments;
    let (progress, report) = reported(output, "Restoring");
    let restored = backup::restore(&directory, &data.path, report).await;
    progress.finish();
    let restored = restored.map_err(|error| failure(&error))?;
    output.result(&json!({"dataDir": &data.path, "backup": &restored}), || {
        format!(
            "Restored {} of {} to {}",
            summary(&restored.contents),
            restored.created_at,
            data.path.display()
        )
    })
}
