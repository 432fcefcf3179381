//! The rules of the house, checked on the real workspace by a test and by `cargo xtask rules`.
//!
//! Each rule is a pure function of metadata or source text to [`Violation`]s; each has a test that plants a violation.

mod crates;
mod layout;
mod rooms;
mod sources;
mod tokens;
mod trees;
mod words;

use std::fmt;
use std::path::Path;

use anyhow::{Result, bail};

use crate::workspace::Workspace;

/// Check dependency directions and source rules.
///
/// Which room may import which, which crates a room may pull in, what sources must not hold. The same check is one of
/// xtask's tests, so that `cargo test` finds a violation too.
#[derive(clap::Args)]
pub(crate) struct Args {}

/// One broken rule: where, and what to do.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    /// A file with a line, or a package.
    place: String,
    /// What is wrong and what would be right.
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
    hold(&workspace.root)?;
    println!("all rules hold");
    Ok(())
}

/// An error that lists every violation in the workspace at `root`.
pub(crate) fn hold(root: &Path) -> Result<()> {
    let violations = check(root)?;
    if violations.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = violations.iter().map(|violation| format!("  {violation}")).collect();
    bail!("{} of the house rules are broken:\n{}", violations.len(), list.join("\n"));
}

/// Every violation of every rule.
fn check(root: &Path) -> Result<Vec<Violation>> {
    let packages = crates::read(root)?;
    let mut violations = rooms::check(&packages);
    violations.extend(trees::check(root)?);
    for package in &packages {
        let files = sources::read(root, &package.folder)?;
        violations.extend(layout::check_crate(package, &files));
        for file in &files {
            violations.extend(layout::check_file(file));
            violations.extend(words::check(file));
        }
    }
    violations.sort();
    Ok(violations)
}

#[cfg(test)]
mod tests {
    use super::{Violation, hold};
    use crate::workspace::Workspace;

    #[test]
    fn the_workspace_keeps_every_rule() {
        hold(&Workspace::find().unwrap().root).unwrap();
    }

    #[test]
    fn a_violation_names_its_place_first() {
        assert_eq!(Violation::new("edge/src/lib.rs:3", "no").to_string(), "edge/src/lib.rs:3: no");
    }
}
