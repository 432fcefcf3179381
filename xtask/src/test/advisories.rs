//! Known vulnerabilities, which only a database on the network knows.
//!
//! A machine without that network cannot tell, and says so: the step is then NOT RUN, which the GitHub workflow
//! denies (`--deny-not-run`).

use anyhow::Result;
use xshell::cmd;

use super::report::Outcome;
use crate::process::{capture, last_lines, run};
use crate::tools::Tools;
use crate::workspace::Workspace;

/// Where the `RustSec` advisories are; cargo-deny's own default.
const DATABASE: &str = "https://github.com/RustSec/advisory-db";

/// Asks whether the database can be reached, so that "no network" is never taken for "vulnerable", then checks.
pub(super) fn check(workspace: &Workspace, tools: &Tools) -> Result<Outcome> {
    let shell = &workspace.shell;
    let probe = cmd!(shell, "git ls-remote --exit-code {DATABASE} HEAD")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_HTTP_LOW_SPEED_LIMIT", "1")
        .env("GIT_HTTP_LOW_SPEED_TIME", "20");
    let answer = capture(probe)?;
    if !answer.status.success() {
        let said = last_lines(&String::from_utf8_lossy(&answer.stderr), 1);
        return Ok(Outcome::NotRun(format!(
            "the advisory database {DATABASE} cannot be reached ({said}). Known vulnerabilities were NOT checked \
             here; the GitHub workflow checks them, or run `cargo xtask test --only advisories` with network"
        )));
    }
    let deny = tools.cargo_deny()?;
    run(cmd!(shell, "{deny} check --hide-inclusion-graph advisories"))?;
    Ok(Outcome::Passed)
}
