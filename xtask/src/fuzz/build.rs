//! Builds the program with the fuzz targets.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context, Result};
use xshell::cmd;

use super::compiler;
use crate::process::{capture_ok, run};
use crate::this_program;
use crate::tools::{Tool, Tools};
use crate::workspace::Workspace;

/// The program, which has all targets: each of them has all of the platform linked into it.
const PROGRAM: &str = "parsers";

/// Builds with `cargo fuzz`: optimised, with all crates instrumented, in `target/fuzz`. The first build takes minutes.
pub(super) fn with_cargo_fuzz(
    workspace: &Workspace,
    tools: &Tools,
    address_sanitizer: bool,
) -> Result<PathBuf> {
    tools.ensure(&[Tool::Cxx])?;
    let (shell, cargo) = (&workspace.shell, cargo());
    let inherited = env::var_os("PATH").unwrap_or_default();
    let folders = [tools.cargo_fuzz()?].into_iter().chain(env::split_paths(&inherited));
    let path: OsString = env::join_paths(folders).context("a folder on PATH has a colon in its name")?;
    let target_dir = workspace.target().join("fuzz");
    let sanitizer = if address_sanitizer { "address" } else { "none" };
    run(cmd!(shell, "{cargo} fuzz build {PROGRAM} --sanitizer {sanitizer} --target-dir {target_dir}")
        .env("PATH", path)
        // Sanitizers are unstable flags of the compiler.
        .env("RUSTC_BOOTSTRAP", "1"))?;
    Ok(target_dir.join(host(workspace)?).join("release").join(PROGRAM))
}

/// Builds with the flags and the dependencies of the tests, and instruments only the crates of this workspace: no third-party crate
/// is built again.
pub(super) fn beside_tests(workspace: &Workspace, tools: &Tools) -> Result<PathBuf> {
    tools.ensure(&[Tool::Cxx])?;
    let (shell, cargo) = (&workspace.shell, cargo());
    run(cmd!(shell, "{cargo} build --workspace --all-features --bin {PROGRAM}")
        .env("RUSTC_WORKSPACE_WRAPPER", this_program::path()?)
        .env(compiler::VARIABLE, "1"))?;
    Ok(workspace.target().join("debug").join(PROGRAM))
}

/// The cargo that runs this xtask.
fn cargo() -> String {
    env::var("CARGO").unwrap_or_else(|_| "cargo".into())
}

/// The target triple of this machine.
fn host(workspace: &Workspace) -> Result<String> {
    let shell = &workspace.shell;
    let version = capture_ok(cmd!(shell, "rustc -vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("`rustc -vV` states no host")
}
