//! Takes facts off the road (a stream of Kinesis) and into the log.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use streamio_events::dynamo::DynamoLog;
use streamio_events::log::EventLog;
use streamio_lambdas::AdapterError;
use streamio_lambdas::aws::function::{self, Done, Function, clock};
use streamio_lambdas::aws::settings::{self, GiveUp, Ledger, Views};
use streamio_lambdas::aws::views::DynamoViews;
use streamio_lambdas::aws::{dynamo_client, sdk_config};
use streamio_lambdas::batch::{Batch, Patience};
use streamio_lambdas::intake::{Intake, take_in_batch};
use streamio_lambdas::trigger::kinesis;

struct IntakeFunction {
    intake: Intake,
    views: DynamoViews,
    patience: Patience,
}

#[async_trait]
impl Function for IntakeFunction {
    async fn handle(&self, event: Value) -> Result<Done, AdapterError> {
        let records = kinesis::read(event)?;
        let batch = Batch { function: "intake", dead_letters: &self.views, patience: &self.patience };
        Done::of_batch(&take_in_batch(batch, &self.intake, &records, clock()).await)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AdapterError> {
    function::run("intake", async {
        let (ledger, views, give_up): (Ledger, Views, GiveUp) = settings::from_environment()?;
        let dynamo = dynamo_client(&sdk_config().await);
        let log: Arc<dyn EventLog> = Arc::new(DynamoLog::new(dynamo.clone(), ledger.table));
        let views = DynamoViews::new(dynamo, views.table, Arc::clone(&log));
        let patience = Patience::of_tries(give_up.after);
        Ok(IntakeFunction { intake: Intake::new(log), views, patience })
    })
    .await
}
