//! The wasm32 target of the pinned toolchain.

use std::path::Path;

use anyhow::{Context, Result, bail};
use xshell::cmd;

use super::announce::announce;
use super::path;
use crate::process::capture_ok;
use crate::workspace::Workspace;

const TARGET: &str = "wasm32-unknown-unknown";

/// Adds the target with rustup if it is missing.
pub(super) fn ensure(workspace: &Workspace) -> Result<()> {
    if is_installed(workspace)? {
        return Ok(());
    }
    if path::find("rustup").is_none() {
        bail!(
            "the Rust target {TARGET} is missing and there is no rustup: install the target's standard library"
        );
    }
    announce(&format!("adding the Rust target {TARGET}"));
    let shell = &workspace.shell;
    capture_ok(cmd!(shell, "rustup target add {TARGET}")).context("could not add the wasm32 target")?;
    if !is_installed(workspace)? {
        bail!(
            "rustup added {TARGET}, but `rustc` does not find it: does `rustc` belong to another toolchain?"
        );
    }
    Ok(())
}

fn is_installed(workspace: &Workspace) -> Result<bool> {
    let shell = &workspace.shell;
    let folder = capture_ok(cmd!(shell, "rustc --print target-libdir --target {TARGET}"))?;
    Ok(Path::new(folder.trim()).is_dir())
}
