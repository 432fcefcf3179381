//! The API's description by itself, and against a running platform.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use xshell::cmd;

use super::report::Outcome;
use crate::demo;
use crate::demo::platform::Platform;
use crate::process::{Running, run};
use crate::tools::Tools;
use crate::workspace::Workspace;

const FOLDER: &str = "edge/contract";
/// A key of the right form that was never created.
const UNKNOWN_KEY: &str = "sio_live_0000000000000000000000000000000000000000000_0UoqhJ";

/// Checks `openapi.yaml` with two linters, and the platform's responses with generated requests.
pub(super) fn check(workspace: &Workspace, tools: &Tools) -> Result<Outcome> {
    lint(workspace)?;
    let cli = demo::build(workspace)?;
    let work = tempfile::Builder::new().prefix("streamio-contract-").tempdir()?;
    let platform = Platform::start(&cli, &work.path().join("data"), work.path())?;
    let api = platform.new_project()?;
    api.upload(&tools.clips()?.join("bigbuckbunny.mp4"))?;
    let program = tools.schemathesis()?;
    let tests = [(api.key(), "0"), (UNKNOWN_KEY, "1")];
    for (key, seed) in tests {
        generate(workspace, &program, &api.url, key, seed, work.path())
            .with_context(|| format!("the end of the platform's log:\n{}", platform.log_end()))?;
    }
    platform.stop()?;
    Ok(Outcome::Passed)
}

fn lint(workspace: &Workspace) -> Result<()> {
    let shell = &workspace.shell;
    let _in_folder = shell.push_dir(workspace.root.join(FOLDER));
    run(cmd!(
        shell,
        "node_modules/.bin/redocly lint ../openapi.yaml --config redocly.yaml --format stylish"
    )
    .env("REDOCLY_TELEMETRY", "off")
    .env("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true"))?;
    run(cmd!(
        shell,
        "node_modules/.bin/spectral lint ../openapi.yaml --ruleset spectral.yaml --fail-severity warn"
    ))
}

/// Sends generated requests with this API key. Fails if a response does not fit the description.
fn generate(
    workspace: &Workspace,
    program: &Path,
    api: &str,
    key: &str,
    seed: &str,
    work: &Path,
) -> Result<()> {
    let mut command = Command::new(program);
    command.arg("--config-file").arg(workspace.root.join(FOLDER).join("schemathesis.toml"));
    command.arg("run").arg(format!("{api}/openapi.json")).args(["--seed", seed]);
    command.current_dir(work).env("STREAMIO_API_KEY", key).stdout(Stdio::inherit());
    let status = Running::start(command)?.wait()?;
    if !status.success() {
        bail!("schemathesis ended with {status}");
    }
    Ok(())
}
