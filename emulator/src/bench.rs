//! Measures functions as their service runs them: `streamio-emulator bench-lambda`, which `cargo xtask bench lambda` starts.
//!
//! Each function is given one real event again and again, on tables in an emulated DynamoDB: after the first time, what it
//! asks for has happened, and it finds that out as it does in production. A cold start is from the start of the process to
//! its answer's arrival; a warm time is from handing over the event to it. The emulation answers on the loopback interface
//! without TLS, so a real cloud adds its network's time, and the handshake of a cold start.

pub mod dispatch;
mod events;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};
use streamio_events::dynamo::ledger_table;
use streamio_events::emulators::LocalDynamo;
use streamio_lambdas::adapters::dynamo::create_views_table;

use crate::cloud::config::FUNCTIONS;
use crate::lambda::{FunctionConfig, Service, ServiceConfig};

/// What the peer is called in the results.
pub const PEER: &str = "peer";

const LEDGER: &str = "ledger";
const VIEWS: &str = "views";

/// Nobody listens there: these events make no function call it.
const NOBODY: &str = "http://127.0.0.1:9";

/// Measure the functions: their size, their cold starts and their warm answers, as one line of JSON
///
/// `STREAMIO_DYNOXIDE` names the emulation of DynamoDB.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder of the functions' executables
    #[arg(long, value_name = "DIR")]
    programs: PathBuf,
    /// An executable that does nothing, to compare with
    #[arg(long, value_name = "FILE")]
    peer: PathBuf,
    /// How many cold starts of each
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How many warm invocations after each of them
    #[arg(long, value_name = "N", default_value_t = 10)]
    warm: u32,
}

/// What was measured of one function.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    /// The function, or [`PEER`].
    pub name: String,
    /// The size of its executable.
    pub bytes: u64,
    /// From the start of the process to its first answer, in milliseconds.
    pub cold_millis: Vec<f64>,
    /// From handing over an event to its answer, in milliseconds.
    pub warm_millis: Vec<f64>,
}

/// Measures and prints `{"functions": […]}`, the peer last.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let dynamo = LocalDynamo::start()?;
    let client = dynamo.client();
    ledger_table(LEDGER).send_with(&client).await.context("the ledger cannot be made")?;
    create_views_table(&client, VIEWS)
        .await
        .map_err(anyhow::Error::from_boxed)
        .context("the views cannot be made")?;
    let events = events::all(&dynamo, LEDGER).await?;

    let service = Service::new(ServiceConfig::default());
    let variables = variables(&dynamo.endpoint());
    let functions = FUNCTIONS.map(|name| (name, args.programs.join(name)));
    let programs: Vec<(&str, PathBuf)> = functions.into_iter().chain([(PEER, args.peer)]).collect();
    let register = || {
        for (name, program) in &programs {
            let environment = variables.clone();
            service.register(FunctionConfig { environment, ..FunctionConfig::new(*name, program) });
        }
    };
    register();
    // The first start of each reads its program from the disk, and its first event does what later ones find done.
    for (name, _) in &programs {
        invoke(&service, name, &events).await?;
    }
    // Counted from here on.
    register();
    // They take turns, so that what disturbs the machine disturbs all of them.
    for _ in 0..args.rounds {
        for (name, _) in &programs {
            service.end_idle(name)?;
            for _ in 0..=args.warm {
                invoke(&service, name, &events).await?;
            }
        }
    }
    let mut measured = Vec::new();
    for (name, program) in &programs {
        let counters = service.counters(name)?;
        measured.push(Measured {
            name: (*name).to_owned(),
            bytes: std::fs::metadata(program)?.len(),
            cold_millis: counters.cold.iter().map(millis).collect(),
            warm_millis: counters.warm.iter().map(millis).collect(),
        });
    }
    service.stop().await;
    println!("{}", json!({ "functions": measured }));
    Ok(())
}

/// Invokes a function with its event. What is answered must be what it answers when all is well.
async fn invoke(service: &Service, name: &str, events: &HashMap<&str, Bytes>) -> anyhow::Result<()> {
    let event = events.get(name).cloned().unwrap_or_else(|| Bytes::from_static(b"{}"));
    let answer = service.invoke(name, event).await;
    let answer = answer.with_context(|| {
        let lines = service.log_lines(name).unwrap_or_default();
        format!("{name} failed; it has said: {}", lines.join("\n"))
    })?;
    let answer: Value = serde_json::from_slice(&answer).with_context(|| format!("{name} answers no JSON"))?;
    let failures = answer["batchItemFailures"].as_array().map_or(0, Vec::len);
    ensure!(failures == 0, "{name} hands {failures} records back");
    if let Some(status) = answer.get("statusCode") {
        ensure!(*status == 200, "{name} answers with status {status}");
    }
    Ok(())
}

fn millis(time: &Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// All that any of the functions is told; each reads only what it needs.
fn variables(dynamo: &str) -> Vec<(String, String)> {
    let variables = [
        ("STREAMIO_LEDGER_TABLE", LEDGER),
        ("STREAMIO_VIEWS_TABLE", VIEWS),
        ("STREAMIO_RAW_BUCKET", events::RAW_BUCKET),
        ("STREAMIO_PROCESSED_BUCKET", "processed"),
        ("STREAMIO_ECS_CLUSTER", "streamio"),
        ("STREAMIO_ECS_TASK_DEFINITION", "streamio-worker"),
        ("STREAMIO_ECS_SUBNETS", "subnet-0a"),
        ("STREAMIO_ECS_SECURITY_GROUPS", "sg-0a"),
        ("STREAMIO_KV_ACCOUNT_ID", "account"),
        ("STREAMIO_KV_NAMESPACE_ID", "namespace"),
        ("STREAMIO_KV_API_TOKEN", "token"),
        ("STREAMIO_KV_ENDPOINT", NOBODY),
        ("STREAMIO_S3_PATH_STYLE", "1"),
        ("AWS_ENDPOINT_URL_DYNAMODB", dynamo),
        ("AWS_ENDPOINT_URL_ECS", NOBODY),
        ("AWS_ENDPOINT_URL_S3", NOBODY),
    ];
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}
