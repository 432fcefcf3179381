//! cargo-fuzz at a pinned version.

use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use xshell::cmd;

use super::announce::announce;
use crate::process::capture_ok;
use crate::workspace::Workspace;

/// PyPI has this version too, for Linux x86-64 only.
const VERSION: &str = "0.13.2";

/// Returns the folder of the program, for `PATH`: cargo finds its subcommands there. Builds it in the cache if it is missing.
pub(super) fn ensure(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.cache.join(format!("tools/cargo-fuzz-{VERSION}"));
    let bin = folder.join("bin");
    if bin.join("cargo-fuzz").is_file() {
        return Ok(bin);
    }
    announce(&format!("building cargo-fuzz {VERSION} (once; less than a minute)"));
    let build = folder.join("build");
    let (shell, cargo) = (&workspace.shell, env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    capture_ok(
        cmd!(shell, "{cargo} install cargo-fuzz --version ={VERSION} --locked --debug --force")
            .args(["--root".as_ref(), folder.as_os_str(), "--target-dir".as_ref(), build.as_os_str()])
            .env("CARGO_PROFILE_DEV_DEBUG", "false")
            .env("CARGO_INCREMENTAL", "0"),
    )
    .context("could not build cargo-fuzz")?;
    fs::remove_dir_all(&build).with_context(|| format!("could not remove {}", build.display()))?;
    Ok(bin)
}
