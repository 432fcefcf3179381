//! Measures the road from S3's notice of an upload to `RunTask`: `streamio-emulator bench-dispatch`, which
//! `cargo xtask bench lambda` starts.
//!
//! The road is the bus, `uploads`, the ledger and its stream, and `react`. On it the emulated services take their time, which
//! says nothing of the real ones; so what is ours is told apart: the time of the two functions' invocations in which no call
//! of theirs to DynamoDB or ECS was under way. The hop to the Runtime API and back counts as ours.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::cloud::config::{FUNCTIONS, WORKER};
use crate::event_road::{Delivery, Order};
use crate::{Cloud, CloudConfig, Journal};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// Rounds that are not counted: the functions start in them.
const WARM_UP: u32 = 3;
/// A pause in which what the round before has left behind comes to its end.
const QUIET: Duration = Duration::from_millis(60);
/// How often is looked whether the task was run. It is not part of any figure.
const LOOK: Duration = Duration::from_millis(2);

/// The functions on the road.
const ON_THE_ROAD: [&str; 2] = ["uploads", "react"];

/// Measure the road from S3's notice to `RunTask`, as one line of JSON
///
/// `STREAMIO_DYNOXIDE`, `STREAMIO_KINESIS` and `STREAMIO_EDGE_WORKER` name what the emulated cloud runs.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder of the functions' executables
    #[arg(long, value_name = "DIR")]
    programs: PathBuf,
    /// The folder of the built Worker
    #[arg(long, value_name = "DIR")]
    edge_worker: PathBuf,
    /// What ECS runs in place of the worker: a program that waits for the end of its standard input, such as `cat`
    #[arg(long, value_name = "FILE")]
    worker: PathBuf,
    /// How many uploads
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
}

/// What was measured, a figure for each upload.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Measured {
    /// From the notice to the arrival of `RunTask`, in milliseconds.
    whole_millis: Vec<f64>,
    /// What of it was spent in our functions, in milliseconds.
    own_millis: Vec<f64>,
}

/// Measures and prints `{"wholeMillis": […], "ownMillis": […]}`.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let programs = tempfile::tempdir()?;
    let named = FUNCTIONS.map(|name| (name, args.programs.join(name)));
    for (name, program) in named.into_iter().chain([(WORKER, args.worker)]) {
        let program = std::path::absolute(&program)?;
        std::os::unix::fs::symlink(&program, programs.path().join(name))
            .with_context(|| format!("no link to {}", program.display()))?;
    }
    let config = CloudConfig {
        journal: Journal::Home,
        // Nothing but the uploads may call for `react` while it is measured.
        sweep_every: Duration::from_hours(1),
        ..CloudConfig::of(programs.path().to_owned(), args.edge_worker)?
    };
    let cloud = Cloud::start(config).await?;
    let measured = measure(&cloud, args.rounds).await;
    cloud.stop().await?;
    println!("{}", serde_json::to_string(&measured?)?);
    Ok(())
}

async fn measure(cloud: &Cloud, rounds: u32) -> anyhow::Result<Measured> {
    let key = cloud.create_project("acme").await?;
    // They would compete for the processor and the proxies.
    cloud.mappings().views.pause();
    let client = Client { http: reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?, cloud };
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
    /// Uploads a file, and answers how long its dispatch took, as a whole and in our functions.
    async fn upload(&self, api_key: &str, round: u32) -> anyhow::Result<(Duration, Duration)> {
        let cloud = self.cloud;
        let request = self.http.post(format!("{}/upload-url", cloud.api())).header("x-api-key", api_key);
        let request = request.json(&json!({ "filename": format!("clip-{round}.mp4") }));
        let grant: Value = request.send().await?.error_for_status()?.json().await?;
        let url = grant["uploadUrl"].as_str().context("a grant without an uploadUrl")?;
        cloud.s3_events().fault(1, Delivery::Held, |_| true);
        self.http.put(url).body("not a film").send().await?.error_for_status()?;
        until(|| cloud.s3_events().held() == 1).await.context("S3 tells of no object")?;
        cloud.mappings().react.caught_up().await;
        cloud.bus().quiet().await;
        sleep(QUIET).await;

        let launched = cloud.ecs_proxy().count("RunTask");
        let begun = Instant::now();
        cloud.s3_events().release(Order::Kept);
        until(|| cloud.ecs_proxy().count("RunTask") > launched).await.context("no task is run")?;
        // `react` has then been answered, and its invocation is counted.
        cloud.mappings().react.caught_up().await;
        let calls = cloud.ecs_proxy().calls();
        let run = calls.iter().find(|call| call.operation == "RunTask" && call.begun >= begun);
        let road = Span { begun, ended: run.context("RunTask was not recorded")?.begun };
        let mut own = Duration::ZERO;
        let calls: Vec<Span> = cloud
            .dynamo_proxy()
            .calls()
            .iter()
            .map(|call| Span { begun: call.begun, ended: call.begun + call.took })
            .collect();
        for function in ON_THE_ROAD {
            for (started, took) in cloud.functions().counters(function)?.latest {
                let run = Span { begun: started, ended: started + took };
                own += run.within(road).map_or(Duration::ZERO, |run| run.without(&calls));
            }
        }
        ensure!(own > Duration::ZERO, "no invocation was recorded");
        Ok((road.length(), own))
    }
}

/// A stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    begun: Instant,
    ended: Instant,
}

impl Span {
    fn length(self) -> Duration {
        self.ended.saturating_duration_since(self.begun)
    }

    /// The part of it that is in `other`.
    fn within(self, other: Self) -> Option<Self> {
        let span = Self { begun: self.begun.max(other.begun), ended: self.ended.min(other.ended) };
        (span.begun < span.ended).then_some(span)
    }

    /// How long it is without the stretches that `others` cover, which may overlap.
    fn without(self, others: &[Self]) -> Duration {
        let covered: BTreeMap<Instant, Instant> =
            others.iter().filter_map(|other| other.within(self)).fold(BTreeMap::new(), |mut spans, span| {
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

async fn until(done: impl Fn() -> bool) -> anyhow::Result<()> {
    let begun = Instant::now();
    while !done() {
        ensure!(begun.elapsed() < PATIENCE, "not within {} seconds", PATIENCE.as_secs());
        sleep(LOOK).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_calls_cover_is_left_out_once_however_they_overlap() {
        let zero = Instant::now();
        let span = |begun: u64, ended: u64| Span {
            begun: zero + Duration::from_millis(begun),
            ended: zero + Duration::from_millis(ended),
        };
        let free = |others: &[Span]| span(10, 20).without(others).as_millis();
        assert_eq!(free(&[]), 10);
        assert_eq!(free(&[span(12, 14), span(13, 16), span(12, 13)]), 6);
        assert_eq!(free(&[span(0, 11), span(19, 30)]), 8);
        assert_eq!(free(&[span(0, 30)]), 0);
        assert_eq!(free(&[span(0, 10), span(20, 30)]), 10);
        assert_eq!(span(0, 5).within(span(5, 9)), None);
    }
}
