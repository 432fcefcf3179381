//! The home region behind a function URL: serves the calls of edges from the log and the views.

use std::sync::Arc;

use crate::adapters::dynamo::DynamoViews;
use crate::adapters::{dynamo_client, sdk_config};
use crate::runtime::{Done, Function, clock};
use crate::settings::{self, Ledger, Views};
use crate::triggers::function_url;
use async_trait::async_trait;
use serde_json::Value;
use streamio_core::home_region::{HomePorts, HomeRegion, WebhookPorts};
use streamio_core::ports::AdapterError;
use streamio_events::dynamo::DynamoLog;
use streamio_events::video::Policy;

/// The function.
pub struct Api(HomeRegion);

#[async_trait]
impl Function for Api {
    async fn handle(&self, event: Value) -> Result<Done, AdapterError> {
        let reply = function_url::handle_request(&self.0, event).await?;
        let counts = reply.counts();
        Done::new(&function_url::response(reply), counts)
    }
}

impl Api {
    /// The function configured by the environment.
    pub async fn from_environment() -> Result<Self, AdapterError> {
        let (ledger, views, webhooks, policy): (Ledger, Views, settings::Webhooks, Policy) =
            settings::from_environment()?;
        let dynamo = dynamo_client(&sdk_config().await);
        let log = Arc::new(DynamoLog::new(dynamo.clone(), ledger.table));
        let views = Arc::new(DynamoViews::new(dynamo, views.table, Arc::<DynamoLog>::clone(&log)));
        Ok(Self(HomeRegion::new(HomePorts {
            webhooks: WebhookPorts {
                endpoints: Arc::default(),
                deliveries: Arc::<DynamoViews>::clone(&views),
                keys: webhooks.keys,
                urls: webhooks.urls,
                feed: Arc::<DynamoViews>::clone(&views),
                places: Arc::<DynamoViews>::clone(&views),
            },
            audit: None,
            log,
            views: Arc::<DynamoViews>::clone(&views),
            feed: Arc::<DynamoViews>::clone(&views),
            usage: Arc::<DynamoViews>::clone(&views),
            tenants: views,
            policy,
            clock: Arc::new(clock),
        })))
    }
}
