//! `streamio video list`.

use clap::Args;
use streamio_events::video::VideoState;

use crate::args::{Connection, metadata_entry};
use crate::client::wire::VideoFilter;
use crate::commands::paging::{Paging, pages, text, with_next};
use crate::exit::Failure;
use crate::output::{Output, table};

#[derive(Debug, Args)]
pub(crate) struct List {
    #[arg(long, value_name = "STATE", value_parser = state, help = format!("Only videos in this state: {}", states()))]
    state: Option<VideoState>,
    /// Only videos whose path and name begin with this, such as courses/intro/
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<String>,
    /// Only videos with this metadata; several are all required (repeatable)
    #[arg(long, value_name = "KEY=VALUE", value_parser = metadata_entry)]
    metadata: Vec<(String, String)>,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    connection: Connection,
}

/// The names of all states.
fn states() -> String {
    VideoState::ALL.map(VideoState::as_str).join(", ")
}

fn state(text: &str) -> Result<VideoState, String> {
    let named = VideoState::ALL.into_iter().find(|state| state.as_str() == text);
    named.ok_or_else(|| format!("must be one of {}", states()))
}

/// Runs `streamio video list`.
pub(super) async fn run(arguments: List, output: Output) -> Result<(), Failure> {
    let client = super::client(&arguments.connection, output)?;
    let filter = VideoFilter {
        state: arguments.state.map(VideoState::as_str),
        prefix: arguments.prefix.as_deref(),
        metadata: &arguments.metadata,
    };
    let page = pages(&arguments.paging, |limit, after| {
        let (client, filter) = (&client, &filter);
        async move { Ok(client.videos(filter, limit, after.as_deref()).await?) }
    })
    .await?;
    output.result(&page, || {
        let rows = page.data.iter().map(|video| {
            let state = text(video, "state");
            let state = match video["progress"].as_u64() {
                Some(progress) if state == "processing" => format!("{state} {progress} %"),
                _ => state,
            };
            [text(video, "videoId"), state, text(video, "createdAt"), text(video, "s3Key")]
        });
        let shown = if page.data.is_empty() && page.next_cursor.is_some() {
            "There are no such videos in this part of the list.".to_owned()
        } else if page.data.is_empty() && filter.is_any() {
            "There are no such videos.".to_owned()
        } else if page.data.is_empty() {
            "There are no videos yet. Upload one with `streamio upload FILE`.".to_owned()
        } else {
            table(["VIDEO", "STATE", "CREATED", "SOURCE KEY"], rows)
        };
        with_next(output, &shown, &page)
    })
}
