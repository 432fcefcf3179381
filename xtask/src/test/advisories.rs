//! The check for known vulnerabilities, which needs a database on the network.
//!
//! Without network access the outcome of the step is NOT RUN. The GitHub workflow treats it as a failure (`--deny-not-run`).

use anyhow::Result;
use xshell::cmd;

use super::report::Outcome;
use crate::process::{capture, last_lines, run};
use crate::tools::Tools;
use crate::workspace::Workspace;

/// The `RustSec` advisory database, which is cargo-deny's default.
const DATABASE: &str = "https://github.com/RustSec/advisory-db";

/// Checks first whether the database is reachable, so that a missing network is not reported as a vulnerability.
pub(super) fn check(workspace: &Workspace, tools: &Tools) -> Result<Outcome> {
    let shell = &workspace.shell;
    let probe = cmd!(shell, "git ls-remote --exit-code {DATABASE} HEAD")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_HTTP_LOW_SPEED_LIMIT", "1")
        .env("GIT_HTTP_LOW_SPEED_TIME", "20");
    let output = capture(probe)?;
    if !output.status.success() {
        let error = last_lines(&String::from_utf8_lossy(&output.stderr), 1);
        return Ok(Outcome::NotRun(format!(
            "the advisory database {DATABASE} cannot be reached ({error}). Known vulnerabilities were NOT checked \
             here; the GitHub workflow checks them, or run `cargo xtask test --only advisories` with network"
        )));
    }
    let deny = tools.cargo_deny()?;
    run(cmd!(shell, "{deny} check --hide-inclusion-graph advisories"))?;
    Ok(Outcome::Passed)
}
