//! `cargo xtask demo`: uploads, processes and plays one video through the public command line and API.
//!
//! The demo checks that every rendition decodes to its last frame through its signed URL, and that URLs without a valid
//! signature are refused.

mod clip;
mod media;
pub(crate) mod platform;
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

/// Start the platform, upload a video, wait until it is processed, and play it.
///
/// Installs FFmpeg if it is missing, builds the `streamio` command, starts the platform on a new temporary directory,
/// creates a project, uploads the file through the public API, and waits until it is ready. Then it checks that every
/// frame of every rendition decodes through the signed URLs and that unsigned and altered URLs are refused, prints the
/// URLs, and exits with status 0.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask demo\n  cargo xtask demo holiday.mov --keep\n  \
    cargo xtask demo --data ./streamio-data")]
pub(crate) struct Args {
    /// A video file [default: a sample clip, which is downloaded, or a generated test pattern without network access]
    file: Option<PathBuf>,
    /// Keep the platform running until Ctrl-C, and print example requests
    #[arg(long)]
    keep: bool,
    /// Store the platform's state in this directory instead of a temporary one
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// Runs the demo. Fails if a check fails.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let tools = Tools::new(workspace);
    tools.ensure(&[Tool::Ffmpeg])?;
    let work = tempfile::Builder::new().prefix("streamio-demo-").tempdir()?;
    let file = match &args.file {
        Some(file) => file.canonicalize().with_context(|| format!("no such file: {}", file.display()))?,
        None => clip::get(&tools, work.path())?,
    };
    let cli = build(workspace)?;

    let source = media::probe(&file.to_string_lossy())
        .with_context(|| format!("could not read {} with ffprobe", file.display()))?;
    show::source(&file, &source)?;

    let data = args.data.clone().unwrap_or_else(|| work.path().join("data"));
    let mut platform = Platform::start(&cli, &data, work.path())?;
    show::platform(&platform.addresses);
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
    show::urls(&platform.addresses, &hls, &mp4, args.keep);
    if args.keep {
        keep(&mut platform, &api, &outputs.hls_key)?;
    }
    platform.stop()
}

/// Builds the `streamio` program with the features of the whole workspace, as the tests do, and returns its path.
pub(crate) fn build(workspace: &Workspace) -> Result<PathBuf> {
    let (shell, cargo) = (&workspace.shell, std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    process::run(cmd!(shell, "{cargo} build --workspace --all-features --bin streamio"))?;
    let metadata = cargo_metadata::MetadataCommand::new().current_dir(&workspace.root).no_deps().exec()?;
    let program = metadata.target_directory.join("debug/streamio").into_std_path_buf();
    if !program.is_file() {
        bail!("cargo built no {}: is another profile configured?", program.display());
    }
    Ok(program)
}

/// Waits for Ctrl-C. Fails if the platform ends before.
fn keep(platform: &mut Platform, api: &Api, hls_key: &str) -> Result<()> {
    show::requests(api, hls_key);
    match platform.wait() {
        Err(error) if error.is::<Interrupted>() => {
            eprintln!("stopped");
            Ok(())
        }
        Err(error) => Err(error),
        Ok(status) => bail!("the platform ended unexpectedly with {status}\n{}", platform.log_end()),
    }
}
