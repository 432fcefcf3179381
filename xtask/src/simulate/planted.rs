//! Builds the simulation with one planted bug after another, and reports which it finds.
//!
//! The bugs are planted in a copy of the workspace in the build directory, which has a build directory of its own, so that only
//! `events` and `core` are built for each bug.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use xshell::cmd;

use super::TEST;
use super::bugs::{Bug, all};
use crate::duration::format_duration;
use crate::process::{capture, capture_ok};
use crate::workspace::Workspace;

/// The number of seeds for each bug.
const SEEDS: u64 = 1000;

/// What the simulation did with a bug.
enum Finding {
    /// It found the bug with this message, which begins with the seed.
    Found(String),
    /// No seed failed.
    NotFound,
    /// The bug does not compile; the end of the compiler's messages.
    DoesNotCompile(String),
}

/// Plants the bugs with these names, or all, and prints what the simulation finds. Fails if one is not found that should be.
pub(super) fn run(workspace: &Workspace, names: &[String], seeds: Option<u64>) -> Result<()> {
    if let Some(unknown) = names.iter().find(|name| all().all(|bug| bug.name != **name)) {
        let known: Vec<&str> = all().map(|bug| bug.name).collect();
        bail!("there is no planted bug {unknown}; there are {}", known.join(", "));
    }
    let copy = Copy::of(workspace)?;
    let mut missed = Vec::new();
    for bug in all().filter(|bug| names.is_empty() || names.iter().any(|name| name == bug.name)) {
        let began = Instant::now();
        let finding = copy.test(bug, seeds.unwrap_or(SEEDS))?;
        let elapsed = format_duration(began.elapsed());
        match finding {
            Finding::Found(message) => println!("{}: found in {elapsed}: {message}", bug.name),
            Finding::NotFound => {
                println!("{}: NOT FOUND in {elapsed}; it breaks: {}", bug.name, bug.breaks);
                missed.push(bug.name);
            }
            Finding::DoesNotCompile(message) => bail!("{} does not compile:\n{message}", bug.name),
        }
    }
    if !missed.is_empty() {
        bail!("{} planted bugs were not found: {}", missed.len(), missed.join(", "));
    }
    Ok(())
}

/// The copy of the workspace.
struct Copy<'a> {
    workspace: &'a Workspace,
    root: PathBuf,
}

impl<'a> Copy<'a> {
    /// Copies all files that belong to the workspace. Those that are equal are left alone, so that they are not built again.
    fn of(workspace: &'a Workspace) -> Result<Self> {
        let shell = &workspace.shell;
        let root = workspace.target().join("planted");
        let listed = capture_ok(cmd!(shell, "git ls-files --cached --others --exclude-standard"))?;
        for file in listed.lines().filter(|file| workspace.root.join(file).is_file()) {
            let text = fs::read(workspace.root.join(file)).with_context(|| format!("could not read {file}"))?;
            write_changed(&root.join(file), &text)?;
        }
        Ok(Self { workspace, root })
    }

    /// Plants `bug`, runs the simulation, and removes the bug again.
    fn test(&self, bug: &Bug, seeds: u64) -> Result<Finding> {
        let path = self.root.join(bug.file);
        let text = fs::read_to_string(&path).with_context(|| format!("could not read {}", bug.file))?;
        write_changed(&path, bug.plant(&text)?.as_bytes())?;
        let finding = self.simulate(seeds);
        write_changed(&path, text.as_bytes())?;
        finding
    }

    fn simulate(&self, seeds: u64) -> Result<Finding> {
        let (shell, cargo) = (&self.workspace.shell, env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
        let _in_copy = shell.push_dir(&self.root);
        let command = |last: &[&str]| {
            cmd!(shell, "{cargo} test --quiet -p streamio-core --all-features --test simulation")
                .args(last)
                .env("CARGO_TARGET_DIR", self.root.join("target"))
                .env("STREAMIO_SIMULATION_SEEDS", seeds.to_string())
                .env("STREAMIO_SIMULATION_WHOLE", "1")
        };
        let built = capture(command(&["--no-run"]))?;
        if !built.status.success() {
            let messages = String::from_utf8_lossy(&built.stderr);
            return Ok(Finding::DoesNotCompile(crate::process::last_lines(&messages, 30)));
        }
        let tested = capture(command(&["--", "--exact", TEST, "--nocapture"]))?;
        if tested.status.success() {
            return Ok(Finding::NotFound);
        }
        let printed = [tested.stdout, tested.stderr].concat();
        let printed = String::from_utf8_lossy(&printed);
        match printed.lines().find(|line| line.starts_with("seed ")) {
            Some(line) => Ok(Finding::Found(line.to_owned())),
            None => bail!("the simulation failed without a seed:\n{printed}"),
        }
    }
}

impl Bug {
    /// Returns `text` with the bug. Fails unless the bug's place occurs exactly once.
    fn plant(&self, text: &str) -> Result<String> {
        match text.matches(self.text).count() {
            1 => Ok(text.replacen(self.text, self.replacement, 1)),
            count => bail!(
                "the text of the planted bug {} occurs {count} times in {}, not once: correct it in xtask/src/simulate/bugs",
                self.name,
                self.file
            ),
        }
    }
}

fn write_changed(path: &Path, content: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|present| present == content) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, content).with_context(|| format!("could not write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::super::bugs::all;
    use crate::workspace::Workspace;

    #[test]
    fn each_planted_bug_has_its_place() {
        let workspace = Workspace::find().unwrap();
        for bug in all() {
            let text = fs::read_to_string(workspace.root.join(bug.file)).unwrap();
            let planted = bug.plant(&text).unwrap();
            assert_ne!(planted, text, "{} changes nothing", bug.name);
        }
    }

    #[test]
    fn the_names_of_planted_bugs_differ() {
        let names: BTreeSet<&str> = all().map(|bug| bug.name).collect();
        assert_eq!(names.len(), all().count());
        assert!(names.len() >= 30);
    }
}
