//! `streamio video`: what became of uploads.

use std::io::{self, IsTerminal, Write};
use std::str::FromStr;
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use streamio_events::id::VideoId;
use streamio_events::media::{MediaSource, Rendition};
use streamio_events::object_key::SourceKey;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::{VideoState, VideoStatus};

use crate::args::Connection;
use crate::client::Client;
use crate::client::retry::Patience;
use crate::client::wire::CursorPage;
use crate::exit::{Exit, Failure};
use crate::output::{Output, fields, printable, size, table};

/// The most that the API gives at once.
const LARGEST_PAGE: u32 = 100;
const ID_HELP: &str = "A video is named by its id (vid_…) or by its source key (projects/acme/clip.mp4).";

/// See what became of uploads, and change it
#[derive(Debug, Subcommand)]
#[command(after_help = ID_HELP)]
pub(crate) enum Command {
    /// List the project's videos, newest first
    List(List),
    /// Show one video's state, source and outputs
    Show(Show),
    /// Show all that happened to a video
    Events(Events),
    /// Delete a video: its source and everything made from it
    Delete(Delete),
    /// Process the stored source once more
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
    /// At most this many, up to 100
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
    /// Continue after the page that ended with this cursor
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
    /// Everything, page by page
    #[arg(long, conflicts_with_all = ["limit", "after"])]
    all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The video's id or source key
    #[arg(value_name = "VIDEO")]
    id: Id,
    /// As it was known at this time, such as 2026-01-02T03:04:05Z
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
    /// Do not ask
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

/// A video, named by its id or by the key that the id follows from.
#[derive(Debug, Clone)]
struct Id(VideoId);

impl FromStr for Id {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains('/') {
            let key: SourceKey = text.parse().map_err(|error| format!("the source key {error}"))?;
            return Ok(Self(VideoId::of(&key)));
        }
        text.parse().map(Self).map_err(|error: streamio_events::id::InvalidId| error.to_string())
    }
}

fn state(text: &str) -> Result<VideoState, String> {
    VideoState::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| {
        let all: Vec<_> = VideoState::ALL.iter().map(|state| state.as_str()).collect();
        format!("give one of {}", all.join(", "))
    })
}

/// Asks the API.
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
    output.answer(&page, || {
        let rows = page.data.iter().map(|video| {
            let state = text(video, "state");
            let state = match video["progress"].as_u64() {
                Some(progress) if state == "processing" => format!("{state} {progress} %"),
                _ => state,
            };
            [text(video, "videoId"), state, text(video, "createdAt"), text(video, "s3Key")]
        });
        let shown = if page.data.is_empty() {
            "There are no videos yet: `streamio upload FILE` makes one.".to_owned()
        } else {
            table(["VIDEO", "STATE", "CREATED", "SOURCE KEY"], rows)
        };
        with_next(shown, &page)
    })
}

async fn show(arguments: Show, output: Output) -> Result<(), Failure> {
    let client = client(&arguments.connection, output)?;
    let as_of = arguments.as_of.map(|time| time.to_string());
    let answer = client.video(&arguments.id.0, as_of.as_deref(), Patience::Brief).await?;
    output.answer(&answer.raw, || describe(&answer.status))
}

async fn events(arguments: Events, output: Output) -> Result<(), Failure> {
    let client = client(&arguments.connection, output)?;
    let id = &arguments.id.0;
    let page = pages(&arguments.paging, |limit, after| {
        let client = &client;
        async move { Ok(client.video_events(id, limit, after.as_deref()).await?) }
    })
    .await?;
    output.answer(&page, || {
        let rows = page.data.iter().map(|event| {
            [text(event, "streamversion"), text(event, "time"), text(event, "type"), brief(&event["data"])]
        });
        with_next(table(["#", "TIME", "EVENT", "DATA"], rows), &page)
    })
}

async fn delete(arguments: Delete, output: Output) -> Result<(), Failure> {
    let id = &arguments.id.0;
    if !arguments.yes && !output.json && io::stdin().is_terminal() && !confirmed(id) {
        return Err(Failure::new(Exit::Failed, format!("{id} was not deleted"), "answer y, or give --yes"));
    }
    let client = client(&arguments.connection, output)?;
    let answer = client.delete(id).await?;
    let answer = if answer.is_null() { json!({"videoId": id, "state": "deleted"}) } else { answer };
    output.answer(&answer, || format!("Deleted {id}; its files are being removed"))
}

