//! `streamio webhook deliveries`.

use std::str::FromStr;

use clap::Args;
use streamio_events::id::{MessageId, WebhookId};
use streamio_events::timestamp::Timestamp;
use streamio_events::webhook::{DeliveryState, MessageType};

use super::target::Target;
use super::text::{describe_delivery, last_error};
use crate::client::webhooks::DeliveryQuery;
use crate::commands::paging::{Paging, pages, text, with_next};
use crate::commands::video::Id;
use crate::exit::Failure;
use crate::output::{Output, table};

pub(super) const EXAMPLES: &str = "\
Examples:
  streamio webhook deliveries --state failed
  streamio webhook deliveries --video projects/acme/clip.mp4 --type video.ready
  streamio webhook deliveries --from 2026-01-02T00:00:00Z --to 2026-01-03T00:00:00Z --all
  streamio webhook deliveries whk_aaaaaaaaaaaaaaaaaaaaaaaaaa.msg_aaaaaaaaaaaaaaaaaaaaaaaaaa

DELIVERY is the id of an endpoint, a dot and the id of a message. Its attempts are shown with what the endpoint answered, and the \
message's body.";

#[derive(Debug, Args)]
pub(crate) struct Deliveries {
    /// Show this delivery with all its attempts
    #[arg(
        value_name = "DELIVERY",
        conflicts_with_all = ["webhook", "video", "message_type", "state", "from", "to", "limit", "after", "all"]
    )]
    id: Option<DeliveryId>,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
struct Filter {
    /// Only deliveries to this endpoint
    #[arg(long, value_name = "WEBHOOK")]
    webhook: Option<WebhookId>,
    /// Only deliveries about this video: its id or its source key
    #[arg(long, value_name = "VIDEO")]
    video: Option<Id>,
    /// Only messages of this type, such as video.ready
    #[arg(long = "type", value_name = "TYPE")]
    message_type: Option<MessageType>,
    #[arg(long, value_name = "STATE", value_parser = state, help = format!("Only deliveries in this state: {}", states()))]
    state: Option<DeliveryState>,
    /// Only deliveries that began at this time or later, such as 2026-01-02T03:04:05Z
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// Only deliveries that began before this time
    #[arg(long, value_name = "TIME")]
    to: Option<Timestamp>,
}

/// The id of a delivery: that of the endpoint, a dot, and that of the message.
#[derive(Debug, Clone)]
pub(super) struct DeliveryId(String);

impl DeliveryId {
    /// The id as text.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DeliveryId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_valid = text.split_once('.').is_some_and(|(webhook, message)| {
            webhook.parse::<WebhookId>().is_ok() && message.parse::<MessageId>().is_ok()
        });
        if is_valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(
                "must be a webhook id (whk_…), a dot and a message id (msg_…); `streamio webhook deliveries` prints the ids",
            )
        }
    }
}

/// The names of all states.
fn states() -> String {
    DeliveryState::ALL.map(DeliveryState::as_str).join(", ")
}

fn state(text: &str) -> Result<DeliveryState, String> {
    let named = DeliveryState::ALL.into_iter().find(|state| state.as_str() == text);
    named.ok_or_else(|| format!("must be one of {}", states()))
}

/// Runs `streamio webhook deliveries`.
pub(super) async fn run(arguments: Deliveries, output: Output) -> Result<(), Failure> {
    let service = arguments.target.open(output).await?;
    if let Some(id) = arguments.id {
        let delivery = service.delivery(&id).await?;
        return output.result(&delivery, || describe_delivery(&delivery));
    }
    let Filter { webhook, video, message_type, state, from, to } = arguments.filter;
    let video_id = video.map(|video| video.video_id().clone());
    let query = DeliveryQuery { webhook_id: webhook, video_id, message_type, state, from, to };
    let page = pages(&arguments.paging, |limit, after| {
        let (service, query) = (&service, &query);
        async move { service.deliveries(query, limit, after.as_deref()).await }
    })
    .await?;
    output.result(&page, || {
        let rows = page.data.iter().map(|delivery| {
            [
                text(delivery, "scheduledAt"),
                text(delivery, "type"),
                text(delivery, "state"),
                text(delivery, "attemptsMade"),
                text(delivery, "nextAttemptAt"),
                text(delivery, "deliveryId"),
                last_error(delivery),
            ]
        });
        let shown = if page.data.is_empty() && page.next_cursor.is_some() {
            "There are no such deliveries in this part of the list.".to_owned()
        } else if page.data.is_empty() && query.is_any() {
            "There are no such deliveries.".to_owned()
        } else if page.data.is_empty() {
            "Nothing was sent yet. Send an example with `streamio webhook test`.".to_owned()
        } else {
            table(["SCHEDULED", "TYPE", "STATE", "ATTEMPTS", "NEXT ATTEMPT", "DELIVERY", "LAST ERROR"], rows)
        };
        with_next(output, &shown, &page)
    })
}
