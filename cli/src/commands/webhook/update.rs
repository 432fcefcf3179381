//! `streamio webhook update`, `enable` and `disable`.

use clap::Args;
use streamio_events::id::WebhookId;
use streamio_events::webhook::TypePattern;

use super::target::Target;
use super::text::{TYPES_HELP, describe};
use crate::args::{Approval, Connection};
use crate::client::webhooks::WebhookFields;
use crate::commands::confirm::Change;
use crate::commands::video::client;
use crate::exit::Failure;
use crate::output::Output;

#[derive(Debug, Args)]
#[group(id = "changes", multiple = true, required = true, args = ["endpoint_url", "types", "description", "rate_limit"])]
pub(crate) struct Update {
    /// The endpoint's id
    #[arg(value_name = "WEBHOOK")]
    id: WebhookId,
    #[arg(long, value_name = "URL", help = "Where messages are sent, such as https://example.com/webhooks")]
    endpoint_url: Option<String>,
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',', help = TYPES_HELP)]
    types: Vec<TypePattern>,
    /// A description for people; an empty one removes it
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// The most messages that are sent to it in a second; 0: no limit
    #[arg(long, value_name = "N")]
    rate_limit: Option<u32>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct Switch {
    /// The endpoint's id
    #[arg(value_name = "WEBHOOK")]
    id: WebhookId,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    approval: Approval,
}

/// Runs `streamio webhook update`.
pub(super) async fn run(arguments: Update, output: Output) -> Result<(), Failure> {
    // The API key is sent to the address of the API, and the field of the endpoint is called `url`, too.
    if arguments.endpoint_url.is_none() && arguments.connection.may_be_mistaken()? {
        return Err(Failure::usage(
            "--url is the address of the API, to which the API key is sent, and not the endpoint's",
            "set the endpoint's address with --endpoint-url; if you mean another API, set STREAMIO_URL to its address",
        ));
    }
    let changes = WebhookFields {
        url: arguments.endpoint_url,
        types: Some(arguments.types).filter(|types| !types.is_empty()),
        description: arguments.description,
        rate_limit: arguments.rate_limit,
        enabled: None,
    };
    let client = client(&arguments.connection, output)?;
    let webhook = client.update_webhook(&arguments.id, &changes).await?;
    output.result(&webhook, || describe(&webhook))
}

/// Runs `streamio webhook enable` and `disable`.
pub(super) async fn switch(arguments: Switch, enabled: bool, output: Output) -> Result<(), Failure> {
    let Switch { id, target, approval } = arguments;
    let (question, verb, participle) = if enabled {
        (format!("Send messages to {id} again?"), "enable", "enabled")
    } else {
        (format!("Send no messages to {id} until it is enabled again?"), "disable", "disabled")
    };
    let change = Change { subject: id.as_str(), verb, participle, question: &question };
    let webhook = target.open_to_change(&approval, &change, output).await?.switch(&id, enabled).await?;
    output.result(&webhook, || describe(&webhook))
}
