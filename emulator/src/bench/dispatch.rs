//! Benchmark of the time from S3's event for an upload to `RunTask`: `streamio-emulator bench-dispatch`, which
//! `cargo xtask bench lambda` starts.
//!
//! The event passes the event bus, `uploads`, the ledger and its stream, and `react`. The latencies of the emulated services
//! do not represent the real ones, so the time of Streamio's own code is reported separately: the duration of the two
//! functions' invocations, without the time in which a call to DynamoDB or ECS was pending. It includes the requests to the
//! Runtime API.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::cloud::config::{FUNCTIONS, WORKER};
use crate::event_channel::{DeliveryFault, Order};
use crate::{Cloud, CloudConfig, Journal};

/// The timeout of each step.
const TIMEOUT: Duration = Duration::from_mins(1);
/// Rounds that are not counted, because the functions start in them.
const WARM_UP: u32 = 3;
/// A pause before each round, in which the work of the previous round ends.
const SETTLE_TIME: Duration = Duration::from_millis(60);
/// The interval of polls for a condition. It is not part of any figure.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// The functions whose time is measured.
const MEASURED_FUNCTIONS: [&str; 2] = ["uploads", "react"];

/// Measure the time from S3's event for an upload to `RunTask`; print one line of JSON
///
/// `STREAMIO_DYNOXIDE`, `STREAMIO_KINESIS` and `STREAMIO_EDGE_WORKER` are the paths of the programs that the emulated cloud
/// runs.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder with the executables of the functions
    #[arg(long, value_name = "DIR")]
    programs: PathBuf,
    /// The folder of the built Worker
    #[arg(long, value_name = "DIR")]
    edge_worker: PathBuf,
    /// The program that ECS runs instead of the worker; it must run until its standard input ends, as `cat` does
    #[arg(long, value_name = "FILE")]
    worker: PathBuf,
    /// The number of uploads
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
}

/// The measurements: one figure for each upload.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Measured {
    /// Times from S3's event to the arrival of `RunTask`, in milliseconds.
    whole_millis: Vec<f64>,
    /// The part of each that was spent in the functions, in milliseconds.
    own_millis: Vec<f64>,
}

/// Runs the benchmark and prints `{"wholeMillis": […], "ownMillis": […]}`.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let programs = tempfile::tempdir()?;
    let named = FUNCTIONS.map(|name| (name, args.programs.join(name)));
    for (name, program) in named.into_iter().chain([(WORKER, args.worker)]) {
        let program = std::path::absolute(&program)?;
        std::os::unix::fs::symlink(&program, programs.path().join(name))
            .with_context(|| format!("could not link to {}", program.display()))?;
    }
    let config = CloudConfig {
        journal: Journal::Home,
        // A sweep during the measurement would cause further invocations of `react`.
        sweep_every: Duration::from_hours(1),
        ..CloudConfig::new(programs.path().to_owned(), args.edge_worker)?
    };
    let cloud = Cloud::start(config).await?;
    let measured = measure(&cloud, args.rounds).await;
    cloud.stop().await?;
    println!("{}", serde_json::to_string(&measured?)?);
    Ok(())
}

async fn measure(cloud: &Cloud, rounds: u32) -> anyhow::Result<Measured> {
    let key = cloud.create_project("acme").await?;
    // The function `views` would compete for the processor and the proxies.
    cloud.mappings().views.pause();
    let client = Client { http: reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build()?, cloud };
    let mut measured = Measured::default();
    for round in 0..WARM_UP + rounds {
        let (whole, own) = client.upload(key.api_key.reveal(), round).await?;
        if round >= WARM_UP {
            measured.whole_millis.push(whole.as_secs_f64() * 1e3);
            measured.own_millis.push(own.as_secs_f64() * 1e3);
        }
    }
    Ok(measured)
}

struct Client<'a> {
    http: reqwest::Client,
    cloud: &'a Cloud,
}