fn confirmed(id: &VideoId) -> bool {
    // Without an answer nothing is deleted.
    let _ = write!(io::stderr(), "Delete {id}, its source and everything made from it? [y/N] ");
    let _ = io::stderr().flush();
    let mut line = String::new();
    io::stdin().read_line(&mut line).is_ok() && matches!(line.trim(), "y" | "Y" | "yes")
}

async fn reprocess(arguments: One, output: Output) -> Result<(), Failure> {
    let client = client(&arguments.connection, output)?;
    let answer = client.reprocess(&arguments.id.0).await?;
    output.answer(&answer.raw, || {
        let id = &answer.status.video_id;
        format!("Processing {id} once more: see `streamio video show {id}`")
    })
}

/// One page, or with `--all` all of them as one.
async fn pages<Fetch, Answer>(paging: &Paging, fetch: Fetch) -> Result<CursorPage, Failure>
where
    Fetch: Fn(Option<u32>, Option<String>) -> Answer,
    Answer: Future<Output = Result<CursorPage, Failure>>,
{
    let limit = if paging.all { Some(LARGEST_PAGE) } else { paging.limit };
    let mut page = fetch(limit, paging.after.clone()).await?;
    if !paging.all {
        return Ok(page);
    }
    while let Some(cursor) = page.next_cursor.take() {
        let next = fetch(limit, Some(cursor.clone())).await?;
        if next.next_cursor.as_ref() == Some(&cursor) {
            return Err(Failure::new(
                Exit::Failed,
                "the API gave the same page twice",
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
        Some(cursor) => format!("{shown}\n\nThere are more: --after {} or --all", printable(cursor)),
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

/// An event's data in one line, without what nests deeper.
fn brief(data: &Value) -> String {
    let Some(data) = data.as_object() else { return String::new() };
    data.iter()
        .filter_map(|(name, value)| match value {
            Value::String(text) => Some(format!("{name}={text}")),
            Value::Number(_) | Value::Bool(_) => Some(format!("{name}={value}")),
            // An error's words are what one looks for here.
            Value::Object(inner) => {
                inner.get("message").and_then(Value::as_str).map(|text| format!("{name}={text}"))
            }
            Value::Array(_) | Value::Null => None,
        })
        .collect::<Vec<_>>()
        .join(" ")
}

/// A video's status for people.
pub(crate) fn describe(status: &VideoStatus) -> String {
    let state = match status.state {
        VideoState::Processing => format!("processing {} %", status.progress),
        state => state.as_str().to_owned(),
    };
    let metadata: Vec<_> = status.metadata.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let outputs = status.outputs.as_ref();
    fields(&[
        ("Video", Some(status.video_id.to_string())),
        ("State", Some(state)),
        (
            "Error",
            status
                .error
                .as_ref()
                .map(|error| format!("{} ({})", error.message.trim_end_matches('.'), error.code)),
        ),
        ("Source key", Some(status.s3_key.to_string())),
        ("Source", status.source.as_ref().map(media)),
        (
            "Renditions",
            outputs.map(|outputs| outputs.renditions.iter().map(rendition).collect::<Vec<_>>().join(", ")),
        ),
        ("HLS key", outputs.map(|outputs| outputs.hls_key.to_string())),
        ("MP4 key", outputs.map(|outputs| outputs.mp4_key.to_string())),
        ("Poster key", outputs.and_then(|outputs| outputs.poster_key.as_ref()).map(ToString::to_string)),
        ("Metadata", (!metadata.is_empty()).then(|| metadata.join(", "))),
        ("Upload", Some(format!("generation {}, attempt {}", status.generation, status.attempt))),
        ("Created", Some(status.created_at.to_string())),
        ("Updated", Some(status.updated_at.to_string())),
    ])
}

fn media(source: &MediaSource) -> String {
    let mut parts = vec![format!("{:.1} s", source.duration_seconds)];
    if let (Some(width), Some(height)) = (source.width, source.height) {
        parts.push(format!("{width}x{height}"));
    }
    parts.extend(source.frame_rate.map(|rate| format!("{} fps", (rate * 100.0).round() / 100.0)));
    parts.extend(source.video_codec.clone());
    parts.push(source.audio_codec.clone().unwrap_or_else(|| "no audio".to_owned()));
    parts.push(size(source.bytes));
    parts.join(", ")
}

fn rendition(rendition: &Rendition) -> String {
    let what = rendition.height.map_or_else(|| "audio".to_owned(), |height| format!("{height}p"));
    format!("{what} ({} kbit/s)", rendition.bandwidth / 1000)
}
