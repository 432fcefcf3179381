//! Measures webhook deliveries of the whole platform to a receiver that answers at once, and, in the same run, a client that only signs and
//! sends the same bodies. Prints JSON for `cargo xtask bench webhooks`:
//! `cargo bench -p streamio-local --bench webhooks -- ROUNDS MESSAGES UPLOADS PENDING`.

#[path = "webhooks/client.rs"]
mod client;
#[path = "webhooks/history.rs"]
mod history;
#[path = "webhooks/processor.rs"]
mod processor;
#[path = "webhooks/receiver.rs"]
mod receiver;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use streamio_events::id::{ProjectId, WebhookId};
use streamio_events::limits::ProjectLimits;
use streamio_events::webhook::endpoint_url::Rules;
use streamio_local::operator::{IfMissing, Operator};
use streamio_local::platform::{CheckpointIntervals, Config, EdgeRuntime, LogFormat, Platform};
use tempfile::TempDir;

use self::processor::Spent;
use self::receiver::{Arrival, Receiver};

/// How many uploads are made before those that are measured: the first ones load code and fill caches.
const WARM_UP: usize = 20;

/// How long the slowest part may take.
const LONGEST_WAIT: Duration = Duration::from_mins(10);

/// How often the receiver is asked whether everything has arrived.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// The sizes of a measurement.
struct Sizes {
    rounds: u64,
    messages: usize,
    uploads: usize,
    pending: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == receiver::ARGUMENT) {
        return receiver::serve().await;
    }
    let numbers: Vec<u64> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    let sizes = match numbers[..] {
        [rounds, messages, uploads, pending] => Sizes {
            rounds,
            messages: usize::try_from(messages)?,
            uploads: usize::try_from(uploads)?,
            pending: usize::try_from(pending)?,
        },
        // `cargo test --benches` runs it without numbers: once, briefly.
        _ => Sizes { rounds: 1, messages: 100, uploads: 5, pending: 100 },
    };
    writeln!(std::io::stdout(), "{}", measure(&sizes).await?)?;
    Ok(())
}

/// The figures of all rounds.
async fn measure(sizes: &Sizes) -> Result<Value> {
    let (mut ours, mut peer, mut alone, mut beside) = (vec![], vec![], vec![], vec![]);
    for _ in 0..sizes.rounds {
        let receiver = Receiver::start()?;
        ours.push(deliver(&receiver, sizes.messages).await?);
        peer.push(client::send(&receiver, sizes.messages).await?);
        alone.push(first_attempts(&receiver, sizes.uploads, 0).await?);
        beside.push(first_attempts(&receiver, sizes.uploads, sizes.pending).await?);
    }
    Ok(json!({ "deliveries": ours, "peer": peer, "alone": alone, "besideDeadEndpoint": beside }))
}

/// The result of sending many messages.
fn rate(arrivals: &[Arrival], spent: Spent) -> Result<Value> {
    let times = arrivals.iter().map(|arrival| arrival.at_micros);
    let (first, last) = times.clone().min().zip(times.max()).context("nothing has arrived")?;
    #[expect(clippy::cast_precision_loss, reason = "fewer than 2^52")]
    let (count, micros) = (arrivals.len() as f64, (last - first).max(1) as f64);
    Ok(json!({ "perSecond": count * 1e6 / micros, "processorMicros": spent.micros() / count }))
}

/// Delivers `messages` that are in the log when the platform starts. Deliveries begin while the views are still being written.
async fn deliver(receiver: &Receiver, messages: usize) -> Result<Value> {
    let test = Test::prepare(&[(receiver.url(), messages)]).await?;
    let before = Spent::now()?;
    let platform = test.start().await?;
    let arrivals = receiver.wait_for(messages).await?;
    let spent = Spent::now()?.since(before);
    platform.run_until(async {}).await;
    rate(&arrivals, spent)
}

/// The times from an upload's event to the request about it, in milliseconds and in order, of uploads one after another; beside another
/// project whose endpoint does not answer and has `pending` messages.
async fn first_attempts(receiver: &Receiver, uploads: usize, pending: usize) -> Result<Vec<f64>> {
    let dead = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    // Connections are accepted by the system, and nobody answers.
    let dead_url = format!("http://{}/hooks", dead.local_addr()?);
    let test = Test::prepare(&[(receiver.url(), 0), (dead_url, pending)]).await?;
    let platform = test.start().await?;
    let client = client::Uploads::new(&platform.addresses().api, &test.projects[0].api_key);
    for number in 0..WARM_UP {
        client.upload(&format!("first-{number}.mp4")).await?;
        receiver.wait_for(number + 1).await?;
    }
    receiver.forget().await?;
    for number in 0..uploads {
        client.upload(&format!("{number}.mp4")).await?;
        receiver.wait_for(number + 1).await?;
    }
    let arrivals = receiver.wait_for(uploads).await?;
    receiver.forget().await?;
    platform.run_until(async {}).await;
    let mut times: Vec<f64> = arrivals.iter().map(Arrival::since_event_millis).collect();
    times.sort_by(f64::total_cmp);
    Ok(times)
}

/// A project with one endpoint.
struct Project {
    id: ProjectId,
    api_key: String,
    webhook_id: WebhookId,
}

/// A data directory.
struct Test {
    directory: TempDir,
    projects: Vec<Project>,
}

impl Test {
    /// A data directory with one project for each endpoint, given by its URL and the number of messages that are scheduled for it.
    async fn prepare(endpoints: &[(String, usize)]) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let mut this = Self { directory, projects: Vec::new() };
        let platform = this.start().await?;
        let operator = Operator::open(this.directory.path(), IfMissing::Fail)?;
        for (number, (url, _)) in endpoints.iter().enumerate() {
            let id: ProjectId = format!("project-{number}").parse()?;
            let api_key = operator.create_project(&id, None).await?.api_key.reveal().to_owned();
            let webhook_id = client::register(&platform.addresses().api, &api_key, url).await?;
            this.projects.push(Project { id, api_key, webhook_id });
        }
        platform.run_until(async {}).await;
        for (project, (_, messages)) in this.projects.iter().zip(endpoints) {
            history::schedule(&this.directory.path().join("log.db"), project, *messages).await?;
        }
        Ok(this)
    }

    async fn start(&self) -> Result<Platform> {
        Platform::start(config(self.directory.path())).await
    }
}

fn config(directory: &Path) -> Config {
    // Uploads are not processed: the worker waits.
    let idle: Vec<OsString> = ["sh", "-c", "exec sleep 600"].map(OsString::from).to_vec();
    Config {
        data_dir: directory.to_owned(),
        port: 0,
        concurrency: Some(1),
        allowed_origins: vec![],
        rate_limits: None,
        project_limits: ProjectLimits::UNLIMITED,
        webhook_urls: Rules { loopback: true, ..Rules::default() },
        checkpoint_intervals: CheckpointIntervals::default(),
        worker_command: idle,
        edge: EdgeRuntime::Native,
        log_format: LogFormat::Text,
    }
}

/// Waits until `done` is some.
async fn until<T>(what: &str, mut done: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let began = std::time::Instant::now();
    loop {
        if let Some(value) = done().await? {
            return Ok(value);
        }
        ensure!(began.elapsed() < LONGEST_WAIT, "{what} within {LONGEST_WAIT:?}");
        tokio::time::sleep(ASK_EVERY).await;
    }
}
