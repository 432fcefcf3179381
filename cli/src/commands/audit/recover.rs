//! `streamio audit recover`.

use clap::Args;
use serde_json::json;
use streamio_events::id::ProjectId;
use streamio_local::operator::IfMissing;

use crate::args::DataDirectory;
use crate::commands::data_directory::{failure, open};
use crate::exit::Failure;
use crate::output::Output;

pub(super) const HELP: &str = "\
Examples:
  streamio audit recover acme

For a checkpoint that was lost and is in no backup: the platform does not go on from a missing or older checkpoint than the log records. Puts the last \
recorded one in its place if the commits have its root. Stop the platform first. Nothing shows whether the commits between this checkpoint and the lost one \
were changed, at most an hour's.";

#[derive(Debug, Args)]
pub(crate) struct Recover {
    /// The project
    #[arg(value_name = "PROJECT")]
    project: ProjectId,
    #[command(flatten)]
    data: DataDirectory,
}

/// Runs `streamio audit recover`.
pub(super) async fn run(arguments: Recover, output: Output) -> Result<(), Failure> {
    let Recover { project, data } = arguments;
    let recovered = open(&data, IfMissing::Fail)?.recover_checkpoint(&project).await.map_err(failure)?;
    output.result(&json!({ "projectId": project, "size": recovered }), || match recovered {
        Some(size) => format!("The audit log of {project} goes on from its checkpoint of {size} commits"),
        None => format!(
            "Nothing was changed: the log records no newer checkpoint of {project} than the stored one"
        ),
    })
}
