//! Runs a function: its binary builds it once, and it handles one event after another.
//!
//! A function writes lines of JSON to its standard output: log lines with the invocation's request id and X-Ray trace id, and
//! after each invocation its [`metrics`]. Events are never logged, at any level.

pub mod metrics;

use std::time::{Duration, Instant};

use async_trait::async_trait;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde::Serialize;
use serde_json::Value;
use streamio_core::delivery::batch::Report;
use streamio_core::ports::AdapterError;
use streamio_events::error_chain::chain;
use streamio_events::settings::present;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::metrics::{Counts, Invocation};
pub use crate::clock::clock;

/// The result of an event.
#[derive(Debug, PartialEq)]
pub struct Done {
    /// The response to the invoker.
    pub response: Value,
    /// The counts for the metrics.
    pub counts: Counts,
    /// For how long the oldest work that was due has waited for the platform; `None` if the function does not know.
    pub oldest_wait: Option<Duration>,
}

impl Done {
    /// `response` as JSON, and the counts.
    pub fn new(response: &impl Serialize, counts: Counts) -> Result<Self, AdapterError> {
        Ok(Self { response: serde_json::to_value(response)?, counts, oldest_wait: None })
    }

    /// The response to an event source mapping: the records that failed.
    pub fn of_batch(report: &Report) -> Result<Self, AdapterError> {
        let Report { handled, failed, dead_lettered } = report;
        let counts = Counts { handled: *handled, failed: failed.len(), dead_lettered: *dead_lettered };
        Self::new(&report.response(), counts)
    }
}

/// A function that is ready to handle events.
#[async_trait]
pub trait Function: Send + Sync {
    /// Handles one event. After an error the event source retries the whole event.
    async fn handle(&self, event: Value) -> Result<Done, AdapterError>;
}

/// Builds the function `name` with `build`, and runs it until its environment ends. If it cannot be built, logs the error and
/// returns it.
pub async fn run<F: Function>(
    name: &'static str,
    build: impl Future<Output = Result<F, AdapterError>>,
) -> Result<(), AdapterError> {
    log_to_standard_output();
    let function = build.await.inspect_err(|error| {
        tracing::error!(function = name, error = chain(&**error), "the function cannot start");
    })?;
    let function = &function;
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Value>| {
        let (event, context) = event.into_parts();
        let started_at = Instant::now();
        let handled = function.handle(event).await;
        let counts = handled.as_ref().map_or(Counts { failed: 1, ..Counts::default() }, |done| done.counts);
        let invocation = Invocation {
            function: name,
            request_id: &context.request_id,
            at: clock(),
            duration: started_at.elapsed(),
            counts,
            oldest_wait: handled.as_ref().ok().and_then(|done| done.oldest_wait),
        };
        println!("{}", invocation.line());
        handled.map(|done| done.response).map_err(|error| {
            let text = chain(&*error);
            tracing::error!(error = text, "the event could not be handled");
            Diagnostic { error_type: format!("streamio.{name}"), error_message: text }
        })
    }))
    .await
}

/// Logs lines of JSON at the level of the function's logging settings or else of `RUST_LOG`
/// (<https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html>); the default is `info`.
fn log_to_standard_output() {
    let level = ["AWS_LAMBDA_LOG_LEVEL", "RUST_LOG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().and_then(present));
    let level = level.and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_current_span(false);
    tracing_subscriber::registry().with(lines).with(only(level)).init();
}

/// Streamio's own lines at `level`; warnings of other crates, whose details may hold secrets; and the span with which the
/// runtime identifies the invocation.
fn only(level: LevelFilter) -> Targets {
    Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("streamio", level)
        .with_target("lambda_runtime::layers::trace", LevelFilter::INFO)
}
