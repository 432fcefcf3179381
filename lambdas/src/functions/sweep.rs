//! `sweep`: once a minute, handles videos that are due without an event, puts pending keys into the edge's store, queues webhook
//! deliveries that are due, and continues the jobs that send webhooks again.

mod replays;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use streamio_core::fold_cache::{ProjectCache, WebhookFolds};
use streamio_core::ports::AdapterError;
use streamio_core::ports::delivery_queue::DeliveryQueue;
use streamio_core::ports::delivery_store::DeliveryStore;
use streamio_core::ports::encode_slots::EncodeSlots;
use streamio_core::ports::kv_namespace::KvNamespace;
use streamio_core::ports::object_store::ObjectStore;
use streamio_core::ports::pending_replications::PendingReplications;
use streamio_core::ports::project_feed::{FeedCommits, FeedPlaces};
use streamio_core::ports::task_launcher::TaskLauncher;
use streamio_core::ports::tenant_store::TenantStore;
use streamio_core::ports::usage_store::UsageStore;
use streamio_core::ports::view_store::ViewStore;
use streamio_core::reactions::react::Ports;
use streamio_core::reactions::sweep::{Bounds, sweep};
use streamio_core::views::replication::{self, PendingReport};
use streamio_core::webhooks::queueing::{DueBounds, queue_due};
use streamio_core::webhooks::replaying;
use streamio_events::error_chain::chain;
use streamio_events::log::{EventLog, Part};
use streamio_events::timestamp::Timestamp;
use streamio_events::video::Policy;

use crate::adapters::dynamo::DynamoViews;
use crate::adapters::ecs::EcsLauncher;
use crate::adapters::kv::CloudflareKv;
use crate::adapters::s3::S3Objects;
use crate::adapters::sqs::SqsDeliveries;
use crate::runtime::metrics::Counts;
use crate::runtime::{Done, Function, clock};
use crate::settings::{self, from_environment};
use crate::triggers::schedule::{Scheduled, read};

/// The limits of a sweep. The function's timeout must leave time to finish the last video and the last steps of `replays`: two minutes are
/// enough.
const BOUNDS: Bounds = Bounds { videos: 100_000, time: Duration::from_secs(40) };

/// How many entries of the pending replications a sweep handles.
const REPLICATIONS: usize = 1000;

/// How many webhook deliveries a sweep queues. An endpoint with a long backlog gets as many attempts in a minute as an endpoint that fails
/// at once can be asked for in some seconds.
const DELIVERIES: DueBounds = DueBounds { per_endpoint: 32, total: 10_000 };

/// The function.
pub struct Sweep {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// Launches workers.
    pub launcher: Arc<dyn TaskLauncher>,
    /// The object store.
    pub objects: Arc<dyn ObjectStore>,
    /// The views, with the index of due videos.
    pub views: Arc<dyn ViewStore>,
    /// What projects used.
    pub usage: Arc<dyn UsageStore>,
    /// Limits the projects' concurrent encodes.
    pub slots: Arc<dyn EncodeSlots>,
    /// The tenants in the home region.
    pub tenants: Arc<dyn TenantStore>,
    /// The edge's copy of them.
    pub kv: Arc<dyn KvNamespace>,
    /// The projects whose keys the edge may lack.
    pub pending: Arc<dyn PendingReplications>,
    /// The views of webhook deliveries, with the index of what is due.
    pub deliveries: Arc<dyn DeliveryStore>,
    /// The queue of webhook deliveries.
    pub queue: Arc<dyn DeliveryQueue>,
    /// The places of commits in their project's feed.
    pub places: Arc<dyn FeedPlaces>,
    /// The commits of projects.
    pub feed: Arc<dyn FeedCommits>,
    /// The projects' webhook endpoints, and the jobs that send webhooks again.
    pub folds: WebhookFolds,
    /// The projects' settings and keys.
    pub projects: ProjectCache,
    /// Retry and timeout policy of videos.
    pub policy: Policy,
    /// The clock.
    pub clock: fn() -> Timestamp,
}

