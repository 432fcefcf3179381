//! `streamio video delete`.

use std::io::{self, IsTerminal, Write};

use clap::Args;
use serde_json::json;
use streamio_events::id::VideoId;

use super::Id;
use crate::args::Connection;
use crate::exit::{Exit, Failure};
use crate::output::{Output, is_terminal};

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
        confirm(id)?;
    }
    let client = super::client(&arguments.connection, output)?;
    let status = client.delete(id).await?;
    let status = if status.is_null() { json!({"videoId": id, "state": "deleted"}) } else { status };
    output.result(&status, || format!("Deleted {id}; its files are being removed"))
}

/// Asks on the terminal whether to delete the video. Without a terminal nothing is deleted.
fn confirm(id: &VideoId) -> Result<(), Failure> {
    if !io::stdin().is_terminal() || !is_terminal() {
        return Err(Failure::usage(
            format!("{id} was not deleted: there is no terminal to ask for a confirmation"),
            "add --yes to delete it without a question",
        ));
    }
    // If the question cannot be shown or answered, nothing is deleted.
    let _ = write!(io::stderr(), "Delete {id}, its source and all outputs? [y/N] ");
    let _ = io::stderr().flush();
    let mut line = String::new();
    if io::stdin().read_line(&mut line).is_ok() && matches!(line.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(Failure::new(Exit::Failed, format!("{id} was not deleted"), "answer y, or use --yes"))
}
