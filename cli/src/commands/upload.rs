//! `streamio upload`: a file on its way to becoming a video.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use streamio_events::id::{GrantId, VideoId};
use streamio_events::media::VideoError;
use streamio_events::object_key::{ProcessedKey, SourceKey};

use super::{stopped, video};
use crate::args::Connection;
use crate::client::wire::{UploadRequest, VideoAnswer};
use crate::client::{Client, is_exposed};
use crate::exit::{Exit, Failure};
use crate::output::{Output, quoted, size};
use crate::resume;
use crate::transfer::source::Source;
use crate::transfer::standing::{Stage, Standing};
use crate::transfer::{MULTIPART_FROM, Stored, Transfer};
use crate::wait::{Outcome, until_done};

const EXAMPLES: &str = "\
Examples:
  streamio upload clip.mp4                        # returns when the file is stored
  streamio upload clip.mp4 --wait                 # returns when it can be played
  streamio upload film.mov --path courses/intro --metadata lesson=3
  streamio upload clip.mp4 --wait --json | jq -r .outputs.hlsKey

Files of 64 MiB and more go in parts. When such an upload is cut off (Ctrl-C, a crash, no network), \
run the same command again: it sends only what is missing. What is remembered of it is in \
~/.local/state/streamio/uploads, or in STREAMIO_STATE_DIR.";

/// Upload a file, which becomes a video
///
/// The file goes straight to the object store; its processing begins when it has arrived. With --json the answer is
/// {videoId, s3Key, mp4Key, hlsKey, …}, with --wait the video's status view.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Arguments {
    /// The file
    file: PathBuf,
    /// Folder of the video within the project, such as courses/intro
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// Name of the video, if not the file's own
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Media type to store the file with, such as video/mp4
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// Your own words about the video, kept with it (repeatable)
    #[arg(long, value_name = "KEY=VALUE", value_parser = metadata)]
    metadata: Vec<(String, String)>,
    /// Fail if there is already a file at this place
    #[arg(long)]
    no_overwrite: bool,
    /// Wait until the video can be played (or could not be made: exit code 6)
    #[arg(long)]
    wait: bool,
    /// Wait no longer than this, such as 30m (exit code 5)
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, requires = "wait")]
    wait_timeout: Option<Duration>,
    /// Send in parts, whatever the size
    #[arg(long)]
    multipart: bool,
    /// Parts under way at the same time
    #[arg(long, value_name = "N", default_value = "4")]
    parallel: NonZeroUsize,
    /// Compute checksums first, so that the store refuses bytes that changed on the way (reads the file twice)
    #[arg(long)]
    checksum: bool,
    #[command(flatten)]
    connection: Connection,
}

/// What `--json` prints when the outcome is not waited for.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Uploaded<'a> {
    video_id: &'a VideoId,
    s3_key: &'a SourceKey,
    /// Where the results will be, as keys that `playback-url` takes.
    mp4_key: ProcessedKey,
    hls_key: ProcessedKey,
    grant_id: &'a GrantId,
    bytes: u64,
    resumed_bytes: u64,
}

/// How long the command runs.
#[derive(Debug, Clone, Copy)]
enum Until {
    /// The file is in the object store.
    Stored,
    /// The video's processing has ended, or this long has passed.
    Done(Option<Duration>),
}

fn metadata(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("give it as KEY=VALUE, such as lesson=3".to_owned()),
    }
}

/// Uploads, and waits if asked to.
pub(crate) async fn run(arguments: Arguments, output: Output) -> Result<(), Failure> {
    let base = arguments.connection.base()?;
    let key = arguments.connection.key()?;
    if is_exposed(&base) {
        output.note("warning: the API key crosses the network unencrypted; use https:// in STREAMIO_URL");
    }
    let source = Source::open(&arguments.file)?;
    let notices = std::sync::Arc::new(move |text: &str| output.note(text));
    let client = Client::new(base, &key, notices)?;
    // A file without bytes has no parts.
    let multipart = source.size > 0 && (arguments.multipart || source.size >= MULTIPART_FROM);
    let request = UploadRequest {
        filename: arguments.name.unwrap_or_else(|| source.name.clone()),
        path: arguments.path,
        content_type: arguments.content_type,
        size: Some(source.size),
        overwrite: arguments.no_overwrite.then_some(false),
        multipart: multipart.then_some(true),
        metadata: BTreeMap::from_iter(arguments.metadata),
        ..UploadRequest::default()
    };
    let standing = Standing::default();
    let transfer = Transfer {
        client,
        output,
        source,
        request,
        checksum: arguments.checksum,
        parallel: arguments.parallel,
        state_directory: resume::directory()?,
        needs_baseline: arguments.wait,
        standing: standing.clone(),
    };
    let until = if arguments.wait { Until::Done(arguments.wait_timeout) } else { Until::Stored };
    tokio::select! {
        outcome = upload(&transfer, until) => outcome,
        () = stopped() => Err(standing.interrupted()),
    }
}

async fn upload(transfer: &Transfer, until: Until) -> Result<(), Failure> {
    let begun = Instant::now();
    let stored = transfer.run().await?;
    transfer.standing.set(Stage::Stored(stored.video_id.clone()));
    let bytes = transfer.source.size;
    let summary = format!(
        "Uploaded {} ({} in {:.1} s) as {}",
        transfer.source.name,
        size(bytes),
        begun.elapsed().as_secs_f64(),
        stored.video_id
    );
    match until {
        Until::Stored => answer(transfer.output, &stored, bytes, &summary),
        Until::Done(limit) => {
            transfer.output.note(&summary);
            finish(transfer, until_done(&transfer.client, transfer.output, &stored, limit).await?)
        }
    }
}

fn answer(output: Output, stored: &Stored, bytes: u64, summary: &str) -> Result<(), Failure> {
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
    output.answer(&uploaded, || {
        format!("{summary}\nIts processing has begun: see `streamio video show {}`", stored.video_id)
    })
}

fn finish(transfer: &Transfer, outcome: Outcome) -> Result<(), Failure> {
    let show = |answer: &VideoAnswer| transfer.output.answer(&answer.raw, || video::describe(&answer.status));
    match outcome {
        Outcome::Ready(answer) => {
            show(&answer)?;
            if let Some(outputs) = &answer.status.outputs {
                transfer
                    .output
                    .note(&format!("\nPlay it: streamio playback-url {}", quoted(outputs.hls_key.as_str())));
            }
            Ok(())
        }
        Outcome::Errored(answer, error) => {
            show(&answer)?;
            Err(errored(&answer, &error))
        }
        Outcome::Deleted(answer) => {
            show(&answer)?;
            let what = format!("the video {} was deleted meanwhile", answer.status.video_id);
            Err(Failure::new(Exit::NotFound, what, "upload it again if that was not meant"))
        }
    }
}

fn errored(answer: &VideoAnswer, error: &VideoError) -> Failure {
    let todo = if error.retryable {
        format!("try once more with `streamio video reprocess {}`", answer.status.video_id)
    } else {
        // The message says it itself.
        String::new()
    };
    let what = format!(
        "no video could be made of the upload: {} ({})",
        error.message.trim_end_matches('.'),
        error.code
    );
    Failure::new(Exit::VideoErrored, what, todo)
        .with("videoId", answer.status.video_id.as_str())
        .with("code", error.code.clone())
        .with("retryable", error.retryable)
}
