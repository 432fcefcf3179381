//! `streamio video`: lists, shows and changes videos.

use std::io::{self, IsTerminal, Write};
use std::str::FromStr;
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use streamio_events::id::VideoId;
use streamio_events::nfc::to_nfc;
use streamio_events::object_key::SourceKey;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::VideoState;

use super::video_text::{describe, event_data};
use crate::args::Connection;
use crate::client::Client;
use crate::client::retry::RetryPolicy;
use crate::client::wire::CursorPage;
use crate::exit::{Exit, Failure};
use crate::output::{Output, is_terminal, printable, table};

/// Maximum page size of the API.
const MAX_PAGE_SIZE: u32 = 100;
const EXAMPLES: &str = "\
Examples:
  streamio video list --state errored
  streamio video show projects/acme/clip.mp4
  streamio video show projects/acme/clip.mp4 --as-of 2026-01-02T03:04:05Z    # as it was then
  streamio video events projects/acme/clip.mp4                # what happened to it
  streamio video reprocess projects/acme/clip.mp4

VIDEO is a video's id (vid_…) or its source key (projects/acme/clip.mp4).";

/// List, show, delete and reprocess videos
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Command {
    /// List the project's videos, newest first
    #[command(
        after_help = "Examples:\n  streamio video list --state errored\n  streamio video list --all --json | jq -r '.data[].s3Key'"
    )]
    List(List),
    /// Show one video's state, source and outputs
    #[command(
        after_help = "Examples:\n  streamio video show projects/acme/clip.mp4\n  streamio video show projects/acme/clip.mp4 --as-of 2026-01-02T03:04:05Z"
    )]
    Show(Show),
    /// Show a video's events
    #[command(after_help = "Example:\n  streamio video events projects/acme/clip.mp4 --all")]
    Events(Events),
    /// Delete a video: its source and all outputs
    #[command(
        after_help = "Examples:\n  streamio video delete projects/acme/clip.mp4\n  streamio video delete projects/acme/clip.mp4 --yes      # in a script"
    )]
    Delete(Delete),
    /// Process the stored source again
    #[command(after_help = "Example:\n  streamio video reprocess projects/acme/clip.mp4")]
    Reprocess(One),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only videos in this state: waiting, uploaded, processing, ready, errored or deleted
    #[arg(long, value_name = "STATE", value_parser = state)]
    state: Option<VideoState>,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct Paging {
    /// Number of entries per page, at most 100
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
    /// Continue after the page with this cursor
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
    /// Fetch all pages
    #[arg(long, conflicts_with_all = ["limit", "after"])]
    all: bool,
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
pub(crate) struct Events {
    /// The video's id or source key
    #[arg(value_name = "VIDEO")]
    id: Id,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// The video's id or source key
    #[arg(value_name = "VIDEO")]
    id: Id,
    /// Delete without asking; necessary where there is no terminal to ask on
    #[arg(long, short)]
    yes: bool,
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
struct Id(VideoId);

impl FromStr for Id {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains('/') {
            let key: SourceKey = to_nfc(text).parse().map_err(|error| format!("the source key {error}"))?;
            return Ok(Self(VideoId::of(&key)));
        }
        text.parse().map(Self).map_err(|error: streamio_events::id::InvalidId| error.to_string())
    }
}

fn state(text: &str) -> Result<VideoState, String> {
    VideoState::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| {
        let all: Vec<_> = VideoState::ALL.iter().map(|state| state.as_str()).collect();
        format!("must be one of {}", all.join(", "))
    })
}

/// Runs `streamio video`.
pub(crate) async fn run(command: Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::List(arguments) => list(arguments, output).await,
        Command::Show(arguments) => show(arguments, output).await,
        Command::Events(arguments) => events(arguments, output).await,
        Command::Delete(arguments) => delete(arguments, output).await,
        Command::Reprocess(arguments) => reprocess(arguments, output).await,
    }
}

fn client(connection: &Connection, output: Output) -> Result<Client, Failure> {
    Client::new(connection.base()?, &connection.key()?, Arc::new(move |text: &str| output.note(text)))
}

