//! `cargo xtask scale`: prints the model of load, limits and cost on AWS, the tables of `docs/scale.md`.

use std::env;

use anyhow::Result;
use xshell::cmd;

use crate::process::run as run_child;
use crate::workspace::Workspace;

/// Print the model of load, limits and cost on AWS: the tables of docs/scale.md.
#[derive(clap::Args)]
pub(crate) struct Args {}

/// Runs the command.
pub(crate) fn run(workspace: &Workspace, _: &Args) -> Result<()> {
    let (shell, cargo) = (&workspace.shell, env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    run_child(cmd!(
        shell,
        "{cargo} run --quiet -p streamio-emulator --bin streamio-emulator --all-features -- scale"
    ))
}
