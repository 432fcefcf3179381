//! dynoxide, an emulation of DynamoDB with streams, at a pinned version. It is built from source, because neither npm nor PyPI
//! has the program.

use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use xshell::cmd;

use super::announce::announce;
use crate::workspace::Workspace;

const VERSION: &str = "3.2.0";

/// Returns the program in the cache, which is built if it is missing.
pub(super) fn ensure(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.cache.join(format!("tools/dynoxide-{VERSION}"));
    let program = folder.join("bin/dynoxide");
    if program.is_file() {
        return Ok(program);
    }
    announce(&format!("building dynoxide {VERSION} (once; about three minutes)"));
    let build = folder.join("build");
    let (shell, cargo) = (&workspace.shell, env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    crate::process::capture_ok(
        cmd!(
            shell,
            "{cargo} install dynoxide-rs --version ={VERSION} --locked --force --no-default-features"
        )
        .args(["--features", "native-sqlite,http-server,cli"])
        .args(["--root".as_ref(), folder.as_os_str(), "--target-dir".as_ref(), build.as_os_str()])
        .env("CARGO_PROFILE_RELEASE_LTO", "false")
        .env("CARGO_INCREMENTAL", "0"),
    )
    .context("could not build dynoxide")?;
    fs::remove_dir_all(&build).with_context(|| format!("could not remove {}", build.display()))?;
    Ok(program)
}
