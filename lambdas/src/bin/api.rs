//! The home region, behind a function URL: what edges ask of the log and the views.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use streamio_events::dynamo::DynamoLog;
use streamio_events::video::Policy;
use streamio_lambdas::AdapterError;
use streamio_lambdas::aws::function::{self, Done, Function, clock};
use streamio_lambdas::aws::settings::{self, Ledger, Views};
use streamio_lambdas::aws::views::DynamoViews;
use streamio_lambdas::aws::{dynamo_client, sdk_config};
use streamio_lambdas::home::{HomePorts, HomeRegion};
use streamio_lambdas::trigger::function_url;

struct ApiFunction(HomeRegion);

#[async_trait]
impl Function for ApiFunction {
    async fn handle(&self, event: Value) -> Result<Done, AdapterError> {
        let reply = function_url::answer(&self.0, event, clock()).await?;
        let counts = reply.counts();
        Done::new(&function_url::response(reply), counts)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AdapterError> {
    function::run("api", async {
        let (ledger, views, policy): (Ledger, Views, Policy) = settings::from_environment()?;
        let dynamo = dynamo_client(&sdk_config().await);
        let log = Arc::new(DynamoLog::new(dynamo.clone(), ledger.table));
        let views = Arc::new(DynamoViews::new(dynamo, views.table, Arc::<DynamoLog>::clone(&log)));
        Ok(ApiFunction(HomeRegion::new(HomePorts {
            log,
            views: Arc::<DynamoViews>::clone(&views),
            feed: Arc::<DynamoViews>::clone(&views),
            tenants: views,
            policy,
        })))
    })
    .await
}
