//! Rules about the workspace that neither clippy nor `cargo deny` can check: allowed dependencies between packages, crates that a
//! package must not pull in, source rules. Checked by `cargo xtask rules` and by a test.
//!
//! Each rule is a pure function from metadata or source text to [`Violation`]s, and has a test with a planted violation.

mod crates;
mod dependencies;
mod identifiers;
mod layout;
mod sources;
mod tokens;
mod trees;

use std::fmt;
use std::path::Path;

use anyhow::{Result, bail};

use crate::workspace::Workspace;

/// Check dependency directions and source rules
///
/// Which package may depend on which, which crates a package must not pull in, what sources must not contain. The same check is one
/// of xtask's tests, so `cargo test` finds violations too.
#[derive(clap::Args)]
pub(crate) struct Args {}

/// A violation of a rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    /// A file with a line, or a package.
    place: String,
    /// What is wrong and how to correct it.
    message: String,
}

impl Violation {
    fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place: place.into(), message: message.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// `cargo xtask rules`.
pub(crate) fn run(workspace: &Workspace, _: &Args) -> Result<()> {
    enforce(&workspace.root)?;
    println!("no violations");
    Ok(())
}

/// Returns an error that lists every violation in the workspace at `root`.
pub(crate) fn enforce(root: &Path) -> Result<()> {
    let violations = check(root)?;
    if violations.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = violations.iter().map(|violation| format!("  {violation}")).collect();
    bail!("{} violations:\n{}", violations.len(), list.join("\n"));
}

/// Returns every violation of every rule.
fn check(root: &Path) -> Result<Vec<Violation>> {
    let packages = crates::read(root)?;
    let mut violations = dependencies::check(&packages);
    violations.extend(trees::check(root)?);
    for package in &packages {
        let files = sources::read(root, &package.folder)?;
        violations.extend(layout::check_crate(package, &files));
        for file in &files {
            violations.extend(layout::check_file(file));
            violations.extend(identifiers::check(file));
        }
    }
    violations.sort();
    Ok(violations)
}

#[cfg(test)]
mod tests {
    use super::{Violation, enforce};
    use crate::workspace::Workspace;

    #[test]
    fn the_workspace_keeps_every_rule() {
        enforce(&Workspace::find().unwrap().root).unwrap();
    }

    #[test]
    fn a_violation_names_its_place_first() {
        assert_eq!(Violation::new("edge/src/lib.rs:3", "no").to_string(), "edge/src/lib.rs:3: no");
    }
}
