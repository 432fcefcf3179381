//! `streamio webhook remove`.

use clap::Args;
use serde_json::json;
use streamio_events::id::WebhookId;

use super::target::Target;
use crate::commands::confirm::{Change, confirm};
use crate::exit::Failure;
use crate::output::Output;

#[derive(Debug, Args)]
pub(crate) struct Remove {
    /// The endpoint's id
    #[arg(value_name = "WEBHOOK")]
    id: WebhookId,
    /// Remove without asking; necessary where there is no terminal to ask on
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    target: Target,
}

/// Runs `streamio webhook remove`.
pub(super) async fn run(arguments: Remove, output: Output) -> Result<(), Failure> {
    let id = &arguments.id;
    let question = format!("Remove {id}? Messages that have not arrived are not sent any more.");
    let change = Change { subject: id.as_str(), verb: "remove", participle: "removed", question: &question };
    if !arguments.yes && !arguments.target.is_aws() {
        confirm(&change)?;
    }
    let service = arguments.target.open(output).await?;
    service.approve(arguments.yes, &change, output)?;
    service.remove(id).await?;
    output.result(&json!({"webhookId": id, "state": "removed"}), || {
        format!("Removed {id}; nothing more is sent to it")
    })
}
