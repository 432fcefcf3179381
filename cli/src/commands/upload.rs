//! `streamio upload`: uploads a file and optionally waits for its processing.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use streamio_events::id::{GrantId, VideoId};
use streamio_events::media::VideoError;
use streamio_events::object_key::{ProcessedKey, SourceKey};

use super::video_text::describe;
use crate::args::{Connection, metadata_entry};
use crate::client::option_names::with_option_names;
use crate::client::wire::{UploadRequest, VideoResponse};
use crate::client::{Client, is_unencrypted};
use crate::exit::{Exit, Failure};
use crate::output::{Output, printable, quoted, size};
use crate::signals::stop_requested;
use crate::transfer::resume;
use crate::transfer::source::Source;
use crate::transfer::stage::{Stage, StageTracker};
use crate::transfer::{MULTIPART_FROM, REPLACE_HINT, Stored, Transfer};
use crate::wait::{Outcome, until_done};

const EXAMPLES: &str = "\
Examples:
  streamio upload clip.mp4                        # ends when the file is stored
  streamio upload clip.mp4 --wait                 # ends when the video can be played
  streamio upload film.mov --path courses/intro --metadata lesson=3
  streamio upload IMG_0001.mov --unique           # many files may have this name
  streamio upload clip.mp4 --overwrite            # replaces the video with this name
  streamio upload clip.mp4 --wait --json | jq -r .outputs.hlsKey

Files of 64 MiB and more are uploaded in parts. If such an upload is interrupted (Ctrl-C, a crash, no \
network), run the same command again: it sends only the missing parts. The state of unfinished \
uploads is in ~/.local/state/streamio/uploads, or in STREAMIO_STATE_DIR.";

/// Upload a video file
///
/// The file is sent directly to the object store. Its processing begins when it is stored. With --json the result is
/// {videoId, s3Key, mp4Key, hlsKey, …}, with --wait the video's status view.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Arguments {
    /// The file to upload
    file: PathBuf,
    /// Folder of the video in the project, such as courses/intro
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// Name of the video (default: the file's name)
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Media type to store the file with, such as video/mp4
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// Metadata to store with the video (repeatable)
    #[arg(long, value_name = "KEY=VALUE", value_parser = metadata_entry)]
    metadata: Vec<(String, String)>,
    /// Replace the video with the same path and name, if there is one. Without this, the upload is refused
    #[arg(long, conflicts_with = "unique")]
    overwrite: bool,
    /// Store the video in a folder of its own with a random name, so that no other video has its key
    #[arg(long)]
    unique: bool,
    /// Wait until the video can be played. If the upload is rejected, the exit code is 4, if its processing fails, 6
    #[arg(long)]
    wait: bool,
    /// Maximum time to wait, such as 30m; the exit code is then 5
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, requires = "wait")]
    wait_timeout: Option<Duration>,
    /// Upload in parts, whatever the size
    #[arg(long)]
    multipart: bool,
    /// Number of parts to send at the same time
    #[arg(long, value_name = "N", default_value = "4")]
    parallel: NonZeroUsize,
    /// Compute checksums first, so that the store rejects corrupted bytes (reads the file twice)
    #[arg(long)]
    checksum: bool,
    #[command(flatten)]
    connection: Connection,
}

/// The output of `--json` without `--wait`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Uploaded<'a> {
    video_id: &'a VideoId,
    s3_key: &'a SourceKey,
    /// The keys of the future outputs, for `playback-url`.
    mp4_key: ProcessedKey,
    hls_key: ProcessedKey,
    grant_id: &'a GrantId,
    bytes: u64,
    resumed_bytes: u64,
}

/// When the command ends.
#[derive(Debug, Clone, Copy)]
enum Until {
    /// When the file is in the object store.
    Stored,
    /// When the video's processing has ended, or after this time.
    Done(Option<Duration>),
}

