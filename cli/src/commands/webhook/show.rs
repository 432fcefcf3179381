//! `streamio webhook show`.

use clap::Args;
use streamio_events::id::WebhookId;

use super::target::Target;
use super::text::describe;
use crate::exit::Failure;
use crate::output::Output;

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The endpoint's id
    #[arg(value_name = "WEBHOOK")]
    id: WebhookId,
    #[command(flatten)]
    target: Target,
}

/// Runs `streamio webhook show`.
pub(super) async fn run(arguments: Show, output: Output) -> Result<(), Failure> {
    let webhook = arguments.target.open(output).await?.show(&arguments.id).await?;
    output.result(&webhook, || describe(&webhook))
}
