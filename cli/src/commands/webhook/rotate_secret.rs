//! `streamio webhook rotate-secret`.

use std::time::Duration;

use clap::Args;
use streamio_events::id::WebhookId;

use super::text::secret;
use crate::args::Connection;
use crate::commands::paging::text;
use crate::commands::video::client;
use crate::exit::Failure;
use crate::output::Output;

pub(super) const EXAMPLES: &str = "\
Examples:
  streamio webhook rotate-secret whk_aaaaaaaaaaaaaaaaaaaaaaaaaa
  streamio webhook rotate-secret whk_aaaaaaaaaaaaaaaaaaaaaaaaaa --overlap 0s      # after the secret was leaked

During the overlap, messages are signed with both secrets: replace the secret of your server in this time, and no message is \
lost. Where standard output is not a terminal, as in `$(…)`, the new secret alone is printed.";

#[derive(Debug, Args)]
pub(crate) struct RotateSecret {
    /// The endpoint's id
    #[arg(value_name = "WEBHOOK")]
    id: WebhookId,
    /// How long messages are also signed with the old secret, at most 7d (default: 24h)
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    overlap: Option<Duration>,
    #[command(flatten)]
    connection: Connection,
}

/// Runs `streamio webhook rotate-secret`.
pub(super) async fn run(arguments: RotateSecret, output: Output) -> Result<(), Failure> {
    let client = client(&arguments.connection, output)?;
    let overlap = arguments.overlap.map(|overlap| overlap.as_secs());
    let webhook = client.rotate_webhook_secret(&arguments.id, overlap).await?;
    output.result(&webhook, || {
        let until = match webhook["previousSecretUntil"].as_str() {
            Some(until) => format!("Messages are also signed with the old secret until {until}."),
            None => "Messages are not signed with the old secret any more.".to_owned(),
        };
        secret(&webhook, &format!("{} has a new secret", text(&webhook, "webhookId")), &until, output)
    })
}
