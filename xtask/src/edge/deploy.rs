//! `cargo xtask edge deploy`: the Worker to Cloudflare.

use anyhow::{Context, Result};
use xshell::cmd;

use super::build::{self, program};
use crate::process::{capture_ok, run as run_child};
use crate::tools::Tools;
use crate::workspace::Workspace;

/// Deploy the Worker with wrangler, as wrangler.toml says
///
/// Needs an account: `wrangler login`, or `CLOUDFLARE_API_TOKEN` and `CLOUDFLARE_ACCOUNT_ID`. The KV namespace, the
/// queues and the secrets that wrangler.toml names must be there; the file says how to make them.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Environment of wrangler.toml
    #[arg(long, value_name = "NAME", default_value = "production")]
    env: String,
    /// Check the configuration and bundle everything, but send nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let tools = Tools::new(workspace);
    build::build(workspace, &tools, build::Kind::Worker)?;
    if args.dry_run {
        return run_child(dry_run(workspace, &args.env)).context("wrangler found something wrong");
    }
    let (shell, wrangler, env) = (&workspace.shell, program(workspace, "wrangler"), &args.env);
    run_child(cmd!(shell, "{wrangler} deploy --env {env}").env("WRANGLER_SEND_METRICS", "false"))
        .context("wrangler deploy failed")
}

/// What wrangler finds wrong with its file, for each environment, once the Worker is built.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    for env in ["dev", "production"] {
        capture_ok(dry_run(workspace, env))
            .with_context(|| format!("wrangler found something wrong with environment {env}"))?;
    }
    Ok(())
}

fn dry_run<'a>(workspace: &'a Workspace, env: &str) -> xshell::Cmd<'a> {
    let (shell, wrangler) = (&workspace.shell, program(workspace, "wrangler"));
    let folder = workspace.root.join("target/edge/dry-run");
    cmd!(shell, "{wrangler} deploy --env {env} --dry-run --outdir {folder}")
        .env("WRANGLER_SEND_METRICS", "false")
        // The build before has made what this would make.
        .env("STREAMIO_EDGE_BUILT", "1")
}
