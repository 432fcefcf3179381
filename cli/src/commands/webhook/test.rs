//! `streamio webhook test`.

use clap::Args;
use streamio_events::id::WebhookId;
use streamio_events::webhook::MessageType;

use super::text::scheduled;
use crate::args::Connection;
use crate::client::Client;
use crate::commands::paging::text;
use crate::commands::video::client;
use crate::exit::{Exit, Failure};
use crate::output::Output;

pub(super) const EXAMPLES: &str = "\
Examples:
  streamio webhook test                                    # to the only endpoint of the project
  streamio webhook test whk_aaaaaaaaaaaaaaaaaaaaaaaaaa --type video.errored
  streamio webhook test | xargs streamio webhook deliveries    # how the endpoint answered

An example has the data of a real message and `\"test\": true`. It is sent whichever types the endpoint receives. Where standard \
output is not a terminal, as in `$(…)`, the id of the delivery alone is printed.";

#[derive(Debug, Args)]
pub(crate) struct Test {
    /// The endpoint's id; may be left out if the project has one endpoint
    #[arg(value_name = "WEBHOOK")]
    id: Option<WebhookId>,
    /// The type of the example (default: video.ready)
    #[arg(long = "type", value_name = "TYPE")]
    message_type: Option<MessageType>,
    #[command(flatten)]
    connection: Connection,
}

/// Runs `streamio webhook test`.
pub(super) async fn run(arguments: Test, output: Output) -> Result<(), Failure> {
    let client = client(&arguments.connection, output)?;
    let id = match arguments.id {
        Some(id) => id,
        None => only(&client).await?,
    };
    let delivery = client.test_webhook(&id, arguments.message_type).await?;
    output.result(&delivery, || {
        scheduled(&delivery, &format!("An example of {} is sent to {id}", text(&delivery, "type")), output)
    })
}

/// The only endpoint of the project.
async fn only(client: &Client) -> Result<WebhookId, Failure> {
    let page = client.webhooks().await?;
    match page.data.as_slice() {
        [] => Err(Failure::new(
            Exit::NotFound,
            "the project has no webhooks",
            "register an endpoint with `streamio webhook add URL`",
        )),
        [one] => text(one, "webhookId").parse().map_err(|_| {
            Failure::new(
                Exit::Failed,
                "the API returned a webhook without a valid id",
                "name it with WEBHOOK",
            )
        }),
        several => Err(Failure::usage(
            format!("the project has {} webhooks", several.len()),
            "name one with WEBHOOK; `streamio webhook list` prints their ids",
        )),
    }
}
