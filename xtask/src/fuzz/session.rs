//! Runs targets, and makes an input that breaks a law smaller.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::figures::Figures;
use crate::process::{capture, run};
use crate::workspace::Workspace;

/// How much is run of each target.
#[derive(Clone, Copy)]
pub(super) enum Effort {
    Executions(u64),
    /// This many, the same in each run: neither chance nor earlier runs decide what is generated.
    SameExecutions(u64),
    Seconds(u64),
}

impl Effort {
    /// The arguments for libFuzzer.
    fn arguments(self) -> Vec<String> {
        match self {
            Self::Executions(executions) => vec![format!("-runs={executions}")],
            Self::SameExecutions(executions) => vec![format!("-runs={executions}"), "-seed=1".to_owned()],
            Self::Seconds(seconds) => vec![format!("-max_total_time={seconds}")],
        }
    }
}

/// The seconds after which one input counts as too slow.
const SLOWEST_INPUT: u32 = 10;
/// The most memory of a target, in MiB.
const MEMORY: u32 = 2048;
/// The longest input that is made, in bytes. Committed inputs may be longer.
const LONGEST: u32 = 4096;
/// The seconds for making an input smaller.
const MINIMIZING: u32 = 20;

/// The program, and the folders of its inputs.
pub(super) struct Session {
    program: PathBuf,
    effort: Effort,
    /// The folder of the crate, with the committed inputs.
    committed: PathBuf,
    /// The folder of generated inputs.
    generated: PathBuf,
}

impl Session {
    pub(super) fn new(workspace: &Workspace, program: PathBuf, effort: Effort) -> Self {
        let (committed, generated) = (workspace.root.join("fuzz"), workspace.target().join("fuzz"));
        Self { program, effort, committed, generated }
    }

    /// Runs the committed inputs of a target, and generated ones.
    pub(super) fn run(&self, target: &str) -> Result<Figures> {
        let corpus = self.corpus(target)?;
        let crashes = self.generated.join("crashes").join(target);
        for folder in [&corpus, &crashes] {
            fs::create_dir_all(folder).with_context(|| format!("could not create {}", folder.display()))?;
        }
        let mut command = self.command(target);
        command.arg(&corpus);
        let committed = ["seeds", "regressions"].map(|kind| self.committed.join(kind).join(target));
        command.args(committed.iter().filter(|folder| folder.is_dir()));
        command.args(self.effort.arguments());
        command.args([format!("-max_len={LONGEST}"), "-print_final_stats=1".to_owned()]);
        command.arg(format!("-artifact_prefix={}/", crashes.display()));
        let output = capture(command)?;
        let text = String::from_utf8_lossy(&output.stderr);
        let mut figures = Figures::read(&text);
        if !output.status.success() {
            figures.is_broken = true;
            let Some(input) = crash_in(&text) else {
                bail!("{target} ended with {} and named no input:\n{text}", output.status);
            };
            self.report(target, &input, &text)?;
        } else if figures.executions == 0 {
            bail!("{target} ended with success and states no executed input:\n{text}");
        }
        Ok(figures)
    }

    /// The folder of the inputs that earlier runs kept, or an empty one.
    fn corpus(&self, target: &str) -> Result<PathBuf> {
        if !matches!(self.effort, Effort::SameExecutions(_)) {
            return Ok(self.generated.join("corpus").join(target));
        }
        let folder = self.generated.join("quick").join(target);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("could not remove {}", folder.display()))
            }
            _ => Ok(folder),
        }
    }

    /// Runs one input. Fails if it breaks a law.
    pub(super) fn run_input(&self, target: &str, input: &Path) -> Result<()> {
        let mut command = self.command(target);
        command.arg(input);
        run(command)
    }

    fn command(&self, target: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.env("STREAMIO_FUZZ_TARGET", target).env("RUST_BACKTRACE", "0");
        command.args([format!("-timeout={SLOWEST_INPUT}"), format!("-rss_limit_mb={MEMORY}")]);
        command
    }

    /// Prints what broke, the smallest input that was found for it, and how to run it again.
    fn report(&self, target: &str, input: &Path, output: &str) -> Result<()> {
        let minimized = input.with_file_name("minimized");
        let mut command = self.command(target);
        command.args(["-minimize_crash=1".to_owned(), format!("-max_total_time={MINIMIZING}")]);
        command.arg(format!("-exact_artifact_path={}", minimized.display())).arg(input);
        // Its exit status says whether it made the input smaller.
        capture(command)?;
        let smallest = if minimized.is_file() { &minimized } else { input };
        let bytes = fs::read(smallest).with_context(|| format!("could not read {}", smallest.display()))?;
        eprintln!("{target}: an input broke a law:\n{}", message_in(output));
        eprintln!("the input: {}\n  {}", smallest.display(), bytes.escape_ascii());
        eprintln!("to run it again: cargo xtask fuzz {target} --input {}", smallest.display());
        Ok(())
    }
}

/// The file that libFuzzer wrote the input to.
fn crash_in(output: &str) -> Option<PathBuf> {
    let place = output.lines().find_map(|line| line.split_once("Test unit written to "));
    place.map(|(_, path)| PathBuf::from(path.trim()))
}

/// The message of the panic, or the one of libFuzzer, for example that an input took too long.
fn message_in(output: &str) -> String {
    let is_message =
        |line: &&str| line.contains("panicked at") || line.starts_with("==") && line.contains("ERROR");
    let lines: Vec<&str> = output.lines().skip_while(|line| !is_message(line)).take(5).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{crash_in, message_in};

    const OUTPUT: &str = "#12 NEW cov: 3\nthread '<unnamed>' panicked at fuzz/src/range.rs:30:9:\nassertion failed\n\
        ==7== ERROR: libFuzzer: deadly signal\nartifact_prefix='/c/'; Test unit written to /c/crash-1f\nBase64: AA==\n";

    #[test]
    fn the_input_and_the_message_are_found() {
        assert_eq!(crash_in(OUTPUT).as_deref(), Some(Path::new("/c/crash-1f")));
        assert!(
            message_in(OUTPUT)
                .starts_with("thread '<unnamed>' panicked at fuzz/src/range.rs:30:9:\nassertion failed")
        );
        assert_eq!(crash_in("#12 DONE cov: 3\n"), None);
    }
}