async fn list(arguments: List, output: Output) -> Result<(), Failure> {
    let client = client(&arguments.connection, output)?;
    let state = arguments.state.map(VideoState::as_str);
    let page = pages(&arguments.paging, |limit, after| {
        let client = &client;
        async move { Ok(client.videos(state, limit, after.as_deref()).await?) }
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
        let shown = if page.data.is_empty() {
            "There are no videos yet. Upload one with `streamio upload FILE`.".to_owned()
        } else {
            table(["VIDEO", "STATE", "CREATED", "SOURCE KEY"], rows)
        };
        with_next(shown, &page)
    })
}

async fn show(arguments: Show, output: Output) -> Result<(), Failure> {
    let client = client(&arguments.connection, output)?;
    let as_of = arguments.as_of.map(|time| time.to_string());
    let video = client.video(&arguments.id.0, as_of.as_deref(), RetryPolicy::Brief).await?;
    output.result(&video.raw, || describe(&video.status))
}

async fn events(arguments: Events, output: Output) -> Result<(), Failure> {
    let client = client(&arguments.connection, output)?;
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
        with_next(table(["#", "TIME", "EVENT", "DATA"], rows), &page)
    })
}

async fn delete(arguments: Delete, output: Output) -> Result<(), Failure> {
    let id = &arguments.id.0;
    if !arguments.yes {
        confirm(id)?;
    }
    let client = client(&arguments.connection, output)?;
    let status = client.delete(id).await?;
    let status = if status.is_null() { json!({"videoId": id, "state": "deleted"}) } else { status };
    output.result(&status, || format!("Deleted {id}; its files are being removed"))
}

/// Asks on the terminal whether to delete the video. Without a terminal nothing is deleted.
fn confirm(id: &VideoId) -> Result<(), Failure> {
    if !io::stdin().is_terminal() || !is_terminal() {
        return Err(Failure::usage(
            format!("{id} was not deleted: there is no terminal to ask for a confirmation"),
            "add --yes to delete it without a question",
        ));
    }
    // If the question cannot be shown or answered, nothing is deleted.
    let _ = write!(io::stderr(), "Delete {id}, its source and all outputs? [y/N] ");
    let _ = io::stderr().flush();
    let mut line = String::new();
    if io::stdin().read_line(&mut line).is_ok() && matches!(line.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(Failure::new(Exit::Failed, format!("{id} was not deleted"), "answer y, or use --yes"))
}

async fn reprocess(arguments: One, output: Output) -> Result<(), Failure> {
    let client = client(&arguments.connection, output)?;
    let video = client.reprocess(&arguments.id.0).await?;
    output.result(&video.raw, || {
        let id = &video.status.video_id;
        format!("Processing {id} again: see `streamio video show {id}`")
    })
}

/// Fetches one page, or with `--all` all pages as one.
async fn pages<Fetch, Page>(paging: &Paging, fetch: Fetch) -> Result<CursorPage, Failure>
where
    Fetch: Fn(Option<u32>, Option<String>) -> Page,
    Page: Future<Output = Result<CursorPage, Failure>>,
{
    let limit = if paging.all { Some(MAX_PAGE_SIZE) } else { paging.limit };
    let mut page = fetch(limit, paging.after.clone()).await?;
    if !paging.all {
        return Ok(page);
    }
    while let Some(cursor) = page.next_cursor.take() {
        let next = fetch(limit, Some(cursor.clone())).await?;
        if next.next_cursor.as_ref() == Some(&cursor) {
            return Err(Failure::new(
                Exit::Failed,
                "the API returned the same page twice",
                "report this to the operator",
            ));
        }
        page.data.extend(next.data);
        page.next_cursor = next.next_cursor;
    }
    Ok(page)
}

fn with_next(shown: String, page: &CursorPage) -> String {
    match &page.next_cursor {
        Some(cursor) => format!("{shown}\n\nThere are more: use --after {} or --all", printable(cursor)),
        None => shown,
    }
}

fn text(value: &Value, name: &str) -> String {
    match &value[name] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
