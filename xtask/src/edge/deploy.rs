//! `cargo xtask edge deploy`: deploys the Worker to Cloudflare.

use anyhow::{Context, Result};
use xshell::cmd;

use super::build::{self, npm_program};
use crate::process::{capture_ok, run as run_child};
use crate::tools::Tools;
use crate::workspace::Workspace;

/// Deploy the Worker with wrangler and wrangler.toml
///
/// Needs an account: `wrangler login`, or `CLOUDFLARE_API_TOKEN` and `CLOUDFLARE_ACCOUNT_ID`. The KV namespace, the queues and the
/// secrets in wrangler.toml must exist; comments in the file describe how to create them.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The environment in wrangler.toml
    #[arg(long, value_name = "NAME", default_value = "production")]
    env: String,
    /// Check the configuration and bundle the Worker without deploying it
    #[arg(long)]
    dry_run: bool,
}

/// `cargo xtask edge deploy`.
pub(super) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let tools = Tools::new(workspace);
    build::build(workspace, &tools, build::Kind::Worker)?;
    if args.dry_run {
        return run_child(dry_run(workspace, &args.env)).context("wrangler rejected the configuration");
    }
    let (shell, wrangler, env) = (&workspace.shell, npm_program(workspace, "wrangler"), &args.env);
    run_child(cmd!(shell, "{wrangler} deploy --env {env}").env("WRANGLER_SEND_METRICS", "false"))
        .context("wrangler deploy failed")
}

/// Checks wrangler.toml for each environment. The Worker must be built. Fails if wrangler rejects the file.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    for env in ["dev", "production"] {
        capture_ok(dry_run(workspace, env))
            .with_context(|| format!("wrangler rejected the environment {env}"))?;
    }
    Ok(())
}

/// Returns the wrangler command that checks the configuration and bundles the Worker.
fn dry_run<'a>(workspace: &'a Workspace, env: &str) -> xshell::Cmd<'a> {
    let (shell, wrangler) = (&workspace.shell, npm_program(workspace, "wrangler"));
    let folder = workspace.root.join("target/edge/dry-run");
    cmd!(shell, "{wrangler} deploy --env {env} --dry-run --outdir {folder}")
        .env("WRANGLER_SEND_METRICS", "false")
        // Skips wrangler's own build command, because the Worker is already built.
        .env("STREAMIO_EDGE_BUILT", "1")
}
