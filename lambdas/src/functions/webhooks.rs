//! `webhooks`: makes the attempts of the webhook deliveries that a batch of the queue names.
//!
//! A message is a hint, and the log states what is due. What was not attempted is still due: it is queued again if only a time is waited for,
//! and otherwise found by the sweep.

mod attempts;
mod outcomes;

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use streamio_core::delivery::batch::{Batch, Report, RetryPolicy};
use streamio_core::delivery::redrive::Redeliver;
use streamio_core::fold_cache::EndpointCache;
use streamio_core::ports::AdapterError;
use streamio_core::ports::dead_letters::DeadLetterStore;
use streamio_core::ports::delivery_queue::DeliveryQueue;
use streamio_core::ports::delivery_store::{DeliveryKey, DeliveryStore};
use streamio_core::ports::view_store::ViewStore;
use streamio_core::ports::webhook_sender::WebhookSender;
use streamio_core::webhooks::delivering;
use streamio_core::webhooks::http_sender::{HttpSender, SenderRules, SystemResolver};
use streamio_core::webhooks::keys::WebhookKeys;
use streamio_events::log::EventLog;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::Policy;
use streamio_events::webhook::endpoint_url::Rules;

pub use self::attempts::InstanceAttempts;
use self::outcomes::Outcomes;
use super::redrive;
use crate::adapters::dynamo::DynamoViews;
use crate::adapters::sqs::SqsDeliveries;
use crate::runtime::{Done, Function, clock};
use crate::settings::{self, from_environment};
use crate::triggers::sqs::read;

/// The name of the function.
const FUNCTION: &str = "webhooks";

/// The function.
pub struct Webhooks {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// Status views.
    pub views: Arc<dyn ViewStore>,
    /// The views of deliveries.
    pub deliveries: Arc<dyn DeliveryStore>,
    /// Stores messages that cannot be handled.
    pub dead_letters: Arc<dyn DeadLetterStore>,
    /// The queue of deliveries.
    pub queue: Arc<dyn DeliveryQueue>,
    /// Sends requests.
    pub sender: Arc<dyn WebhookSender>,
    /// The projects' endpoints.
    pub endpoints: EndpointCache,
    /// What this instance knows of its attempts.
    pub attempts: InstanceAttempts,
    /// The keys with which messages are signed.
    pub keys: WebhookKeys,
    /// Which URLs are allowed.
    pub urls: Rules,
    /// Buckets, limits, timeouts and retry pauses.
    pub policy: Policy,
    /// The clock.
    pub clock: fn() -> Timestamp,
}

impl Webhooks {
    /// The function with settings and adapters from the environment.
    pub async fn from_environment() -> Result<Self, AdapterError> {
        type Sections =
            (settings::Ledger, settings::Views, settings::Webhooks, settings::WebhookQueue, Policy);
        let (ledger, views, webhooks, queue, policy) = from_environment::<Sections>()?;
        let sdk = crate::adapters::sdk_config().await;
        let log = super::ledger(&sdk, &ledger);
        let views = super::views(&sdk, &views, &log);
        let rules = SenderRules { urls: webhooks.urls.clone(), ..SenderRules::default() };
        Ok(Self {
            deliveries: Arc::<DynamoViews>::clone(&views),
            dead_letters: Arc::<DynamoViews>::clone(&views),
            views,
            log,
            queue: Arc::new(SqsDeliveries::new(&sdk, queue.url)),
            sender: Arc::new(HttpSender::new(rules, Arc::new(SystemResolver))?),
            endpoints: EndpointCache::default(),
            attempts: InstanceAttempts::default(),
            keys: webhooks.keys,
            urls: webhooks.urls,
            policy,
            clock,
        })
    }

    fn ports(&self) -> delivering::Ports<'_> {
        delivering::Ports {
            log: &*self.log,
            endpoints: &self.endpoints,
            views: &*self.views,
            deliveries: &*self.deliveries,
            sender: &*self.sender,
            keys: &self.keys,
            urls: &self.urls,
            policy: &self.policy,
            clock: &self.clock,
        }
    }
}

#[async_trait]
impl Function for Webhooks {
    async fn handle(&self, event: Value) -> Result<Done, AdapterError> {
        if let Some(id) = redrive::requested(&event) {
            return redrive::answer(&*self.dead_letters, FUNCTION, id, self).await;
        }
        // The queue limits how often a message is delivered again, and the sweep makes up for those that it gives up.
        let retry_policy = RetryPolicy::since_arrival(std::time::Duration::MAX);
        let batch =
            Batch { function: FUNCTION, dead_letters: &*self.dead_letters, retry_policy: &retry_policy };
        Done::of_batch(&self.attempt(event, batch).await?)
    }
}

#[async_trait]
impl Redeliver for Webhooks {
    async fn redeliver(&self, payload: &str, batch: Batch<'_>) -> Result<Report, AdapterError> {
        self.attempt(redrive::batch_of(payload)?, batch).await
    }
}

impl Webhooks {
    /// Makes the attempts that the messages of a batch name.
    async fn attempt(&self, event: Value, batch: Batch<'_>) -> Result<Report, AdapterError> {
        let records = read(event)?;
        let mut keys: Vec<DeliveryKey> =
            records.iter().filter_map(|record| record.content.as_ref().ok()).cloned().collect();
        keys.sort();
        keys.dedup();
        let ended = self.attempts.make(self.ports(), &*self.queue, keys).await;
        let outcomes = Outcomes::new(&*self.log, &*self.deliveries, self.clock, ended);
        Ok(batch.run(&records, &outcomes, (self.clock)()).await)
    }
}
