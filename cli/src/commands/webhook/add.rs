//! `streamio webhook add`.

use clap::Args;
use streamio_events::webhook::TypePattern;

use super::text::{TYPES_HELP, secret};
use crate::args::Connection;
use crate::client::webhooks::WebhookFields;
use crate::commands::paging::text;
use crate::commands::video::client;
use crate::exit::Failure;
use crate::output::Output;

pub(super) const EXAMPLES: &str = "\
Examples:
  streamio webhook add https://example.com/webhooks
  streamio webhook add https://example.com/webhooks --type video.ready,video.errored --description 'backend'
  export WEBHOOK_SECRET=\"$(streamio webhook add http://127.0.0.1:9000)\"    # with `streamio up --webhook-loopback`

Where standard output is not a terminal, as in `$(…)`, the secret alone is printed. The URL must begin with https:// and lead \
to an address on the public internet, with a port that the operator allows.";

#[derive(Debug, Args)]
pub(crate) struct Add {
    #[arg(value_name = "URL", help = "Where messages are sent, such as https://example.com/webhooks")]
    endpoint_url: String,
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',', help = TYPES_HELP)]
    types: Vec<TypePattern>,
    /// A description for people, such as which system this is
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// The most messages that are sent to it in a second (default: no limit)
    #[arg(long, value_name = "N")]
    rate_limit: Option<u32>,
    #[command(flatten)]
    connection: Connection,
}

/// Runs `streamio webhook add`.
pub(super) async fn run(arguments: Add, output: Output) -> Result<(), Failure> {
    let client = client(&arguments.connection, output)?;
    let fields = WebhookFields {
        url: Some(arguments.endpoint_url),
        types: Some(arguments.types).filter(|types| !types.is_empty()),
        description: arguments.description,
        rate_limit: arguments.rate_limit,
        enabled: None,
    };
    let webhook = client.add_webhook(&fields).await?;
    output.result(&webhook, || {
        let id = text(&webhook, "webhookId");
        secret(
            &webhook,
            &format!("Messages are sent to {} ({id})", text(&webhook, "url")),
            &format!("Send an example with `streamio webhook test {id}`."),
            output,
        )
    })
}
