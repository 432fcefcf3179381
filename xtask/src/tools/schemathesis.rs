//! `schemathesis`, which tests an API by its description, in a virtual environment with pinned packages.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::announce::announce;
use super::{python, sha256};
use crate::process::capture_ok;
use crate::workspace::Workspace;

/// The pinned packages.
const REQUIREMENTS: &str = "edge/contract/requirements.txt";

/// Returns the path of the program. Installs it into the cache if the packages of the requirements are not there.
pub(super) fn ensure(workspace: &Workspace) -> Result<PathBuf> {
    let requirements = workspace.root.join(REQUIREMENTS);
    let pinned = fs::read(&requirements).with_context(|| format!("no {}", requirements.display()))?;
    let environment =
        workspace.cache.join("python").join(format!("contract-{}", &sha256::hex(&pinned)[..16]));
    let program = environment.join("bin/schemathesis");
    // Written last: without it the installation was interrupted.
    let complete = environment.join("complete");
    if complete.is_file() && program.is_file() {
        return Ok(program);
    }
    let python = python::program("3.10 or later, with venv: schemathesis needs it")?;
    announce("installing schemathesis (PyPI, 60 MB)");
    // Scripts in the environment contain its path, so it cannot be made elsewhere and moved.
    let mut create = Command::new(python);
    create.args(["-m", "venv", "--clear"]).arg(&environment);
    capture_ok(create).context("could not create a Python environment: install the package python3-venv")?;
    let mut install = Command::new(environment.join("bin/python"));
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"]);
    install.arg("--requirement").arg(&requirements);
    capture_ok(install).context("could not install schemathesis with pip")?;
    fs::write(complete, "")?;
    Ok(program)
}
