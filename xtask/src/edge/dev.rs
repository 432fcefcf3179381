//! `cargo xtask edge dev`: runs the Worker with `wrangler dev`, which rebuilds it when its sources change.

use anyhow::{Context, Result, bail};
use xshell::cmd;

use super::build::npm_program;
use crate::process::run as run_child;
use crate::tools::{Tool, Tools};
use crate::workspace::Workspace;

/// Run the Worker with wrangler and `[env.dev]` of wrangler.toml
///
/// KV and queues are simulated in .wrangler/state. Secrets are read from .dev.vars at the root of the workspace; wrangler.toml lists
/// their names. For a whole platform behind the Worker, use `streamio up --edge workerd`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The port on 127.0.0.1
    #[arg(long, value_name = "PORT", default_value_t = 8787)]
    port: u16,
}

/// `cargo xtask edge dev`.
pub(super) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let secrets = workspace.root.join(".dev.vars");
    if !secrets.is_file() {
        bail!(
            "{} does not exist: create it with the secrets that wrangler.toml lists, one NAME=\"value\" per line",
            secrets.display()
        );
    }
    let tools = Tools::new(workspace);
    tools.ensure(&[Tool::NpmPackages])?;
    // wrangler builds the Worker at the start and after each change of its sources.
    let (shell, wrangler, port) =
        (&workspace.shell, npm_program(workspace, "wrangler"), args.port.to_string());
    run_child(
        cmd!(shell, "{wrangler} dev --env dev --ip 127.0.0.1 --port {port}")
            .args(["--inspector-port", "0", "--show-interactive-dev-session=false"])
            .env("WRANGLER_SEND_METRICS", "false"),
    )
    .context("wrangler dev failed")
}
