//! Computes the views from each commit that the ledger's stream brings.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use streamio_events::dynamo::DynamoLog;
use streamio_events::video::Policy;
use streamio_lambdas::AdapterError;
use streamio_lambdas::aws::function::{self, Done, Function, clock};
use streamio_lambdas::aws::kv::CloudflareKv;
use streamio_lambdas::aws::settings::{self, GiveUp, Kv, Ledger, Views};
use streamio_lambdas::aws::views::DynamoViews;
use streamio_lambdas::aws::{dynamo_client, sdk_config};
use streamio_lambdas::batch::{Batch, Patience};
use streamio_lambdas::projection::{Ports, project_batch};
use streamio_lambdas::trigger::ledger_stream;

struct ViewsFunction {
    log: DynamoLog,
    views: DynamoViews,
    kv: CloudflareKv,
    policy: Policy,
    patience: Patience,
}

#[async_trait]
impl Function for ViewsFunction {
    async fn handle(&self, event: Value) -> Result<Done, AdapterError> {
        let Self { log, views, kv, policy, patience } = self;
        let ports = Ports { log, policy, store: views, feed: views, tenants: views, kv, pending: views };
        let batch = Batch { function: "views", dead_letters: views, patience };
        Done::of_batch(&project_batch(batch, ports, &ledger_stream::read(event)?, &clock).await)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AdapterError> {
    function::run("views", async {
        let (ledger, views, kv, policy, give_up): (Ledger, Views, Kv, Policy, GiveUp) =
            settings::from_environment()?;
        let dynamo = dynamo_client(&sdk_config().await);
        let log = DynamoLog::new(dynamo.clone(), ledger.table);
        let views = DynamoViews::new(dynamo, views.table, Arc::new(log.clone()));
        let patience = Patience::of_tries(give_up.after);
        Ok(ViewsFunction { log, views, kv: CloudflareKv::new(kv)?, policy, patience })
    })
    .await
}
