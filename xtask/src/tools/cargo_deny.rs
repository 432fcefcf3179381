//! cargo-deny at a pinned version.

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

/// Works with Rust 1.95. Older versions (PyPI's wheel is 0.14) cannot read edition 2024 and lockfile version 4.
const VERSION: &str = "0.20.2";

/// Returns the program on PATH if it has this version, otherwise the one in the cache, which is built if it is missing.
pub(super) fn ensure(workspace: &Workspace) -> Result<PathBuf> {
    if let Some(program) = path::find("cargo-deny").filter(is_pinned_version) {
        return Ok(program);
    }
    let folder = workspace.cache.join(format!("tools/cargo-deny-{VERSION}"));
    let program = folder.join("bin/cargo-deny");
    if program.is_file() {
        return Ok(program);
    }
    announce(&format!("building cargo-deny {VERSION} (once; a minute or two)"));
    // The build directory is in the cache folder, because /tmp is often in memory. The unoptimised build takes a quarter of
    // the time, and a check takes 3 seconds in both cases.
    let build = folder.join("build");
    let (shell, cargo) = (&workspace.shell, env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    crate::process::capture_ok(
        cmd!(shell, "{cargo} install cargo-deny --version ={VERSION} --locked --debug --force")
            .args(["--root".as_ref(), folder.as_os_str(), "--target-dir".as_ref(), build.as_os_str()])
            .env("CARGO_PROFILE_DEV_DEBUG", "false")
            .env("CARGO_INCREMENTAL", "0"),
    )
    .context("could not build cargo-deny")?;
    fs::remove_dir_all(&build).with_context(|| format!("could not remove {}", build.display()))?;
    Ok(program)
}

fn is_pinned_version(program: &PathBuf) -> bool {
    let mut command = Command::new(program);
    command.arg("--version");
    capture(command)
        .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim() == format!("cargo-deny {VERSION}"))
}
