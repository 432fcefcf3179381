//! `intake`: moves facts from the Kinesis stream into the log.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use streamio_core::delivery::batch::{Batch, Report, RetryPolicy};
use streamio_core::delivery::redrive::Redeliver;
use streamio_core::intake::{Intake, record_batch};
use streamio_core::ports::AdapterError;
use streamio_events::dynamo::DynamoLog;
use streamio_events::log::EventLog;

use super::redrive;
use crate::adapters::dynamo::DynamoViews;
use crate::adapters::{dynamo_client, sdk_config};
use crate::runtime::{Done, Function, clock};
use crate::settings::{self, GiveUp, Ledger, Views};
use crate::triggers::kinesis;

/// The name of the function.
const FUNCTION: &str = "intake";

/// The function.
pub struct IntakeFunction {
    intake: Intake,
    views: DynamoViews,
    retry_policy: RetryPolicy,
}

#[async_trait]
impl Function for IntakeFunction {
    async fn handle(&self, event: Value) -> Result<Done, AdapterError> {
        if let Some(id) = redrive::requested(&event) {
            return redrive::answer(&self.views, FUNCTION, id, self).await;
        }
        let batch = Batch { function: FUNCTION, dead_letters: &self.views, retry_policy: &self.retry_policy };
        Done::of_batch(&self.record(event, batch).await?)
    }
}

#[async_trait]
impl Redeliver for IntakeFunction {
    async fn redeliver(&self, payload: &str, batch: Batch<'_>) -> Result<Report, AdapterError> {
        self.record(redrive::batch_of(payload)?, batch).await
    }
}

impl IntakeFunction {
    async fn record(&self, event: Value, batch: Batch<'_>) -> Result<Report, AdapterError> {
        Ok(record_batch(batch, &self.intake, &kinesis::read(event)?, clock()).await)
    }

    /// The function with settings and adapters from the environment.
    pub async fn from_environment() -> Result<Self, AdapterError> {
        let (ledger, views, give_up): (Ledger, Views, GiveUp) = settings::from_environment()?;
        let dynamo = dynamo_client(&sdk_config().await);
        let log: Arc<dyn EventLog> = Arc::new(DynamoLog::new(dynamo.clone(), ledger.table));
        let views = DynamoViews::new(dynamo, views.table, Arc::clone(&log));
        let retry_policy = RetryPolicy::since_first_failure(give_up.records).until_age(super::RECORD_AGE);
        Ok(Self { intake: Intake::new(log), views, retry_policy })
    }
}
