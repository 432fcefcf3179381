//! The Lambda functions, one module each: settings and adapters from the environment, and the handling of one invocation.
//!
//! The binaries in `bin/` only run them; tests construct them with other ports.

pub mod api;
pub mod intake;
pub mod react;
mod redrive;
pub mod sweep;
pub mod tasks;
pub mod uploads;
pub mod views;
pub mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use streamio_events::dynamo::DynamoLog;
use streamio_events::log::EventLog;

use crate::adapters::dynamo::DynamoViews;
use crate::adapters::dynamo_client;
use crate::settings;

/// How long Lambda keeps an asynchronous event (of S3 and EventBridge). It tries the event three times and then sends it to the
/// function's failure destination
/// (<https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html>), so a retryable error fails the
/// invocation.
const ASYNCHRONOUS_EVENT_AGE: Duration = Duration::from_hours(6);

/// The age at which a record of a stream becomes a dead letter if it still fails. Kinesis and DynamoDB Streams keep records for 24 hours
/// and then drop them, with all that are behind them.
const RECORD_AGE: Duration = Duration::from_hours(22);

/// The event log.
fn ledger(sdk: &SdkConfig, settings: &settings::Ledger) -> Arc<dyn EventLog> {
    Arc::new(DynamoLog::new(dynamo_client(sdk), &settings.table))
}

/// The views.
fn views(sdk: &SdkConfig, settings: &settings::Views, log: &Arc<dyn EventLog>) -> Arc<DynamoViews> {
    Arc::new(DynamoViews::new(dynamo_client(sdk), &settings.table, Arc::clone(log)))
}
