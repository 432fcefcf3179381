//! `views`: computes the views from the commits of the ledger's stream.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use streamio_core::delivery::batch::{Batch, RetryPolicy};
use streamio_core::ports::AdapterError;
use streamio_core::views::projection::{Ports, project_batch};
use streamio_events::dynamo::DynamoLog;
use streamio_events::video::Policy;

use crate::adapters::dynamo::DynamoViews;
use crate::adapters::kv::CloudflareKv;
use crate::adapters::{dynamo_client, sdk_config};
use crate::runtime::{Done, Function, clock};
use crate::settings::{self, GiveUp, Kv, Ledger, Views};
use crate::triggers::ledger_stream;

/// The function.
pub struct ViewsFunction {
    log: DynamoLog,
    views: DynamoViews,
    kv: CloudflareKv,
    policy: Policy,
    retry_policy: RetryPolicy,
}

#[async_trait]
impl Function for ViewsFunction {
    async fn handle(&self, event: Value) -> Result<Done, AdapterError> {
        let Self { log, views, kv, policy, retry_policy } = self;
        let ports = Ports {
            log,
            policy,
            store: views,
            deliveries: views,
            places: views,
            tenants: views,
            kv,
            pending: views,
        };
        let batch = Batch { function: "views", dead_letters: views, retry_policy };
        Done::of_batch(&project_batch(batch, ports, &ledger_stream::read(event)?, &clock).await)
    }
}

impl ViewsFunction {
    /// The function with settings and adapters from the environment.
    pub async fn from_environment() -> Result<Self, AdapterError> {
        let (ledger, views, kv, policy, give_up): (Ledger, Views, Kv, Policy, GiveUp) =
            settings::from_environment()?;
        let dynamo = dynamo_client(&sdk_config().await);
        let log = DynamoLog::new(dynamo.clone(), ledger.table);
        let views = DynamoViews::new(dynamo, views.table, Arc::new(log.clone()));
        let retry_policy = RetryPolicy::since_first_failure(give_up.records).until_age(super::RECORD_AGE);
        Ok(Self { log, views, kv: CloudflareKv::new(kv)?, policy, retry_policy })
    }
}
