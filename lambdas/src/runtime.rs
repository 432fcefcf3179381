//! How a function runs: its binary builds it once, and it handles one event after another.
//!
//! What a function writes to its standard output are lines of JSON: log lines, each with the invocation's request id and
//! X-Ray trace id, and after each invocation its [`metrics`]. Events are never logged, at no level.

pub mod metrics;

use std::time::{Instant, SystemTime};

use async_trait::async_trait;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde::Serialize;
use serde_json::Value;
use streamio_events::timestamp::Timestamp;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::metrics::{Counts, Invocation};
use streamio_core::delivery::batch::Report;
use streamio_core::delivery::quarantine::chain;
use streamio_core::ports::AdapterError;

/// What came of an event.
#[derive(Debug, PartialEq)]
pub struct Done {
    /// The answer to whoever invoked the function.
    pub answer: Value,
    /// For the metrics.
    pub counts: Counts,
}

impl Done {
    /// The answer as JSON, and the counts.
    pub fn new(answer: &impl Serialize, counts: Counts) -> Result<Self, AdapterError> {
        Ok(Self { answer: serde_json::to_value(answer)?, counts })
    }

    /// What a source of batches is answered.
    pub fn of_batch(report: &Report) -> Result<Self, AdapterError> {
        let Report { handled, failed, dead_lettered } = report;
        let counts = Counts { handled: *handled, failed: failed.len(), dead_lettered: *dead_lettered };
        Self::new(&report.answer(), counts)
    }
}

/// A function that is ready to handle events.
#[async_trait]
pub trait Function: Send + Sync {
    /// Handles one event. An error hands the whole event back to whoever sent it.
    async fn handle(&self, event: Value) -> Result<Done, AdapterError>;
}

/// The time.
pub fn clock() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Runs the function `name` that `build` gives until its environment ends. A function that cannot be built says why in
/// its log, and ends.
pub async fn run<F: Function>(
    name: &'static str,
    build: impl Future<Output = Result<F, AdapterError>>,
) -> Result<(), AdapterError> {
    log_to_standard_output();
    let function = build.await.inspect_err(|error| {
        tracing::error!(function = name, error = chain(&**error), "the function cannot begin");
    })?;
    let function = &function;
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Value>| {
        let (event, context) = event.into_parts();
        let begin = Instant::now();
        let handled = function.handle(event).await;
        let counts = handled.as_ref().map_or(Counts { failed: 1, ..Counts::default() }, |done| done.counts);
        let invocation = Invocation {
            function: name,
            request_id: &context.request_id,
            at: clock(),
            duration: begin.elapsed(),
            counts,
        };
        println!("{}", invocation.line());
        handled.map(|done| done.answer).map_err(|error| {
            let text = chain(&*error);
            tracing::error!(error = text, "the event could not be handled");
            Diagnostic { error_type: format!("streamio.{name}"), error_message: text }
        })
    }))
    .await
}

/// Lines of JSON at the level that the function's logging settings, else `RUST_LOG`, name
/// (<https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html>), `info` without them.
fn log_to_standard_output() {
    let level = ["AWS_LAMBDA_LOG_LEVEL", "RUST_LOG"].into_iter().find_map(|name| std::env::var(name).ok());
    let level = level.and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_current_span(false);
    tracing_subscriber::registry().with(lines).with(only(level)).init();
}

/// Our own lines at `level`; of others, which would tell more than is meant to be told, warnings; and the span in which
/// the runtime names the invocation.
fn only(level: LevelFilter) -> Targets {
    Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("streamio", level)
        .with_target("lambda_runtime::layers::trace", LevelFilter::INFO)
}
