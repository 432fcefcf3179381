//! `streamio video delete`.

use clap::Args;
use serde_json::json;

use super::Id;
use crate::args::Connection;
use crate::commands::confirm::{Change, confirm};
use crate::exit::Failure;
use crate::output::Output;

#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// The video's id or source key
    #[arg(value_name = "VIDEO")]
    id: Id,
    /// Delete without asking; necessary where there is no terminal to ask on
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Runs `streamio video delete`.
pub(super) async fn run(arguments: Delete, output: Output) -> Result<(), Failure> {
    let id = &arguments.id.0;
    if !arguments.yes {
        let question = format!("Delete {id}, its source and all outputs?");
        confirm(&Change {
            subject: id.as_str(),
            verb: "delete",
            participle: "deleted",
            question: &question,
        })?;
    }
    let client = super::client(&arguments.connection, output)?;
    let status = client.delete(id).await?;
    let status = if status.is_null() { json!({"videoId": id, "state": "deleted"}) } else { status };
    output.result(&status, || format!("Deleted {id}; its files are being removed"))
}