impl Client<'_> {
    /// Uploads a file. Returns the time until its dispatch, as a whole and in the functions.
    async fn upload(&self, api_key: &str, round: u32) -> anyhow::Result<(Duration, Duration)> {
        let cloud = self.cloud;
        let request = self.http.post(format!("{}/upload-url", cloud.api())).header("x-api-key", api_key);
        let request = request.json(&json!({ "filename": format!("clip-{round}.mp4") }));
        let grant: Value = request.send().await?.error_for_status()?.json().await?;
        let url = grant["uploadUrl"].as_str().context("a grant without an uploadUrl")?;
        cloud.s3_events().inject(1, DeliveryFault::Hold, |_| true);
        self.http.put(url).body("not a film").send().await?.error_for_status()?;
        wait_until(|| cloud.s3_events().held() == 1).await.context("S3 published no event")?;
        cloud.mappings().react.wait_until_caught_up().await;
        cloud.bus().wait_until_idle().await;
        sleep(SETTLE_TIME).await;

        let launched = cloud.ecs_proxy().count("RunTask");
        let begun = Instant::now();
        cloud.s3_events().release(Order::Sent);
        wait_until(|| cloud.ecs_proxy().count("RunTask") > launched)
            .await
            .context("`RunTask` was not called")?;
        // Wait until the invocation of `react` has ended and is counted.
        cloud.mappings().react.wait_until_caught_up().await;
        let calls = cloud.ecs_proxy().calls();
        let run = calls.iter().find(|call| call.operation == "RunTask" && call.begun >= begun);
        let dispatch = Span { begun, ended: run.context("RunTask was not recorded")?.begun };
        let mut own = Duration::ZERO;
        let calls: Vec<Span> = cloud
            .dynamo_proxy()
            .calls()
            .iter()
            .map(|call| Span { begun: call.begun, ended: call.begun + call.took })
            .collect();
        for function in MEASURED_FUNCTIONS {
            for (started, took) in cloud.functions().counters(function)?.latest {
                let run = Span { begun: started, ended: started + took };
                own += run.intersection(dispatch).map_or(Duration::ZERO, |run| run.length_without(&calls));
            }
        }
        ensure!(own > Duration::ZERO, "no invocation was recorded");
        Ok((dispatch.length(), own))
    }
}

/// An interval of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    begun: Instant,
    ended: Instant,
}

impl Span {
    fn length(self) -> Duration {
        self.ended.saturating_duration_since(self.begun)
    }

    /// Returns the part that is in `other`, or `None` if it is empty.
    fn intersection(self, other: Self) -> Option<Self> {
        let span = Self { begun: self.begun.max(other.begun), ended: self.ended.min(other.ended) };
        (span.begun < span.ended).then_some(span)
    }

    /// Returns the length without the parts that `others` cover. They may overlap.
    fn length_without(self, others: &[Self]) -> Duration {
        let covered: BTreeMap<Instant, Instant> = others
            .iter()
            .filter_map(|other| other.intersection(self))
            .fold(BTreeMap::new(), |mut spans, span| {
                let ended = spans.entry(span.begun).or_insert(span.ended);
                *ended = span.ended.max(*ended);
                spans
            });
        let mut free = Duration::ZERO;
        let mut end = self.begun;
        for (begun, ended) in covered {
            free += begun.saturating_duration_since(end);
            end = end.max(ended);
        }
        free + self.ended.saturating_duration_since(end)
    }
}

async fn wait_until(done: impl Fn() -> bool) -> anyhow::Result<()> {
    let begun = Instant::now();
    while !done() {
        ensure!(begun.elapsed() < TIMEOUT, "timed out after {} seconds", TIMEOUT.as_secs());
        sleep(POLL_INTERVAL).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_calls_are_subtracted_once() {
        let zero = Instant::now();
        let span = |begun: u64, ended: u64| Span {
            begun: zero + Duration::from_millis(begun),
            ended: zero + Duration::from_millis(ended),
        };
        let free = |others: &[Span]| span(10, 20).length_without(others).as_millis();
        assert_eq!(free(&[]), 10);
        assert_eq!(free(&[span(12, 14), span(13, 16), span(12, 13)]), 6);
        assert_eq!(free(&[span(0, 11), span(19, 30)]), 8);
        assert_eq!(free(&[span(0, 30)]), 0);
        assert_eq!(free(&[span(0, 10), span(20, 30)]), 10);
        assert_eq!(span(0, 5).intersection(span(5, 9)), None);
    }
}
