//! Builds the simulation with all planted bugs, switches on one after another, and reports which it finds.
//!
//! The bugs are planted in a copy of the workspace in the build directory, which has a build directory of its own. An environment
//! variable names the bug that is switched on, so that one build is enough for all.

use std::env;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use xshell::{Cmd, cmd};

use super::TEST;
use super::bugs::{Bug, SWITCH, all};
use crate::duration::format_duration;
use crate::process::{capture, run as run_child};
use crate::workspace::Workspace;
use crate::workspace_copy;

/// The number of seeds for each bug.
const SEEDS: u64 = 1000;

/// The variable that names the bug that is switched on.
const VARIABLE: &str = "STREAMIO_PLANTED";

/// The file that gets [`FUNCTION`].
const LIBRARY: &str = "events/src/lib.rs";

/// The function that tells whether a bug is switched on.
const FUNCTION: &str = r#"
/// Whether the planted bug `name` is switched on.
pub fn planted(name: &str) -> bool {
    static SWITCHED_ON: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    let switched_on = SWITCHED_ON.get_or_init(|| std::env::var("STREAMIO_PLANTED").ok());
    switched_on.as_deref() == Some(name)
}
"#;

/// Switches on the bugs with these names, or all, and prints what the simulation finds. Fails if one is not found.
pub(super) fn run(workspace: &Workspace, names: &[String], seeds: Option<u64>) -> Result<()> {
    if let Some(unknown) = names.iter().find(|name| all().all(|bug| bug.name != **name)) {
        let known: Vec<&str> = all().map(|bug| bug.name).collect();
        bail!("there is no planted bug {unknown}; there are {}", known.join(", "));
    }
    let copy = Copy::of(workspace)?;
    copy.build()?;
    let mut missed = Vec::new();
    for bug in all().filter(|bug| names.is_empty() || names.iter().any(|name| name == bug.name)) {
        let began = Instant::now();
        let found = copy.find(bug, seeds.unwrap_or(SEEDS))?;
        let elapsed = format_duration(began.elapsed());
        if let Some(message) = found {
            println!("{}: found in {elapsed}: {message}", bug.name);
        } else {
            println!("{}: NOT FOUND in {elapsed}; it breaks: {}", bug.name, bug.breaks);
            missed.push(bug.name);
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
    /// Copies all files that belong to the workspace, with all bugs. Those that are equal are left alone, so that they are not built
    /// again.
    fn of(workspace: &'a Workspace) -> Result<Self> {
        let root = workspace.target().join("planted");
        workspace_copy::update(workspace, &root, |file, content| {
            let is_changed = file == LIBRARY || all().any(|bug| bug.file == file);
            if is_changed {
                plant_all(file, String::from_utf8(content)?).map(String::into_bytes)
            } else {
                Ok(content)
            }
        })?;
        Ok(Self { workspace, root })
    }

    fn build(&self) -> Result<()> {
        let _in_copy = self.workspace.shell.push_dir(&self.root);
        run_child(self.command().arg("--no-run")).context("the planted bugs do not compile")
    }

    /// Runs the simulation with `bug`. Returns the first failing seed and what it breaks; `None` if no seed fails.
    fn find(&self, bug: &Bug, seeds: u64) -> Result<Option<String>> {
        let _in_copy = self.workspace.shell.push_dir(&self.root);
        let tested = self
            .command()
            .args(["--quiet", "--", "--exact", TEST, "--nocapture"])
            .env("STREAMIO_SIMULATION_SEEDS", seeds.to_string())
            .env("STREAMIO_SIMULATION_WHOLE", "1")
            .env(VARIABLE, bug.name);
        let tested = capture(tested)?;
        if tested.status.success() {
            return Ok(None);
        }
        let printed = [tested.stdout, tested.stderr].concat();
        let printed = String::from_utf8_lossy(&printed);
        match printed.lines().find(|line| line.starts_with("seed ")) {
            Some(line) => Ok(Some(line.to_owned())),
            None => bail!("the simulation failed without a seed:\n{printed}"),
        }
    }

    fn command(&self) -> Cmd<'_> {
        let (shell, cargo) = (&self.workspace.shell, env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
        cmd!(shell, "{cargo} test -p streamio-core --all-features --test simulation")
            .env("CARGO_TARGET_DIR", self.root.join("target"))
            // Nobody debugs it.
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
    }
}

/// Returns the text of `file` with all of its bugs, and with the function that switches them on.
fn plant_all(file: &str, text: String) -> Result<String> {
    let planted = all().filter(|bug| bug.file == file).try_fold(text, |text, bug| bug.plant(&text))?;
    Ok(if file == LIBRARY { planted + FUNCTION } else { planted })
}

impl Bug {
    /// Returns `text` with the bug. Fails unless the bug's place occurs exactly once.
    fn plant(&self, text: &str) -> Result<String> {
        let found = text.matches(self.text).count();
        if found != 1 {
            bail!(
                "the text of the planted bug {} occurs {found} times in {}, not once: correct it in xtask/src/simulate/bugs",
                self.name,
                self.file
            );
        }
        let own_crate = if self.file.starts_with("events/") { "crate" } else { "streamio_events" };
        let switch = format!("{own_crate}::planted(\"{}\")", self.name);
        Ok(text.replacen(self.text, &self.replacement.replace(SWITCH, &switch), 1))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::super::bugs::all;
    use super::plant_all;
    use crate::workspace::Workspace;

    #[test]
    fn each_planted_bug_has_its_place_and_a_switch() {
        let workspace = Workspace::find().unwrap();
        for bug in all() {
            let text = fs::read_to_string(workspace.root.join(bug.file)).unwrap();
            let switch = format!("::planted(\"{}\")", bug.name);
            assert_eq!(plant_all(bug.file, text).unwrap().matches(&switch).count(), 1, "{}", bug.name);
        }
    }

    #[test]
    fn the_names_of_planted_bugs_differ() {
        let names: BTreeSet<&str> = all().map(|bug| bug.name).collect();
        assert_eq!(names.len(), all().count());
        assert!(names.len() >= 30);
    }
}
