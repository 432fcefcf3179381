//! `streamio video events`.

use clap::Args;

use super::Id;
use crate::args::Connection;
use crate::commands::paging::{Paging, pages, text, with_next};
use crate::commands::video_text::event_data;
use crate::exit::Failure;
use crate::output::{Output, table};

#[derive(Debug, Args)]
pub(crate) struct Events {
    /// The video's id or source key
    #[arg(value_name = "VIDEO")]
    id: Id,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    connection: Connection,
}

/// Runs `streamio video events`.
pub(super) async fn run(arguments: Events, output: Output) -> Result<(), Failure> {
    let client = super::client(&arguments.connection, output)?;
    let id = &arguments.id.0;
    let page = pages(&arguments.paging, |limit, after| {
        let client = &client;
        async move { Ok(client.video_events(id, limit, after.as_deref()).await?) }
    })
    .await?;
    output.result(&page, || {
        let rows = page.data.iter().map(|event| {
            [
                text(event, "streamversion"),
                text(event, "time"),
                text(event, "type"),
                event_data(&event["data"]),
            ]
        });
        with_next(output, &table(["#", "TIME", "EVENT", "DATA"], rows), &page)
    })
}
