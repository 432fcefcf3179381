//! `cargo xtask torture`: kills the real program at random moments under load, and checks that nothing acknowledged is lost and nothing
//! is published twice.

mod check;
mod client;
mod disk;
mod figures;
mod file;
mod medium;
mod processes;
mod receiver;
mod record;
mod run;
mod stage;
mod storage;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use self::disk::namespace;
use self::medium::Medium;
use self::run::Run;
use crate::demo;
use crate::platform::program::Places;
use crate::process::check_interrupted;
use crate::tools::{Tool, Tools};
use crate::workspace::Workspace;

const HELP: &str = "\
Examples:
  cargo xtask torture                                  # 200 kills
  cargo xtask torture --lose-unsynced-writes           # 200 kills with a power loss each
  cargo xtask torture --seed 7 --cycles 20             # the moments and files of a seed again

Each cycle starts `streamio up` on the same data directory, lets three clients make calls, kills the program with SIGKILL, and checks after
the next start that all that was acknowledged is there: upload URLs, uploads with their bytes, metadata, deletions, playback \
grants. Calls that the kill cut off are repeated with the same idempotency key. Every 50th cycle checks everything, and the end too, when \
all videos are processed: all bytes, the whole feed, that each clip was published once and plays, that each webhook arrived with the same \
body whenever it came, although a receiver refuses some and does not answer others, `streamio events verify` and `audit verify`, `streamio store \
check --read`, the databases, and that no process and no file is left over.

With --lose-unsynced-writes the data directory is on a file system that loses, with each kill, changes that were not synced: writes, \
whole or from a sector on, and creations, renamings and removals whose directory was not synced. It needs Linux with /dev/fuse and \
`unshare`.

A seed determines the moments of the kills, the calls, the files and what is lost, but not how the processes run between: a fault may \
need several runs of its seed.

Exit codes: 0 if every check held, 1 if one did not; the data directory and the log are then kept, and their place is printed.";

/// Kill the platform under load at random moments, and check that nothing is lost
///
/// Builds `streamio` and runs it on a temporary data directory.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// The number of kills
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    cycles: u32,
    /// Determines the moments and the calls [default: a random one, which is printed]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Lose changes of files that were not synced with each kill
    #[arg(long)]
    lose_unsynced_writes: bool,
    /// The `streamio` program [default: it is built]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

impl Args {
    /// The arguments of `cargo xtask` for this run with this seed.
    fn words(&self, seed: u64) -> Vec<OsString> {
        let numbers = ["torture", "--cycles", &self.cycles.to_string(), "--seed", &seed.to_string()]
            .map(OsString::from);
        let loses = self.lose_unsynced_writes.then(|| "--lose-unsynced-writes".into());
        let program = self.program.iter().flat_map(|program| ["--program".into(), program.into()]);
        numbers.into_iter().chain(loses).chain(program).collect()
    }
}

/// Runs 20 cycles with a random seed, of which 8 lose writes. On a machine where writes cannot be lost it says so, and only kills.
pub(crate) fn run_short(workspace: &Workspace) -> Result<()> {
    let short =
        |cycles, lose_unsynced_writes| Args { cycles, seed: None, lose_unsynced_writes, program: None };
    run(workspace, &short(12, false))?;
    let obstacle = namespace::obstacle();
    if let Some(obstacle) = &obstacle {
        println!("Writes cannot be lost on this machine, because {obstacle}: the other 8 kills lose none.");
    }
    run(workspace, &short(8, obstacle.is_none()))
}

/// Runs the cycles. Fails at the first check that does not hold.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
    if args.lose_unsynced_writes && !namespace::is_inside() {
        if let Some(obstacle) = namespace::obstacle() {
            bail!("writes cannot be lost on this machine: {obstacle}; run it without --lose-unsynced-writes");
        }
        return namespace::run_inside(&args.words(seed));
    }
    if namespace::is_inside() {
        namespace::end_with_parent()?;
    }
    Tools::new(workspace).ensure(&[Tool::Ffmpeg])?;
    let program = args.program.clone().map_or_else(|| demo::build(workspace), Ok)?;
    let work = tempfile::Builder::new().prefix("streamio-torture-").tempdir()?;
    let words: Vec<String> =
        args.words(seed).iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let again = format!("cargo xtask {}", words.join(" "));
    println!("{again}");
    let result = torture(program, work.path(), args, seed);
    if result.is_err() {
        check_interrupted()?;
        let kept = work.keep();
        return result.with_context(|| format!("kept {}; to run this again: {again}", kept.display()));
    }
    result
}

fn torture(program: PathBuf, work: &Path, args: &Args, seed: u64) -> Result<()> {
    let (medium, folder) = if args.lose_unsynced_writes {
        let directory = work.join("disk");
        (Medium::losing(&directory)?, directory)
    } else {
        (Medium::Own, work.to_owned())
    };
    let places = Places { program, data: folder.join("data"), log: work.join("platform.log") };
    let mut run = Run::begin(places, medium, work, seed)?;
    let cycles = args.cycles;
    let result = run.cycles(cycles, |figures, stage| {
        println!(
            "{:>4}/{cycles} killed: {stage}; {} calls acknowledged",
            figures.cycles,
            figures.counts.acknowledged()
        );
    });
    match result {
        Ok(figures) => {
            println!("Nothing acknowledged was lost, and nothing was published twice.\n{figures}");
            Ok(())
        }
        Err(error) => {
            // On a mounted file system it would be gone with this process.
            if args.lose_unsynced_writes
                && let Err(problem) = run.keep_data(&work.join("data"))
            {
                eprintln!("xtask: the data directory could not be kept: {problem:#}");
            }
            Err(error)
        }
    }
}
