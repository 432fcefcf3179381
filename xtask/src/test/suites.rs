//! The Rust test programs. Slow ones, which mostly wait for other processes, run beside the others.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::thread;

use anyhow::{Context, Result, bail};
use cargo_metadata::MetadataCommand;
use xshell::cmd;

use super::steps::cargo;
use crate::process::{capture, run};
use crate::workspace::Workspace;

/// The integration tests that run beside all others: the emulated cloud's scenarios.
const BESIDE: &[&str] = &["scenarios"];

/// Builds all test programs and runs them in two groups at the same time, each with the variables of `environment`. Prints the
/// output of the smaller group after that of the other.
pub(super) fn run_all(workspace: &Workspace, environment: &[(&str, PathBuf)]) -> Result<()> {
    let (shell, cargo) = (&workspace.shell, cargo());
    run(cmd!(shell, "{cargo} test --workspace --all-features --lib --bins --tests --no-run"))?;
    let (beside, others) = split(test_programs(workspace)?)?;
    // The same selection of packages and features as in the build: otherwise cargo builds again.
    let command = |programs: &[String], units: &[&str]| -> Command {
        let programs = programs.iter().flat_map(|name| ["--test", name]);
        cmd!(shell, "{cargo} test --workspace --all-features --no-fail-fast")
            .args(units)
            .args(programs)
            .envs(environment.iter().map(|(name, value)| (*name, value)))
            .into()
    };
    let (beside, others) = (command(&beside, &[]), command(&others, &["--lib", "--bins"]));
    let (others, beside) = thread::scope(|scope| {
        let beside = scope.spawn(|| capture(beside));
        (run(others), beside.join())
    });
    let beside = beside.map_err(|_| anyhow::anyhow!("the thread of the slow suites panicked"))?;
    let beside = report(&beside?);
    others.and(beside)
}

/// Prints the output of a group of test programs. Fails if the exit status is not 0.
fn report(output: &Output) -> Result<()> {
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    print!("{}", String::from_utf8_lossy(&output.stdout));
    if !output.status.success() {
        bail!("the suites {} ended with {}", BESIDE.join(", "), output.status);
    }
    Ok(())
}

/// Returns the names of all integration tests of the workspace.
fn test_programs(workspace: &Workspace) -> Result<Vec<String>> {
    let metadata = MetadataCommand::new()
        .manifest_path(workspace.root.join("Cargo.toml"))
        .no_deps()
        .exec()
        .context("cargo metadata failed")?;
    let targets = metadata.packages.iter().flat_map(|package| &package.targets);
    Ok(targets.filter(|target| target.is_test()).map(|target| target.name.clone()).collect())
}

/// Splits the names into those that run beside the others and the others. Fails if one of [`BESIDE`] does not exist, because
/// after a renaming it would run in the wrong group.
fn split(programs: Vec<String>) -> Result<(Vec<String>, Vec<String>)> {
    if let Some(missing) = BESIDE.iter().find(|name| !programs.iter().any(|program| program == *name)) {
        bail!("there is no integration test `{missing}`: correct the list in xtask/src/test/suites.rs");
    }
    Ok(programs.into_iter().partition(|program| BESIDE.contains(&program.as_str())))
}

#[cfg(test)]
mod tests {
    use super::{BESIDE, split};

    #[test]
    fn every_program_runs_in_exactly_one_group() {
        let programs = ["ffmpeg", "scenarios", "s3"].map(String::from).to_vec();
        let (beside, others) = split(programs).unwrap();
        assert_eq!(beside, BESIDE);
        assert_eq!(others, ["ffmpeg", "s3"]);
    }

    #[test]
    fn a_slow_suite_that_does_not_exist_is_an_error() {
        assert!(split(vec!["ffmpeg".into()]).unwrap_err().to_string().contains("scenarios"));
    }
}
