//! `streamio playback-url`: requests a signed playback URL.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;

use clap::Args;
use serde_json::Value;
use streamio_events::nfc::to_nfc;
use streamio_events::object_key::ProcessedKey;

use crate::args::{Connection, PlaybackTerms};
use crate::client::Client;
use crate::client::wire::PlaybackRequest;
use crate::exit::Failure;
use crate::output::{Output, fields, quoted};

const EXAMPLES: &str = "\
Examples:
  streamio playback-url processed/acme/clip.mp4                        # the progressive MP4
  streamio playback-url processed/acme/clip.mp4.hls/master.m3u8        # the adaptive stream
  streamio playback-url processed/acme/clip.mp4 --ttl 10m --ip 203.0.113.0/24
  ffplay \"$(streamio playback-url processed/acme/clip.mp4.hls/master.m3u8)\"

Where standard output is not a terminal, as in `$(…)`, the URL alone is printed. Anyone with the URL can play the video until it expires: treat it as a secret.";

/// Get a signed playback URL for a video
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Key of the MP4, the HLS playlist or the poster, as printed by `video show`
    #[arg(value_name = "KEY", value_parser = processed_key)]
    key: ProcessedKey,
    #[command(flatten)]
    terms: PlaybackTerms,
    /// mp4 for a single file, hls for the adaptive stream (default: according to the key)
    #[arg(long, value_name = "FORMAT", value_parser = ["mp4", "hls"])]
    format: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// A processed key in any Unicode normalization form, as file names are on macOS. The API's keys are in NFC.
fn processed_key(text: &str) -> Result<ProcessedKey, String> {
    to_nfc(text).parse().map_err(|error| format!("the key {error}"))
}

/// Runs `streamio playback-url`.
pub(crate) async fn run(arguments: Arguments, output: Output) -> Result<(), Failure> {
    let connection = &arguments.connection;
    let client =
        Client::new(connection.base()?, &connection.key()?, Arc::new(move |text: &str| output.note(text)))?;
    let request = PlaybackRequest { format: arguments.format, ..arguments.terms.into() };
    let grant = client.playback_url(&arguments.key, &request).await?;
    output.result(&grant, || {
        if output.quiet || !io::stdout().is_terminal() { url_of(&grant) } else { describe(&grant) }
    })
}

/// The URL to play.
fn url_of(grant: &Value) -> String {
    ["hlsUrl", "signedUrl"].iter().find_map(|name| grant[name].as_str()).unwrap_or_default().to_owned()
}

fn describe(grant: &Value) -> String {
    let url = url_of(grant);
    let expires = grant["expiresAt"].as_str().map(str::to_owned);
    let facts = fields(&[("URL", Some(url.clone())), ("Expires", expires)]);
    let is_stream = grant["hlsUrl"].is_string();
    let browser = if is_stream { "in Safari, or in a page with hls.js" } else { "in a browser" };
    format!("{facts}\n\nPlay it {browser}, or:\n  ffplay {}", quoted(&url))
}
