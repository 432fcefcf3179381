//! Rules about the workspace that neither clippy nor `cargo deny` can check: the dependencies between packages, the crates that a
//! package must not pull in, the contents of sources. `cargo xtask rules` and a test check them.
//!
//! Each rule is a pure function from metadata or source text to [`Violation`]s, and has a test with a planted violation.

mod crates;
mod dependencies;
mod identifiers;
mod layout;
mod sources;
mod tokens;
mod trees;
mod violation;

use std::path::Path;

use anyhow::{Result, bail};

use crate::workspace::Workspace;

use violation::Violation;

/// Check dependency directions and source rules
///
/// Checks the dependencies between packages, the crates that a package must not pull in, and the contents of sources. A test of
/// xtask runs the same check, so `cargo test` finds violations too.
#[derive(clap::Args)]
pub(crate) struct Args {}

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
    use super::enforce;
    use crate::workspace::Workspace;

    #[test]
    fn the_workspace_keeps_every_rule() {
        enforce(&Workspace::find().unwrap().root).unwrap();
    }
}
