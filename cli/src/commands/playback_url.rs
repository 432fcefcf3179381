//! `streamio playback-url`: requests a signed playback URL.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::Value;
use streamio_events::object_key::ProcessedKey;
use streamio_events::timestamp::Timestamp;

use crate::args::Connection;
use crate::client::Client;
use crate::client::wire::PlaybackRequest;
use crate::exit::Failure;
use crate::output::{Output, fields};

const EXAMPLES: &str = "\
Examples:
  streamio playback-url processed/acme/clip.mp4                        # the progressive MP4
  streamio playback-url processed/acme/clip.mp4.hls/master.m3u8        # the adaptive stream
  streamio playback-url processed/acme/clip.mp4 --ttl 10m --ip 203.0.113.0/24
  ffplay \"$(streamio playback-url KEY --json | jq -r '.hlsUrl // .signedUrl')\"

Anyone with the URL can play the video until it expires: treat it as a secret.";

/// Get a signed playback URL for a video
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Key of the MP4, the HLS playlist or the poster, as printed by `video show`
    #[arg(value_name = "KEY")]
    key: ProcessedKey,
    /// How long the URL is valid, such as 10m or 2h
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    ttl: Option<Duration>,
    /// When the URL becomes valid, such as 2026-01-02T03:04:05Z
    #[arg(long, value_name = "TIME")]
    starts_at: Option<Timestamp>,
    /// Restrict the URL to this IPv4 address or network, such as 203.0.113.0/24
    #[arg(long, value_name = "CIDR")]
    ip: Option<String>,
    /// mp4 for a single file, hls for the adaptive stream (default: according to the key)
    #[arg(long, value_name = "FORMAT", value_parser = ["mp4", "hls"])]
    format: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// Runs `streamio playback-url`.
pub(crate) async fn run(arguments: Arguments, output: Output) -> Result<(), Failure> {
    let connection = &arguments.connection;
    let client =
        Client::new(connection.base()?, &connection.key()?, Arc::new(move |text: &str| output.note(text)))?;
    let request = PlaybackRequest {
        key: arguments.key.to_string(),
        ttl: arguments.ttl.map(|ttl| ttl.as_secs()),
        starts_at: arguments.starts_at.map(|time| time.to_string()),
        ip: arguments.ip,
        format: arguments.format,
    };
    let grant = client.playback_url(&request).await?;
    output.result(&grant, || describe(&grant))
}

fn describe(grant: &Value) -> String {
    let text = |name: &str| grant[name].as_str().map(str::to_owned);
    let is_stream = text("hlsUrl").is_some();
    let url = text("hlsUrl").or_else(|| text("signedUrl")).unwrap_or_default();
    let facts = fields(&[("URL", Some(url.clone())), ("Expires", text("expiresAt"))]);
    let browser = if is_stream { "in Safari, or in a page with hls.js" } else { "in a browser" };
    format!("{facts}\n\nPlay it {browser}, or:\n  ffplay '{url}'")
}
