//! `react`: performs the next step of each video in the commits of the ledger's stream, and schedules and queues messages to webhook
//! endpoints.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use streamio_core::delivery::batch::{Batch, Report, RetryPolicy};
use streamio_core::delivery::redrive::Redeliver;
use streamio_core::fold_cache::{EndpointCache, ProjectCache};
use streamio_core::ports::AdapterError;
use streamio_core::ports::dead_letters::DeadLetterStore;
use streamio_core::ports::delivery_queue::DeliveryQueue;
use streamio_core::ports::encode_slots::EncodeSlots;
use streamio_core::ports::object_store::ObjectStore;
use streamio_core::ports::project_feed::FeedPlaces;
use streamio_core::ports::task_launcher::TaskLauncher;
use streamio_core::ports::usage_store::UsageStore;
use streamio_core::reactions::batch::react_batch;
use streamio_core::reactions::react::Ports;
use streamio_core::webhooks::scheduling;
use streamio_events::log::EventLog;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::Policy;

use super::redrive;
use crate::adapters::dynamo::DynamoViews;
use crate::adapters::ecs::EcsLauncher;
use crate::adapters::s3::S3Objects;
use crate::adapters::sqs::SqsDeliveries;
use crate::runtime::{Done, Function, clock};
use crate::settings::{self, from_environment};
use crate::triggers::ledger_stream::read;

/// The name of the function.
const FUNCTION: &str = "react";

/// The function.
pub struct React {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// Launches workers.
    pub launcher: Arc<dyn TaskLauncher>,
    /// The object store.
    pub objects: Arc<dyn ObjectStore>,
    /// What projects used.
    pub usage: Arc<dyn UsageStore>,
    /// Limits the projects' concurrent encodes.
    pub slots: Arc<dyn EncodeSlots>,
    /// Stores records that cannot be handled.
    pub dead_letters: Arc<dyn DeadLetterStore>,
    /// The projects' settings and keys.
    pub projects: ProjectCache,
    /// The projects' webhook endpoints.
    pub endpoints: EndpointCache,
    /// The places of commits in their project's feed.
    pub places: Arc<dyn FeedPlaces>,
    /// The queue of webhook deliveries.
    pub queue: Arc<dyn DeliveryQueue>,
    /// Retry and timeout policy of videos.
    pub policy: Policy,
    /// How long a record with a retryable error is tried.
    pub retry_policy: RetryPolicy,
    /// The clock.
    pub clock: fn() -> Timestamp,
}

impl React {
    /// The function with settings and adapters from the environment.
    pub async fn from_environment() -> Result<Self, AdapterError> {
        type Sections = (
            settings::Ledger,
            settings::Views,
            settings::Ecs,
            Policy,
            settings::S3,
            settings::WebhookQueue,
            settings::GiveUp,
        );
        let (ledger, views, ecs, policy, s3, queue, give_up) = from_environment::<Sections>()?;
        let sdk = crate::adapters::sdk_config().await;
        let log = super::ledger(&sdk, &ledger);
        let views = super::views(&sdk, &views, &log);
        Ok(Self {
            launcher: Arc::new(EcsLauncher::new(&sdk, ecs)),
            objects: Arc::new(S3Objects::new(&sdk, s3)),
            usage: Arc::<DynamoViews>::clone(&views),
            slots: Arc::<DynamoViews>::clone(&views),
            places: Arc::<DynamoViews>::clone(&views),
            dead_letters: views,
            log,
            queue: Arc::new(SqsDeliveries::new(&sdk, queue.url)),
            projects: ProjectCache::default(),
            endpoints: EndpointCache::default(),
            policy,
            retry_policy: RetryPolicy::since_first_failure(give_up.reactions).until_age(super::RECORD_AGE),
            clock,
        })
    }

    async fn react(&self, event: Value, batch: Batch<'_>) -> Result<Report, AdapterError> {
        let messages =
            scheduling::Ports { log: &*self.log, endpoints: &self.endpoints, places: &*self.places };
        let records = read(event)?;
        Ok(react_batch(batch, self.ports(), Some(messages), Some(&*self.queue), &records, &self.clock).await)
    }

    fn ports(&self) -> Ports<'_> {
        Ports {
            log: &*self.log,
            launcher: &*self.launcher,
            objects: &*self.objects,
            usage: &*self.usage,
            slots: Some(&*self.slots),
            projects: &self.projects,
            policy: &self.policy,
        }
    }
}

#[async_trait]
impl Function for React {
    async fn handle(&self, event: Value) -> Result<Done, AdapterError> {
        if let Some(id) = redrive::requested(&event) {
            return redrive::answer(&*self.dead_letters, FUNCTION, id, self).await;
        }
        let batch =
            Batch { function: FUNCTION, dead_letters: &*self.dead_letters, retry_policy: &self.retry_policy };
        Done::of_batch(&self.react(event, batch).await?)
    }
}

#[async_trait]
impl Redeliver for React {
    async fn redeliver(&self, payload: &str, batch: Batch<'_>) -> Result<Report, AdapterError> {
        self.react(redrive::batch_of(payload)?, batch).await
    }
}
