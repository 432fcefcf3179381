//! `streamio playback`: requests the signed URLs of all that can be played of a video.

use std::io::{self, IsTerminal as _};

use clap::Args;
use serde_json::Value;

use super::video::{Id, client};
use crate::args::{Connection, PlaybackTerms};
use crate::exit::Failure;
use crate::output::{Output, fields, quoted};

const EXAMPLES: &str = "\
Examples:
  streamio playback projects/acme/clip.mp4                # all URLs
  streamio playback projects/acme/clip.mp4 --ttl 10m --ip 203.0.113.0/24
  streamio playback projects/acme/clip.mp4 --json | jq -r .posterUrl
  ffplay \"$(streamio playback projects/acme/clip.mp4)\"

VIDEO is a video's id (vid_…) or its source key. Where standard output is not a terminal, as in `$(…)`, the URL of the adaptive \
stream alone is printed. Anyone with a URL can play the video until it expires: treat it as a secret.";

/// Get the signed URLs of a video: adaptive stream, MP4 and poster
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The video's id or source key
    #[arg(value_name = "VIDEO")]
    id: Id,
    #[command(flatten)]
    terms: PlaybackTerms,
    #[command(flatten)]
    connection: Connection,
}

/// Runs `streamio playback`.
pub(crate) async fn run(arguments: Arguments, output: Output) -> Result<(), Failure> {
    let client = client(&arguments.connection, output)?;
    let grant = client.video_playback(arguments.id.video_id(), &arguments.terms.into()).await?;
    output.result(&grant, || {
        if output.quiet || !io::stdout().is_terminal() { url_of(&grant) } else { describe(&grant) }
    })
}

/// The URL to play.
fn url_of(grant: &Value) -> String {
    ["hlsUrl", "mp4Url"].iter().find_map(|name| grant[name].as_str()).unwrap_or_default().to_owned()
}

fn describe(grant: &Value) -> String {
    let text = |name: &str| grant[name].as_str().map(str::to_owned);
    let facts = fields(&[
        ("HLS", text("hlsUrl")),
        ("MP4", text("mp4Url")),
        ("Poster", text("posterUrl")),
        ("Expires", text("expiresAt")),
    ]);
    format!(
        "{facts}\n\nPlay the HLS URL in Safari or in a page with hls.js, the MP4 in any browser, or:\n  ffplay {}",
        quoted(&url_of(grant))
    )
}
