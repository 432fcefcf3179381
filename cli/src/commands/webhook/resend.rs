//! `streamio webhook resend`.

use clap::Args;

use super::deliveries::DeliveryId;
use super::text::scheduled;
use crate::args::Connection;
use crate::commands::paging::text;
use crate::commands::video::client;
use crate::exit::Failure;
use crate::output::Output;

#[derive(Debug, Args)]
pub(crate) struct Resend {
    /// The delivery's id, as `streamio webhook deliveries` prints it
    #[arg(value_name = "DELIVERY")]
    id: DeliveryId,
    #[command(flatten)]
    connection: Connection,
}

/// Runs `streamio webhook resend`.
pub(super) async fn run(arguments: Resend, output: Output) -> Result<(), Failure> {
    let delivery = client(&arguments.connection, output)?.resend_webhook(arguments.id.as_str()).await?;
    output.result(&delivery, || {
        scheduled(&delivery, &format!("{} is sent again", text(&delivery, "messageId")), output)
    })
}
