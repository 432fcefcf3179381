//! `cargo xtask media-fuzz`: runs the worker on random media files for a given time.

use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use xshell::cmd;

use crate::process::run as run_child;
use crate::tools::{Tool, Tools};
use crate::workspace::Workspace;

/// Run the worker on random media files, and check what must hold for each
///
/// Each file has a seed, which is printed with FFmpeg's arguments for it. To run a file again, pass its seed and `--minutes 0`.
/// Stops after ten files that break a law.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Minutes to spend; with 0, one file is run
    #[arg(long, value_name = "N", default_value_t = 10)]
    minutes: u64,
    /// Seed of the first file; each further file has the next one. Without it, a seed is chosen by the clock
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,
    /// Keep the files that break a law, in the folder for temporary files
    #[arg(long)]
    keep: bool,
}

/// Runs the test that makes the files.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    Tools::new(workspace).ensure(&[Tool::Ffmpeg])?;
    let (shell, cargo) = (&workspace.shell, env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    let seed = args.seed.unwrap_or_else(|| {
        // Small seeds are easy to type again, and the automatic tests use those below a thousand.
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs() % 1_000_000_000 + 1_000)
    });
    // The first file is always run.
    let seconds = (args.minutes * 60).max(1);
    let test = cmd!(
        shell,
        "{cargo} test -p streamio-worker --all-features --test ffmpeg -- --exact generator::generated_media_obeys_the_laws --nocapture"
    )
    .env("STREAMIO_MEDIA_FUZZ_SEED", seed.to_string())
    .env("STREAMIO_MEDIA_FUZZ_SECONDS", seconds.to_string());
    run_child(if args.keep { test.env("STREAMIO_MEDIA_FUZZ_KEEP", "1") } else { test })
}