/// Runs `streamio upload`.
pub(crate) async fn run(arguments: Arguments, output: Output) -> Result<(), Failure> {
    let base = arguments.connection.base()?;
    let key = arguments.connection.key()?;
    if is_unencrypted(&base) {
        output.note("warning: the API key is sent unencrypted; use https:// in STREAMIO_URL");
    }
    let source = Source::open(&arguments.file)?;
    let on_retry = std::sync::Arc::new(move |text: &str| output.note(text));
    let client = Client::new(base, &key, on_retry)?;
    // An empty file has no parts.
    let multipart = source.size > 0 && (arguments.multipart || source.size >= MULTIPART_FROM);
    let request = UploadRequest {
        filename: arguments.name.unwrap_or_else(|| source.name.clone()),
        path: arguments.path,
        content_type: arguments.content_type,
        size: Some(source.size),
        // Stated, so that the store itself refuses to replace a file.
        overwrite: Some(arguments.overwrite),
        unique: arguments.unique.then_some(true),
        multipart: multipart.then_some(true),
        metadata: BTreeMap::from_iter(arguments.metadata),
        ..UploadRequest::default()
    };
    let stage = StageTracker::default();
    let transfer = Transfer {
        client,
        output,
        source,
        request,
        checksum: arguments.checksum,
        parallel: arguments.parallel,
        state_directory: resume::directory()?,
        needs_baseline: arguments.wait,
        stage: stage.clone(),
    };
    let until = if arguments.wait { Until::Done(arguments.wait_timeout) } else { Until::Stored };
    tokio::select! {
        outcome = upload(&transfer, until) => outcome,
        () = stop_requested() => Err(stage.interrupted()),
    }
}

async fn upload(transfer: &Transfer, until: Until) -> Result<(), Failure> {
    let started_at = Instant::now();
    let stored = transfer.run().await?;
    transfer.stage.set(Stage::Stored(stored.video_id.clone()));
    let bytes = transfer.source.size;
    let summary = format!(
        "Uploaded {} ({} in {:.1} s) to {} as {}",
        printable(&transfer.source.name),
        size(bytes),
        started_at.elapsed().as_secs_f64(),
        stored.s3_key,
        stored.video_id
    );
    match until {
        Until::Stored => report_stored(transfer.output, &stored, bytes, &summary),
        Until::Done(limit) => {
            transfer.output.note(&summary);
            report_outcome(transfer, until_done(&transfer.client, transfer.output, &stored, limit).await?)
        }
    }
}

fn report_stored(output: Output, stored: &Stored, bytes: u64, summary: &str) -> Result<(), Failure> {
    let mp4_key = stored.s3_key.processed();
    let uploaded = Uploaded {
        video_id: &stored.video_id,
        s3_key: &stored.s3_key,
        hls_key: mp4_key.hls_master(),
        mp4_key,
        grant_id: &stored.grant_id,
        bytes,
        resumed_bytes: stored.resumed_bytes,
    };
    output.result(&uploaded, || {
        let next = format!("\nIt is being processed: see `streamio video show {}`", stored.video_id);
        format!("{summary}{}", output.guidance(next))
    })
}

fn report_outcome(transfer: &Transfer, outcome: Outcome) -> Result<(), Failure> {
    let show = |video: &VideoResponse| transfer.output.result(&video.raw, || describe(&video.status));
    match outcome {
        Outcome::Ready(video) => {
            show(&video)?;
            let key = quoted(video.status.s3_key.as_str());
            transfer.output.note(&format!("\nPlay it: streamio playback {key}"));
            Ok(())
        }
        Outcome::Errored(video, error) => {
            show(&video)?;
            Err(processing_failure(&video, &error))
        }
        Outcome::Rejected(video, error) => Err(rejection(&video, &error)),
        Outcome::Deleted(video) => {
            show(&video)?;
            let message = format!("the video {} was deleted during the wait", video.status.video_id);
            Err(Failure::new(Exit::NotFound, message, "upload it again if this was unintended"))
        }
    }
}

/// The failure of a rejected upload. The video with this key, if there is one, stays as it was.
fn rejection(video: &VideoResponse, error: &VideoError) -> Failure {
    let (reason, hint) = match (error.code.as_str(), error.message.split_once(';')) {
        // The rest of this message names fields of the API.
        ("already_uploaded", Some((reason, _))) => (reason, REPLACE_HINT),
        ("already_uploaded", None) => (error.message.as_str(), REPLACE_HINT),
        // The other messages state what to do.
        _ => (error.message.as_str(), ""),
    };
    let reason = with_option_names(reason.trim_end_matches('.'));
    Failure::new(Exit::Refused, format!("the upload was rejected: {reason} ({})", error.code), hint)
        .with("videoId", video.status.video_id.as_str())
        .with("code", error.code.clone())
        .with("retryable", error.retryable)
}

fn processing_failure(video: &VideoResponse, error: &VideoError) -> Failure {
    let hint = if error.retryable {
        format!("try again with `streamio video reprocess {}`", video.status.video_id)
    } else {
        // The message states what to do.
        String::new()
    };
    let message = format!(
        "the upload could not be processed: {} ({})",
        error.message.trim_end_matches('.'),
        error.code
    );
    Failure::new(Exit::VideoErrored, message, hint)
        .with("videoId", video.status.video_id.as_str())
        .with("code", error.code.clone())
        .with("retryable", error.retryable)
}
