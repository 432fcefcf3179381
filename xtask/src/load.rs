//! `cargo xtask load`: many videos of several projects at once, one of which floods the platform, and thousands of bad connections.

mod clip;
mod connections;
mod figures;
mod latency;
mod memory;
mod phase;
mod project;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use xshell::cmd;

use self::connections::BadConnections;
use self::figures::Figures;
use self::phase::Phase;
use self::project::Project;
use crate::platform::program::{Places, Platform};
use crate::process;
use crate::tools::{Tool, Tools};
use crate::workspace::Workspace;

const HELP: &str = "\
Examples:
  cargo xtask load                                  # 500 videos, 64 clients, 5 projects, 2,000 bad connections
  cargo xtask load --check                          # fail if a goal is missed
  cargo xtask load --videos 100 --connections 500
  cargo xtask load --program target/debug/streamio  # without a build

Three phases on one platform. First four projects upload videos of 2 s one after another, each waiting until its video is ready: this is \
how they are alone. Then a fifth project floods the platform with uploads from all other clients, and the four do the same again. Then \
they do it a third time beside connections that are idle, send a request a byte at a time, send a body a byte at a time, or never read \
what they asked for. Upload URLs are requested all the time, and timed.

Goals: every video becomes ready; the four projects' p95 of the time to ready beside the flood, and beside the bad connections, is at most \
twice that alone; the p99 of an upload URL is at most 25 ms; the platform's memory stays below 200 MB. The times depend on the machine: run \
it where nothing else runs.";

/// Load the platform with a flood of uploads and with bad connections, and measure what others notice
///
/// Builds `streamio` with optimizations and runs it on a temporary data directory.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// The number of videos in the phase with the flood
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(100..))]
    videos: u32,
    /// The number of clients, of which four belong to projects that do not flood
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(5..))]
    clients: u32,
    /// The number of bad connections; 0 leaves out their phase
    #[arg(long, value_name = "N", default_value_t = 2000)]
    connections: usize,
    /// The files and connections that the platform may have open. Each of its four listeners gets a quarter of what is left after 512
    #[arg(long, value_name = "N", default_value_t = 3072, value_parser = clap::value_parser!(u32).range(1024..))]
    open_files: u32,
    /// The `streamio` program [default: it is built]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Fail if a goal is missed
    #[arg(long)]
    check: bool,
}

/// The projects that do not flood.
const OTHERS: u32 = 4;

/// The videos of each of the projects that do not flood, in each phase.
const VIDEOS_OF_OTHERS: u32 = 10;

/// Runs the phases and prints the figures.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    Tools::new(workspace).ensure(&[Tool::Ffmpeg])?;
    let program = args.program.clone().map_or_else(|| build(workspace), Ok)?;
    let work = tempfile::Builder::new().prefix("streamio-load-").tempdir()?;
    let places = Places { program, data: work.path().join("data"), log: work.path().join("platform.log") };
    let result = load(&places, args, work.path());
    if result.is_err() {
        process::check_interrupted()?;
        let kept = work.keep();
        return result.with_context(|| format!("kept {}", kept.display()));
    }
    result
}

fn load(places: &Places, args: &Args, work: &std::path::Path) -> Result<()> {
    let clip = clip::make(work)?;
    let mut platform = Platform::start_with_open_files(places, &[], args.open_files)?;
    let addresses = platform.ready()?;
    let project = |name: &str| Project::create(places, &addresses.api, name);
    let others =
        (1..=OTHERS).map(|number| project(&format!("other-{number}"))).collect::<Result<Vec<_>>>()?;
    let flood = project("flood")?;
    let observer = project("observer")?;
    let phase = Phase { clip: &clip, others: &others, observer: &observer, videos: VIDEOS_OF_OTHERS };

    eprintln!("the others alone: {} videos", OTHERS * VIDEOS_OF_OTHERS);
    let alone = phase.run(|| Ok(()))?;

    let flooding = args.videos - OTHERS * VIDEOS_OF_OTHERS;
    eprintln!("with a flood of {flooding} videos by {} clients", args.clients - OTHERS);
    let beside_flood = flood.flood(&clip, flooding, args.clients - OTHERS, |begun| {
        let measured = phase.run(begun)?;
        flood.wait_until_all_ready(flooding)?;
        Ok(measured)
    })?;

    let beside_connections = if args.connections == 0 {
        None
    } else {
        eprintln!("beside {} bad connections", args.connections);
        let bad = BadConnections::open(&addresses, &observer, &clip, args.connections)?;
        let measured = phase.run(|| Ok(()))?;
        let reopened = bad.close()?;
        eprintln!("the platform closed {reopened} of them, which were opened again");
        Some(measured)
    };
    let memory = memory::peak(platform.id())?;
    platform.stop()?;

    let figures = Figures { alone, beside_flood, beside_connections, memory };
    println!("{figures}");
    let missed = figures.missed();
    if args.check && !missed.is_empty() {
        bail!("goals missed: {}", missed.join("; "));
    }
    Ok(())
}

/// Builds the program with optimizations, and returns its path.
fn build(workspace: &Workspace) -> Result<PathBuf> {
    let (shell, cargo) = (&workspace.shell, std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    process::run(cmd!(shell, "{cargo} build --release --workspace --all-features --bin streamio"))?;
    let metadata = cargo_metadata::MetadataCommand::new().current_dir(&workspace.root).no_deps().exec()?;
    Ok(metadata.target_directory.join("release/streamio").into_std_path_buf())
}
