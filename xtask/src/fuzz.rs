//! `cargo xtask fuzz`: runs the fuzz targets under libFuzzer.

mod build;
pub(crate) mod compiler;
mod figures;
mod session;

use std::fs;
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;

use anyhow::{Context, Result, bail};

use crate::tools::Tools;
use crate::workspace::Workspace;

use figures::Figures;
use session::{Effort, Session};

/// The inputs of each target in `--quick`.
const QUICK_EXECUTIONS: u64 = 3000;
/// The seconds of each target if nothing is stated.
const DEFAULT_SECONDS: u64 = 60;

/// Run the parsers of bytes from outside on generated inputs, and check what must hold for each
///
/// Each target is a module of `fuzz/src`, whose first lines state its laws. A target first runs its inputs in `fuzz/seeds` and
/// `fuzz/regressions`, then inputs that libFuzzer makes of them. New inputs that reach more code are kept in `target/fuzz/corpus`,
/// so that the next run continues there.
///
/// An input that breaks a law is made smaller and printed with the command that runs it again. Correct the product, add a test,
/// and move the input to `fuzz/regressions/TARGET/` under a name that says what it is; `cargo test` then runs it always.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask fuzz                                       all targets, a minute each\n  \
    cargo xtask fuzz playlist policy --executions 10000000\n  \
    cargo xtask fuzz range --input target/fuzz/crashes/range/minimized"
)]
pub(crate) struct Args {
    /// Run only these targets: the folders of `fuzz/seeds`
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// Inputs to run per target
    #[arg(long, value_name = "N", conflicts_with = "seconds")]
    executions: Option<u64>,
    /// Seconds to spend per target [default: 60]
    #[arg(long, value_name = "S")]
    seconds: Option<u64>,
    /// Targets to run at the same time
    #[arg(long, value_name = "N", default_value = "1")]
    jobs: NonZeroUsize,
    /// Also find invalid uses of memory in dependencies; several times slower
    #[arg(long)]
    address_sanitizer: bool,
    /// Build as the tests are built, which takes seconds after them, and run 3,000 inputs per target, the same at each time.
    /// `cargo xtask test` does this
    #[arg(long, conflicts_with_all = ["address_sanitizer", "executions", "seconds"])]
    quick: bool,
    /// Run only the input in this file, with one target
    #[arg(long, value_name = "FILE", conflicts_with_all = ["executions", "seconds"])]
    input: Option<std::path::PathBuf>,
}

/// Builds the targets and runs those that the arguments select.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let targets = select(workspace, &args.targets)?;
    let tools = Tools::new(workspace);
    let program = if args.quick {
        build::beside_tests(workspace, &tools)?
    } else {
        build::with_cargo_fuzz(workspace, &tools, args.address_sanitizer)?
    };
    let effort = match (args.quick, args.executions) {
        (true, _) => Effort::SameExecutions(QUICK_EXECUTIONS),
        (false, Some(executions)) => Effort::Executions(executions),
        (false, None) => Effort::Seconds(args.seconds.unwrap_or(DEFAULT_SECONDS)),
    };
    let session = Session::new(workspace, program, effort);
    if let Some(input) = &args.input {
        let [target] = &targets[..] else { bail!("--input runs with one target: name it") };
        return session.run_input(target, input);
    }
    let results = run_all(&session, &targets, args.jobs.get())?;
    println!("{}", figures::table(&results));
    let broken: Vec<&str> =
        results.iter().filter(|(_, figures)| figures.is_broken).map(|(name, _)| name.as_str()).collect();
    if !broken.is_empty() {
        bail!("an input broke a law of: {}", broken.join(", "));
    }
    Ok(())
}

/// The short form for `cargo xtask test`: all targets, the same inputs at each time, two targets at the same time.
pub(crate) fn run_quick(workspace: &Workspace) -> Result<()> {
    let jobs = NonZeroUsize::new(2).expect("two is not zero");
    let (executions, seconds, input) = (None, None, None);
    let args =
        Args { targets: vec![], executions, seconds, jobs, address_sanitizer: false, quick: true, input };
    run(workspace, &args)
}

/// Returns the targets with these names, or all.
fn select(workspace: &Workspace, names: &[String]) -> Result<Vec<String>> {
    let seeds = workspace.root.join("fuzz/seeds");
    let mut all = Vec::new();
    for entry in fs::read_dir(&seeds).with_context(|| format!("could not list {}", seeds.display()))? {
        all.push(entry?.file_name().to_string_lossy().into_owned());
    }
    all.sort();
    if let Some(unknown) = names.iter().find(|name| !all.contains(name)) {
        bail!("there is no fuzz target `{unknown}`; there are {}", all.join(", "));
    }
    Ok(if names.is_empty() { all } else { names.to_vec() })
}

/// Runs `targets`, `jobs` at the same time, and returns their figures in the order of the targets.
fn run_all(session: &Session, targets: &[String], jobs: usize) -> Result<Vec<(String, Figures)>> {
    let waiting = Mutex::new(targets.iter().enumerate());
    let work = || -> Result<Vec<(usize, Figures)>> {
        let mut done = Vec::new();
        loop {
            let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((index, target)) = next else { return Ok(done) };
            done.push((index, session.run(target)?));
        }
    };
    let mut done = Vec::new();
    thread::scope(|scope| -> Result<()> {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            done.extend(worker.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??);
        }
        Ok(())
    })?;
    done.sort_by_key(|(index, _)| *index);
    Ok(done.into_iter().map(|(index, figures)| (targets[index].clone(), figures)).collect())
}
