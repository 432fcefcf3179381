//! `streamio video`: lists, shows and changes videos.

mod delete;
mod events;
mod list;
mod update;

use std::str::FromStr;
use std::sync::Arc;

use clap::{Args, Subcommand};
use streamio_events::id::VideoId;
use streamio_events::nfc::to_nfc;
use streamio_events::object_key::SourceKey;
use streamio_events::timestamp::Timestamp;

use super::video_text::describe;
use crate::args::Connection;
use crate::client::Client;
use crate::client::retry::RetryPolicy;
use crate::exit::Failure;
use crate::output::Output;

const EXAMPLES: &str = "\
Examples:
  streamio video list --state errored
  streamio video show projects/acme/clip.mp4
  streamio video show projects/acme/clip.mp4 --as-of 2026-01-02T03:04:05Z    # as it was then
  streamio video events projects/acme/clip.mp4                # what happened to it
  streamio video update projects/acme/clip.mp4 --metadata lesson=3
  streamio video reprocess projects/acme/clip.mp4

VIDEO is a video's id (vid_…) or its source key (projects/acme/clip.mp4).";

/// The message for a text that is neither of the names that a video has.
const NEITHER: &str = "must be a source key (projects/PROJECT/clip.mp4) or a video id (vid_ followed by 26 of a-z and 2-7); \
    `streamio video list` prints the source keys";

/// List, show, change, delete and reprocess videos
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Command {
    /// List the project's videos, newest first
    #[command(
        after_help = "Examples:\n  streamio video list --state errored --prefix courses/\n  streamio video list --metadata lesson=3\n  streamio video list --all --json | jq -r '.data[].s3Key'"
    )]
    List(list::List),
    /// Show one video's state, source and outputs
    #[command(
        after_help = "Examples:\n  streamio video show projects/acme/clip.mp4\n  streamio video show projects/acme/clip.mp4 --as-of 2026-01-02T03:04:05Z"
    )]
    Show(Show),
    /// Show a video's events
    #[command(after_help = "Example:\n  streamio video events projects/acme/clip.mp4 --all")]
    Events(events::Events),
    /// Delete a video: its source and all outputs
    #[command(
        after_help = "Examples:\n  streamio video delete projects/acme/clip.mp4\n  streamio video delete projects/acme/clip.mp4 --yes      # in a script"
    )]
    Delete(delete::Delete),
    /// Change a video's metadata
    #[command(
        after_help = "Examples:\n  streamio video update projects/acme/clip.mp4 --metadata lesson=4 --metadata reviewed=yes\n  streamio video update projects/acme/clip.mp4 --remove-metadata lesson"
    )]
    Update(update::Update),
    /// Process the stored source again
    #[command(after_help = "Example:\n  streamio video reprocess projects/acme/clip.mp4")]
    Reprocess(One),
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The video's id or source key
    #[arg(value_name = "VIDEO")]
    id: Id,
    /// Show the state at this time, such as 2026-01-02T03:04:05Z
    #[arg(long, value_name = "TIME")]
    as_of: Option<Timestamp>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct One {
    /// The video's id or source key
    #[arg(value_name = "VIDEO")]
    id: Id,
    #[command(flatten)]
    connection: Connection,
}

/// A video's id, parsed from the id itself or computed from the source key, which may be in any Unicode normalization form.
#[derive(Debug, Clone)]
pub(crate) struct Id(VideoId);

impl Id {
    /// The id.
    pub(crate) fn video_id(&self) -> &VideoId {
        &self.0
    }
}

impl FromStr for Id {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with("projects/") {
            let key: SourceKey = to_nfc(text).parse().map_err(|error| format!("the source key {error}"))?;
            return Ok(Self(VideoId::of(&key)));
        }
        text.parse().map(Self).map_err(|_| NEITHER.to_owned())
    }
}

/// Runs `streamio video`.
pub(crate) async fn run(command: Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::List(arguments) => list::run(arguments, output).await,
        Command::Show(arguments) => show(arguments, output).await,
        Command::Events(arguments) => events::run(arguments, output).await,
        Command::Delete(arguments) => delete::run(arguments, output).await,
        Command::Update(arguments) => update::run(arguments, output).await,
        Command::Reprocess(arguments) => reprocess(arguments, output).await,
    }
}

/// A client of the API.
pub(super) fn client(connection: &Connection, output: Output) -> Result<Client, Failure> {
    Client::new(connection.base()?, &connection.key()?, Arc::new(move |text: &str| output.note(text)))
}

async fn show(arguments: Show, output: Output) -> Result<(), Failure> {
    let client = client(&arguments.connection, output)?;
    let as_of = arguments.as_of.map(|time| time.to_string());
    let video = client.video(&arguments.id.0, as_of.as_deref(), RetryPolicy::Brief).await?;
    output.result(&video.raw, || describe(&video.status))
}

async fn reprocess(arguments: One, output: Output) -> Result<(), Failure> {
    let client = client(&arguments.connection, output)?;
    let video = client.reprocess(&arguments.id.0).await?;
    output.result(&video.raw, || {
        let id = &video.status.video_id;
        format!("Processing {id} again: see `streamio video show {id}`")
    })
}
