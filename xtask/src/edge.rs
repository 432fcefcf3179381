//! `cargo xtask edge`: builds the edge as a Cloudflare Worker, runs it on this machine and deploys it.

mod build;
mod deploy;
mod dev;
mod package;
mod size;

use anyhow::Result;
use clap::Subcommand;

pub(crate) use build::{Kind, build};
pub(crate) use deploy::check as check_deployment;
pub(crate) use package::build as build_package;

use crate::tools::Tools;
use crate::workspace::Workspace;

/// Build, run or deploy the edge as a Cloudflare Worker.
#[derive(Subcommand)]
pub(crate) enum Command {
    Build(build::Args),
    Dev(dev::Args),
    Deploy(deploy::Args),
    /// Build the npm package `@streamio/signer` into edge/package/dist
    Package,
}

/// Runs the command.
pub(crate) fn run(workspace: &Workspace, command: &Command) -> Result<()> {
    match command {
        Command::Build(args) => build::command(workspace, args),
        Command::Dev(args) => dev::run(workspace, args),
        Command::Deploy(args) => deploy::run(workspace, args),
        Command::Package => {
            let folder = package::build(workspace, &Tools::new(workspace))?;
            println!("the package is complete: npm install {}", folder.display());
            Ok(())
        }
    }
}
