//! `streamio webhook show`.

use clap::Args;
use streamio_events::id::WebhookId;

use super::text::describe;
use crate::args::Connection;
use crate::commands::video::client;
use crate::exit::Failure;
use crate::output::Output;

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The endpoint's id
    #[arg(value_name = "WEBHOOK")]
    id: WebhookId,
    #[command(flatten)]
    connection: Connection,
}

/// Runs `streamio webhook show`.
pub(super) async fn run(arguments: Show, output: Output) -> Result<(), Failure> {
    let client = client(&arguments.connection, output)?;
    let webhook = client.webhook(&arguments.id).await?;
    output.result(&webhook, || describe(&webhook))
}
