//! The event log that the environment names.

use std::sync::Arc;

use aws_config::BehaviorVersion;
use streamio_events::dynamo::{DynamoLog, patient};
use streamio_events::log::EventLog;
use streamio_events::sqlite::SqliteLog;

use crate::settings::LogPlace;

/// Opens the log at `place`. A table of DynamoDB is not asked for anything before its first use; its region, endpoint and
/// credentials are those that the SDK finds: in a task of ECS those of the task's role.
pub(crate) async fn open(
    place: &LogPlace,
) -> Result<Arc<dyn EventLog>, Box<dyn std::error::Error + Send + Sync>> {
    match place {
        LogPlace::Sqlite(path) => Ok(Arc::new(SqliteLog::open(path)?)),
        LogPlace::Dynamo { table } => {
            let sdk = aws_config::load_defaults(BehaviorVersion::latest()).await;
            let config = patient(aws_sdk_dynamodb::config::Builder::from(&sdk)).build();
            let client = aws_sdk_dynamodb::Client::from_conf(config);
            Ok(Arc::new(DynamoLog::new(client, table)))
        }
    }
}
