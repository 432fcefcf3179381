//! The wasm-bindgen program, at the version of the library, because their interface changes with each version.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::cargo_install::Program;
use crate::workspace::Workspace;

/// Returns the program on PATH if it has the library's version, otherwise the one in the cache, which is built if it is
/// missing.
pub(super) fn ensure(workspace: &Workspace) -> Result<PathBuf> {
    let lockfile = workspace.root.join("Cargo.lock");
    let lock =
        fs::read_to_string(&lockfile).with_context(|| format!("no lockfile {}", lockfile.display()))?;
    let version =
        locked_version(&lock).with_context(|| format!("{} has no wasm-bindgen", lockfile.display()))?;
    let program = Program {
        package: "wasm-bindgen-cli",
        name: "wasm-bindgen",
        version,
        takes: "a minute or two",
        // Its lockfile has versions that do not build with this compiler.
        is_locked: false,
        // It processes a large module in seconds, and is built in a third of the time of a release.
        opt_level: 1,
    };
    program.ensure(workspace)
}

/// Returns the version of the library in Cargo.lock.
fn locked_version(lock: &str) -> Option<&str> {
    let (_, entry) = lock.split_once("\nname = \"wasm-bindgen\"\n")?;
    entry.lines().next()?.strip_prefix("version = \"")?.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::locked_version;

    #[test]
    fn the_version_is_that_of_the_library_and_not_of_its_subcrates() {
        let lock = "version = 4\n\n[[package]]\nname = \"wasm-bindgen-macro\"\nversion = \"1\"\n\n[[package]]\n\
                    name = \"wasm-bindgen\"\nversion = \"0.2.130\"\nsource = \"registry\"\n";
        assert_eq!(locked_version(lock), Some("0.2.130"));
        assert_eq!(locked_version("version = 4\n"), None);
    }
}
