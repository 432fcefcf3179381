//! `cargo xtask cloud`: builds the programs of the emulated cloud and runs it.

use std::env;
use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;
use xshell::cmd;

use crate::edge::{self, Kind};
use crate::process::run as run_child;
use crate::tools::{Tool, Tools};
use crate::workspace::Workspace;

/// Run the product's real programs on an emulated cloud: DynamoDB, Kinesis, S3, ECS, Lambda and workerd on this machine.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Start the cloud with a project, print its addresses and the project's key, and run it until Ctrl-C
    Up(Up),
    /// Run the scenarios: process videos while faults are injected
    Test(Test),
}

#[derive(clap::Args)]
pub(crate) struct Up {
    /// Port of the API on 127.0.0.1; 0: any free port
    #[arg(long, value_name = "PORT", default_value_t = 8788)]
    port: u16,
    /// Use the short timeouts of the tests: seconds instead of minutes
    #[arg(long = "hasty")]
    short_timeouts: bool,
}

#[derive(clap::Args)]
pub(crate) struct Test {
    /// Run only tests whose names contain this
    filter: Option<String>,
}

/// Runs a command.
pub(crate) fn run(workspace: &Workspace, command: &Command) -> Result<()> {
    let tools = Tools::new(workspace);
    tools.ensure(&[Tool::Ffmpeg, Tool::NpmPackages, Tool::Dynoxide])?;
    let edge_worker = edge::build(workspace, &tools, Kind::Worker)?;
    let (shell, cargo) = (&workspace.shell, env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    run_child(cmd!(
        shell,
        "{cargo} build -p streamio -p streamio-lambdas -p streamio-worker -p streamio-emulator --all-features --bins"
    ))?;
    let child = match command {
        Command::Up(Up { port, short_timeouts }) => {
            let program = programs(workspace).join("streamio-emulator");
            let port = port.to_string();
            cmd!(shell, "{program} up --port {port}").args(short_timeouts.then_some("--hasty"))
        }
        Command::Test(Test { filter }) => {
            cmd!(shell, "{cargo} test -p streamio-emulator --all-features --test scenarios").args(filter)
        }
    };
    run_child(
        child
            .envs(tools.environment()?)
            .env("STREAMIO_EDGE_WORKER", edge_worker)
            .env("STREAMIO_LAMBDAS", programs(workspace)),
    )
}

/// Returns the folder of the built programs.
pub(crate) fn programs(workspace: &Workspace) -> PathBuf {
    workspace.target().join("debug")
}
