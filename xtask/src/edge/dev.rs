//! `cargo xtask edge dev`: the Worker under `wrangler dev`, which builds it again when its sources change.

use anyhow::{Context, Result, bail};
use xshell::cmd;

use super::build::program;
use crate::process::run as run_child;
use crate::tools::{Tool, Tools};
use crate::workspace::Workspace;

/// Run the Worker with wrangler, as `[env.dev]` of wrangler.toml says
///
/// KV and queues are simulated in .wrangler/state. Secrets are read from .dev.vars at the top of the checkout;
/// wrangler.toml names them. For a whole platform behind the Worker, use `streamio up --edge workerd`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Port on 127.0.0.1
    #[arg(long, value_name = "PORT", default_value_t = 8787)]
    port: u16,
}

pub(super) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let secrets = workspace.root.join(".dev.vars");
    if !secrets.is_file() {
        bail!(
            "{} is missing: write the secrets that wrangler.toml names into it, one NAME=\"value\" a line",
            secrets.display()
        );
    }
    let tools = Tools::new(workspace);
    tools.ensure(&[Tool::NpmPackages])?;
    // wrangler builds the Worker itself, now and whenever its sources change.
    let (shell, wrangler, port) = (&workspace.shell, program(workspace, "wrangler"), args.port.to_string());
    run_child(
        cmd!(shell, "{wrangler} dev --env dev --ip 127.0.0.1 --port {port}")
            .args(["--inspector-port", "0", "--show-interactive-dev-session=false"])
            .env("WRANGLER_SEND_METRICS", "false"),
    )
    .context("wrangler dev failed")
}