impl Sweep {
    /// The function with settings and adapters from the environment.
    pub async fn from_environment() -> Result<Self, AdapterError> {
        type Sections = (
            settings::Ledger,
            settings::Views,
            settings::Ecs,
            Policy,
            settings::S3,
            settings::Kv,
            settings::WebhookQueue,
        );
        let (ledger, views, ecs, policy, s3, kv, queue) = from_environment::<Sections>()?;
        let sdk = crate::adapters::sdk_config().await;
        let log = super::ledger(&sdk, &ledger);
        let views = super::views(&sdk, &views, &log);
        Ok(Self {
            launcher: Arc::new(EcsLauncher::new(&sdk, ecs)),
            objects: Arc::new(S3Objects::new(&sdk, s3)),
            tenants: Arc::<DynamoViews>::clone(&views),
            pending: Arc::<DynamoViews>::clone(&views),
            usage: Arc::<DynamoViews>::clone(&views),
            slots: Arc::<DynamoViews>::clone(&views),
            deliveries: Arc::<DynamoViews>::clone(&views),
            places: Arc::<DynamoViews>::clone(&views),
            feed: Arc::<DynamoViews>::clone(&views),
            folds: WebhookFolds::default(),
            queue: Arc::new(SqsDeliveries::new(&sdk, queue.url)),
            kv: Arc::new(CloudflareKv::new(kv)?),
            views,
            log,
            projects: ProjectCache::default(),
            policy,
            clock,
        })
    }

    fn replaying(&self) -> replaying::Ports<'_> {
        replaying::Ports {
            log: &*self.log,
            endpoints: &self.folds.endpoints,
            places: &*self.places,
            replays: &self.folds.replays,
            feed: &*self.feed,
            deliveries: &*self.deliveries,
            clock: &self.clock,
        }
    }
}

#[async_trait]
impl Function for Sweep {
    /// Any number of sweeps may run at the same time. For videos they make the same decisions, each of which is appended once; for keys see
    /// [`replication`]; a webhook delivery that is queued twice is attempted once, or twice with the same id; a step of a job is recorded
    /// once. Sweeps of parts leave out the keys, the deliveries and the jobs, which are not in these parts.
    async fn handle(&self, event: Value) -> Result<Done, AdapterError> {
        let part = match read(event)? {
            Scheduled::Everything(_) => None,
            Scheduled::Part(part) => Some(part),
        };
        let ports = Ports {
            log: &*self.log,
            launcher: &*self.launcher,
            objects: &*self.objects,
            usage: &*self.usage,
            slots: Some(&*self.slots),
            projects: &self.projects,
            policy: &self.policy,
        };
        let directory = replication::Ports {
            log: &*self.log,
            tenants: &*self.tenants,
            kv: &*self.kv,
            pending: &*self.pending,
        };
        // Concurrently: slow services of one take no time from the other.
        let (swept, keys, queued, replays) = tokio::join!(
            sweep(ports, &*self.views, &self.clock, part.unwrap_or(Part::WHOLE), BOUNDS),
            async {
                if part.is_some() {
                    return Ok(PendingReport::default());
                }
                replication::replicate_pending(directory, &self.clock, REPLICATIONS, BOUNDS.time).await
            },
            async {
                if part.is_some() {
                    return Ok(0);
                }
                queue_due(&*self.deliveries, &*self.queue, (self.clock)(), DELIVERIES).await
            },
            async {
                if part.is_some() {
                    return Ok(replays::Report::default());
                }
                // The futures of a step are large.
                Box::pin(replays::make_steps(self.replaying(), &self.folds)).await
            }
        );
        if let Ok(swept) = &swept
            && swept.left > 0
        {
            tracing::warn!(left = swept.left, "more is due than one sweep can do");
        }
        let (swept, keys) = (swept?, keys?);
        // The next sweep queues them. The videos and the metrics of this one do not depend on it.
        let not_queued = usize::from(queued.is_err());
        let queued = queued.unwrap_or_else(|error| {
            tracing::error!(error = chain(&error), "webhook deliveries that are due are not queued");
            0
        });
        let replays = replays.unwrap_or_else(|error| {
            tracing::error!(error = chain(&error), "the active webhook replays cannot be read");
            replays::Report { steps: 0, failed: 1 }
        });
        if !swept.oldest_wait.is_zero() {
            // One line for a sweep, however many videos wait. CloudWatch's alarm on the metric states when an outage begins and ends.
            let oldest_wait_seconds = swept.oldest_wait.as_secs();
            tracing::warn!(oldest_wait_seconds, failed = swept.failed, "work waits for the platform");
        }
        let response = json!({
            "handled": swept.handled,
            "failed": swept.failed,
            "left": swept.left,
            "keys": { "replicated": keys.replicated, "failed": keys.failed, "left": keys.left },
            "webhooks": { "queued": queued, "failed": not_queued },
            "replays": { "steps": replays.steps, "failed": replays.failed },
        });
        let handled = swept.handled + keys.replicated + queued + replays.steps;
        let failed = swept.failed + keys.failed + not_queued + replays.failed;
        let counts = Counts { handled, failed, ..Counts::default() };
        Ok(Done { oldest_wait: Some(swept.oldest_wait), ..Done::new(&response, counts)? })
    }
}
