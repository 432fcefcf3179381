//! `cargo xtask demo`: the whole product, once, as a customer sees it.
//!
//! Everything goes through the public command line and API. The demo then checks what it claims: that every rendition
//! plays to its last frame through its signed URL, and that nothing plays without one.

mod clip;
mod media;
mod platform;
mod playback;
mod show;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use xshell::cmd;

use crate::process::{self, Interrupted};
use crate::tools::{Tool, Tools};
use crate::workspace::Workspace;

use platform::{Api, Platform};

/// Show the whole product once: start it, upload a film, watch it being processed, play it.
///
/// Gets FFmpeg when it is missing, builds the `streamio` command, starts the platform on a new temporary directory,
/// creates a project, uploads the file through the public API, and waits until it is ready. Then it checks
/// that every frame of every rendition decodes through the signed URLs and that unsigned and altered URLs are refused,
/// prints the URLs, and exits 0.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask demo\n  cargo xtask demo holiday.mov --keep\n  \
    cargo xtask demo --data ./streamio-data")]
pub(crate) struct Args {
    /// A video file; without it a short film clip is fetched (or a test pattern is drawn, without network)
    file: Option<PathBuf>,
    /// Leave the platform running until Ctrl-C, and print requests to try
    #[arg(long)]
    keep: bool,
    /// Keep the platform's state in this directory rather than in a temporary one
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// Runs the demo; an error means that something it claims is not so.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let tools = Tools::new(workspace);
    tools.ensure(&[Tool::Ffmpeg])?;
    let work = tempfile::Builder::new().prefix("streamio-demo-").tempdir()?;
    let file = match &args.file {
        Some(file) => file.canonicalize().with_context(|| format!("no such file: {}", file.display()))?,
        None => clip::any(&tools, work.path())?,
    };
    let cli = build(workspace)?;

    let source =
        media::probe(&file.to_string_lossy()).with_context(|| format!("ffprobe of {}", file.display()))?;
    show::source(&file, &source)?;

    let data = args.data.clone().unwrap_or_else(|| work.path().join("data"));
    let mut platform = Platform::start(&cli, &data, work.path())?;
    show::platform(&platform.ready);
    let api = platform.new_project()?;

    let started = Instant::now();
    let video = api.upload(&file)?;
    let took = started.elapsed();
    if video.state != "ready" {
        bail!("the video ended as {}: {}", video.state, video.error_text());
    }
    let outputs = video.outputs.context("the video is ready, but its view has no outputs")?;
    let hls = api.playback_url(&outputs.hls_key)?;
    let hls = hls.hls_url.unwrap_or(hls.signed_url);
    let mp4 = api.playback_url(&outputs.mp4_key)?.signed_url;

    let played = playback::check(&source, outputs.renditions.len(), &hls, &mp4)?;
    show::result(&source, took, &played);
    show::urls(&platform.ready, &hls, &mp4, args.keep);
    if args.keep {
        keep(&mut platform, &api, &outputs.hls_key)?;
    }
    platform.stop()
}

/// The `streamio` program, built with the features of the whole workspace: the artefacts that the tests use.
fn build(workspace: &Workspace) -> Result<PathBuf> {
    let (shell, cargo) = (&workspace.shell, std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    process::run(cmd!(shell, "{cargo} build --workspace --all-features --bin streamio"))?;
    let metadata = cargo_metadata::MetadataCommand::new().current_dir(&workspace.root).no_deps().exec()?;
    let program = metadata.target_directory.join("debug/streamio").into_std_path_buf();
    if !program.is_file() {
        bail!("cargo built no {}: is another profile configured?", program.display());
    }
    Ok(program)
}

/// Waits for Ctrl-C, which is the way to end it, or for the platform to end, which is not.
fn keep(platform: &mut Platform, api: &Api, hls_key: &str) -> Result<()> {
    show::requests(api, hls_key);
    match platform.wait() {
        Err(error) if error.is::<Interrupted>() => {
            eprintln!("stopped");
            Ok(())
        }
        Err(error) => Err(error),
        Ok(status) => bail!("the platform ended by itself with {status}\n{}", platform.log_end()),
    }
}
