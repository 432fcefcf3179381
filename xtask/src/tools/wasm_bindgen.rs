//! The wasm-bindgen program, at the version of the library, because their interface changes with each version.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use xshell::cmd;

use super::announce::announce;
use super::path;
use crate::process::capture;
use crate::workspace::Workspace;

/// Returns the program on PATH if it has the library's version, otherwise the one in the cache, which is built if it is
/// missing.
pub(super) fn ensure(workspace: &Workspace) -> Result<PathBuf> {
    let lockfile = workspace.root.join("Cargo.lock");
    let lock =
        fs::read_to_string(&lockfile).with_context(|| format!("no lockfile {}", lockfile.display()))?;
    let version =
        locked_version(&lock).with_context(|| format!("{} has no wasm-bindgen", lockfile.display()))?;
    if let Some(program) = path::find("wasm-bindgen").filter(|program| is_version(program, version)) {
        return Ok(program);
    }
    let folder = workspace.cache.join(format!("tools/wasm-bindgen-cli-{version}"));
    let program = folder.join("bin/wasm-bindgen");
    if program.is_file() {
        return Ok(program);
    }
    announce(&format!("building wasm-bindgen {version} (once; a minute or two)"));
    let build = folder.join("build");
    let (shell, cargo) = (&workspace.shell, env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    // Without `--locked`: its lockfile has versions that do not build with this compiler.
    crate::process::capture_ok(
        cmd!(
            shell,
            "{cargo} install wasm-bindgen-cli --version ={version} --bin wasm-bindgen --debug --force"
        )
        .args(["--root".as_ref(), folder.as_os_str(), "--target-dir".as_ref(), build.as_os_str()])
        // Optimisation level 1: it processes a large module in seconds, and is built in a third of the time of a release.
        .env("CARGO_PROFILE_DEV_DEBUG", "false")
        .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
        .env("CARGO_INCREMENTAL", "0"),
    )
    .context("could not build wasm-bindgen")?;
    fs::remove_dir_all(&build).with_context(|| format!("could not remove {}", build.display()))?;
    Ok(program)
}

/// Returns the version of the library in Cargo.lock.
fn locked_version(lock: &str) -> Option<&str> {
    let (_, entry) = lock.split_once("\nname = \"wasm-bindgen\"\n")?;
    entry.lines().next()?.strip_prefix("version = \"")?.strip_suffix('"')
}

fn is_version(program: &PathBuf, version: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version");
    capture(command).is_ok_and(|output| {
        String::from_utf8_lossy(&output.stdout).trim() == format!("wasm-bindgen {version}")
    })
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
