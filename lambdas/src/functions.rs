//! The Lambda functions, one module each: settings and adapters from the environment, and the handling of one invocation.
//!
//! The binaries in `bin/` only run these; tests construct them with other ports.

pub mod api;
pub mod intake;
pub mod react;
pub mod sweep;
pub mod tasks;
pub mod uploads;
pub mod views;

use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use streamio_events::dynamo::DynamoLog;
use streamio_events::log::EventLog;

use crate::adapters::dynamo::DynamoViews;
use crate::adapters::dynamo_client;
use crate::settings;

/// Lambda itself keeps what it is handed without waiting for an answer (S3's and EventBridge's events) for at most six
/// hours, tries it three times, and hands it on, whole, to the function's destination for failures
/// (<https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html>): so an error that may pass goes back.
const ASYNCHRONOUS_EVENTS_LIVE: Duration = Duration::from_hours(6);

/// The log in its table.
fn ledger(sdk: &SdkConfig, settings: &settings::Ledger) -> Arc<dyn EventLog> {
    Arc::new(DynamoLog::new(dynamo_client(sdk), &settings.table))
}

/// The views in theirs.
fn views(sdk: &SdkConfig, settings: &settings::Views, log: &Arc<dyn EventLog>) -> Arc<DynamoViews> {
    Arc::new(DynamoViews::new(dynamo_client(sdk), &settings.table, Arc::clone(log)))
}
