//! `streamio-emulator up`: runs an emulated cloud for development. `cargo xtask cloud up` builds the programs and starts it.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use serde_json::json;
use streamio_emulator::{Cloud, CloudConfig, Journal, bench, scale};
use streamio_events::settings::present;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Run the product's real programs on an emulated cloud.
#[derive(Parser)]
#[command(name = "streamio-emulator", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the cloud with a project, print its addresses and the project's key, and run it until Ctrl-C
    ///
    /// The state is lost when it ends. `STREAMIO_LAMBDAS` is the folder of the functions and of the worker,
    /// `STREAMIO_EDGE_WORKER` the folder of the built Worker.
    Up(Up),
    BenchLambda(bench::Args),
    BenchDispatch(bench::dispatch::Args),
    /// Print the model of load, limits and cost on AWS as the tables of docs/scale.md
    Scale,
}

#[derive(clap::Args)]
struct Up {
    /// Port of the API on 127.0.0.1; 0: any free port
    #[arg(long, value_name = "PORT", default_value_t = 8788)]
    port: u16,
    /// Store objects and logs in this folder instead of a temporary one
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Name of the project
    #[arg(long, value_name = "ID", default_value = "demo")]
    project: String,
    /// Append grants to the ledger before responding, instead of sending them to the queue
    #[arg(long)]
    home: bool,
    /// Use the short timeouts of the tests: seconds instead of minutes
    #[arg(long = "hasty")]
    short_timeouts: bool,
    /// Print the addresses and the key as one line of JSON
    #[arg(long)]
    json: bool,
}

/// Logs to standard error what the variable `RUST_LOG` selects, or warnings when it is absent or blank.
fn start_logging() -> anyhow::Result<()> {
    let directives = std::env::var("RUST_LOG").ok().and_then(present);
    let filter =
        EnvFilter::try_new(directives.as_deref().unwrap_or("warn")).context("RUST_LOG is invalid")?;
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    Ok(())
}

fn main() -> ExitCode {
    let command = Cli::parse().command;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = start_logging()
        .and_then(|()| runtime.context("could not start the Tokio runtime"))
        .and_then(|runtime| runtime.block_on(run(command)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("streamio-emulator: error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Up(up) => run_cloud(up).await,
        Command::BenchLambda(args) => bench::run(args).await,
        Command::BenchDispatch(args) => bench::dispatch::run(args).await,
        Command::Scale => Ok(write!(std::io::stdout(), "{}", scale::tables())?),
    }
}

async fn run_cloud(up: Up) -> anyhow::Result<()> {
    let mut config = CloudConfig::from_environment()?;
    if up.short_timeouts {
        config = config.with_short_timeouts();
    }
    config.port = up.port;
    config.folder = up.folder;
    if up.home {
        config.journal = Journal::Home;
    }
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let cloud = Cloud::start(config).await?;
    let key = cloud.create_project(&up.project).await?;
    print_addresses(&cloud, &up.project, key.api_key.reveal(), up.json)?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    cloud.stop().await
}

fn print_addresses(cloud: &Cloud, project: &str, key: &str, json: bool) -> anyhow::Result<()> {
    let api = cloud.api();
    let addresses = [
        ("api", api.to_owned()),
        ("home", cloud.home()),
        ("s3", cloud.s3().endpoint().to_owned()),
        ("cdn", cloud.cdn().url().to_owned()),
        ("dynamodb", cloud.dynamo().endpoint()),
        ("kinesis", cloud.kinesis().endpoint()),
        ("ecs", cloud.ecs().endpoint().to_owned()),
        ("sqs", cloud.sqs().endpoint().to_owned()),
        ("kv", cloud.kv().endpoint().to_owned()),
        ("operator", cloud.control_plane().to_owned()),
        ("folder", cloud.folder().display().to_string()),
    ];
    let mut out = std::io::stdout().lock();
    if json {
        let mut line = json!({ "projectId": project, "apiKey": key });
        for (name, address) in addresses {
            line[name] = json!(address);
        }
        line["operatorVariables"] = cloud.operator_variables().into_iter().collect();
        writeln!(out, "{line}")?;
        return Ok(out.flush()?);
    }
    writeln!(out, "The emulated cloud runs until Ctrl-C.\n")?;
    for (name, address) in addresses {
        writeln!(out, "  {name:<9} {address}")?;
    }
    writeln!(out, "  project   {project}\n  API key   {key}\n")?;
    writeln!(out, "  export STREAMIO_URL={api} STREAMIO_API_KEY={key}")?;
    writeln!(out, "  cargo run -p streamio -- upload FILE --wait\n")?;
    let variables: Vec<String> =
        cloud.operator_variables().iter().map(|(name, value)| format!("{name}={value}")).collect();
    writeln!(out, "  export {}", variables.join(" "))?;
    writeln!(out, "  cargo run -p streamio -- project list --aws")?;
    Ok(out.flush()?)
}
