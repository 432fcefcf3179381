//! `views`: computes the views from the commits of the ledger's stream.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use streamio_core::delivery::batch::{Batch, Report, RetryPolicy};
use streamio_core::delivery::redrive::Redeliver;
use streamio_core::fold_cache::{ProjectCache, WebhookFolds};
use streamio_core::ports::AdapterError;
use streamio_core::views::projection::{Ports, project_batch};
use streamio_events::dynamo::DynamoLog;
use streamio_events::video::Policy;

use super::redrive;
use crate::adapters::dynamo::DynamoViews;
use crate::adapters::kv::CloudflareKv;
use crate::adapters::{dynamo_client, sdk_config};
use crate::runtime::{Done, Function, clock};
use crate::settings::{self, GiveUp, Kv, Ledger, Views};
use crate::triggers::ledger_stream;

/// The name of the function.
const FUNCTION: &str = "views";

/// The function.
pub struct ViewsFunction {
    log: DynamoLog,
    views: DynamoViews,
    kv: CloudflareKv,
    folds: WebhookFolds,
    projects: ProjectCache,
    policy: Policy,
    retry_policy: RetryPolicy,
}

#[async_trait]
impl Function for ViewsFunction {
    async fn handle(&self, event: Value) -> Result<Done, AdapterError> {
        if let Some(id) = redrive::requested(&event) {
            return redrive::answer(&self.views, FUNCTION, id, self).await;
        }
        let batch = Batch { function: FUNCTION, dead_letters: &self.views, retry_policy: &self.retry_policy };
        Done::of_batch(&self.project(event, batch).await?)
    }
}

#[async_trait]
impl Redeliver for ViewsFunction {
    async fn redeliver(&self, payload: &str, batch: Batch<'_>) -> Result<Report, AdapterError> {
        self.project(redrive::batch_of(payload)?, batch).await
    }
}

impl ViewsFunction {
    async fn project(&self, event: Value, batch: Batch<'_>) -> Result<Report, AdapterError> {
        let Self { log, views, kv, folds, projects, policy, .. } = self;
        let ports = Ports {
            log,
            policy,
            store: views,
            deliveries: views,
            folds,
            places: views,
            usage: views,
            projects,
            tenants: views,
            kv,
            pending: views,
        };
        Ok(project_batch(batch, ports, &ledger_stream::read(event)?, &clock).await)
    }

    /// The function with settings and adapters from the environment.
    pub async fn from_environment() -> Result<Self, AdapterError> {
        let (ledger, views, kv, policy, give_up): (Ledger, Views, Kv, Policy, GiveUp) =
            settings::from_environment()?;
        let dynamo = dynamo_client(&sdk_config().await);
        let log = DynamoLog::new(dynamo.clone(), ledger.table);
        let views = DynamoViews::new(dynamo, views.table, Arc::new(log.clone()));
        let retry_policy = RetryPolicy::since_first_failure(give_up.records).until_age(super::RECORD_AGE);
        let (kv, folds, projects) =
            (CloudflareKv::new(kv)?, WebhookFolds::default(), ProjectCache::default());
        Ok(Self { log, views, kv, folds, projects, policy, retry_policy })
    }
}
