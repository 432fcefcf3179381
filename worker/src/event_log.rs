//! Opens the configured event log and intake.

use std::sync::Arc;
use std::time::Duration;

use aws_config::BehaviorVersion;
use streamio_events::dynamo::{self, DynamoLog};
use streamio_events::intake::Intake;
use streamio_events::kinesis::{self, KinesisIntake};
use streamio_events::log::EventLog;
use streamio_events::sqlite::SqliteLog;

use crate::settings::{IntakeLocation, LogLocation};

/// How long Kinesis is tried before the worker appends to the log directly. Much shorter than the time after which a worker
/// without heartbeats counts as lost.
const INTAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens the log at `location`. For DynamoDB no request is sent before first use; the SDK finds region, endpoint and
/// credentials in its own environment (in an ECS task, those of the task role).
pub(crate) async fn open(
    location: &LogLocation,
) -> Result<Arc<dyn EventLog>, Box<dyn std::error::Error + Send + Sync>> {
    match location {
        LogLocation::Sqlite(path) => Ok(Arc::new(SqliteLog::open(path)?)),
        LogLocation::Dynamo { table } => {
            let sdk = aws_config::load_defaults(BehaviorVersion::latest()).await;
            let config = dynamo::with_retry_policy(aws_sdk_dynamodb::config::Builder::from(&sdk)).build();
            let client = aws_sdk_dynamodb::Client::from_conf(config);
            Ok(Arc::new(DynamoLog::new(client, table)))
        }
    }
}

/// Opens the intake at `location`. No request is sent before first use.
pub(crate) async fn open_intake(location: &IntakeLocation) -> Arc<dyn Intake> {
    let IntakeLocation::Kinesis { stream_name } = location;
    let sdk = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let config = kinesis::with_retry_policy(aws_sdk_kinesis::config::Builder::from(&sdk)).build();
    let client = aws_sdk_kinesis::Client::from_conf(config);
    Arc::new(KinesisIntake::new(client, stream_name).with_timeout(INTAKE_TIMEOUT))
}
