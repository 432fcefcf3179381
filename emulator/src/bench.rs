//! Benchmark of the Lambda functions: `streamio-emulator bench-lambda`, which `cargo xtask bench lambda` starts.
//!
//! The emulated Lambda service invokes each function repeatedly with one event, on tables in an emulated DynamoDB. The first
//! invocation does the work; the later ones find it done, as a repeated event does in production. A cold start is measured
//! from the start of the process to its response, a warm invocation from sending the event to the response. The emulated
//! services respond on the loopback interface without TLS, so a real cloud adds network time, and TLS handshakes to a cold
//! start.

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

/// The name of the executable to compare with, in the results.
pub const PEER: &str = "peer";

const LEDGER: &str = "ledger";
const VIEWS: &str = "views";

/// An endpoint without a listener, for services that no function calls in this benchmark.
const UNUSED_ENDPOINT: &str = "http://127.0.0.1:9";

/// Measure the size, the cold starts and the warm invocations of the functions; print one line of JSON
///
/// `STREAMIO_DYNOXIDE` is the path of the emulated DynamoDB.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder with the executables of the functions
    #[arg(long, value_name = "DIR")]
    programs: PathBuf,
    /// An executable that does nothing, to compare with
    #[arg(long, value_name = "FILE")]
    peer: PathBuf,
    /// The number of cold starts of each function
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// The number of warm invocations after each cold start
    #[arg(long, value_name = "N", default_value_t = 10)]
    warm: u32,
}

/// The measurements of one function.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    /// The function, or [`PEER`].
    pub name: String,
    /// The size of its executable, in bytes.
    pub bytes: u64,
    /// Times from the start of the process to its first response, in milliseconds.
    pub cold_millis: Vec<f64>,
    /// Times from sending an event to the response, in milliseconds.
    pub warm_millis: Vec<f64>,
}

/// Runs the benchmark and prints `{"functions": […]}`, with the peer last.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let dynamo = LocalDynamo::start()?;
    let client = dynamo.client();
    ledger_table(LEDGER).send_with(&client).await.context("could not create the ledger table")?;
    create_views_table(&client, VIEWS)
        .await
        .map_err(anyhow::Error::from_boxed)
        .context("could not create the views table")?;
    let events = events::by_function(&dynamo, LEDGER).await?;

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
    // Warm-up: the first start reads the executable from disk, and the first event does the work that later ones find done.
    for (name, _) in &programs {
        invoke(&service, name, &events).await?;
    }
    // Registering again resets the counters.
    register();
    // The functions are measured alternately, so that other load on the machine affects all of them alike.
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

/// Invokes a function with its event. Fails unless the response reports success.
async fn invoke(service: &Service, name: &str, events: &HashMap<&str, Bytes>) -> anyhow::Result<()> {
    let event = events.get(name).cloned().unwrap_or_else(|| Bytes::from_static(b"{}"));
    let response = service.invoke(name, event).await;
    let response = response.with_context(|| {
        let lines = service.log_lines(name).unwrap_or_default();
        format!("{name} failed; its log: {}", lines.join("\n"))
    })?;
    let response: Value =
        serde_json::from_slice(&response).with_context(|| format!("the response of {name} is not JSON"))?;
    let failures = response["batchItemFailures"].as_array().map_or(0, Vec::len);
    ensure!(failures == 0, "{name} reports {failures} failed records");
    if let Some(status) = response.get("statusCode") {
        ensure!(*status == 200, "{name} responds with status {status}");
    }
    Ok(())
}

fn millis(time: &Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Returns the environment variables of all functions. Each function reads only those that it needs.
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
        ("STREAMIO_KV_ENDPOINT", UNUSED_ENDPOINT),
        ("STREAMIO_S3_PATH_STYLE", "1"),
        ("STREAMIO_WEBHOOK_QUEUE_URL", "https://sqs.us-east-1.amazonaws.com/111122223333/webhooks"),
        ("STREAMIO_WEBHOOK_SECRET", "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f"),
        ("AWS_ENDPOINT_URL_DYNAMODB", dynamo),
        ("AWS_ENDPOINT_URL_ECS", UNUSED_ENDPOINT),
        ("AWS_ENDPOINT_URL_S3", UNUSED_ENDPOINT),
        ("AWS_ENDPOINT_URL_SQS", UNUSED_ENDPOINT),
    ];
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}
