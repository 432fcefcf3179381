//! `sweep`: once a minute, whatever is due although no event came, and the keys that the edge's store has not taken.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use streamio_events::log::EventLog;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::Policy;

use crate::adapters::dynamo::DynamoViews;
use crate::adapters::ecs::EcsLauncher;
use crate::adapters::kv::CloudflareKv;
use crate::adapters::s3::S3Objects;
use crate::runtime::metrics::Counts;
use crate::runtime::{Done, Function, clock};
use crate::settings::{self, from_environment};
use crate::triggers::schedule::read;
use streamio_core::ports::AdapterError;
use streamio_core::ports::kv_namespace::KvNamespace;
use streamio_core::ports::object_store::ObjectStore;
use streamio_core::ports::pending_replications::PendingReplications;
use streamio_core::ports::task_launcher::TaskLauncher;
use streamio_core::ports::tenant_store::TenantStore;
use streamio_core::ports::view_store::ViewStore;
use streamio_core::reactions::react::Ports;
use streamio_core::reactions::sweep::{Bounds, sweep};
use streamio_core::views::replication;

/// What a sweep may take. The function's own time-out must leave room for what was begun at the end: a minute does.
const BOUNDS: Bounds = Bounds { videos: 1000, time: Duration::from_secs(40) };

/// Of how many projects a sweep brings the keys to the edge.
const PROJECTS: usize = 1000;

/// The function.
pub struct Sweep {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// Launches workers.
    pub launcher: Arc<dyn TaskLauncher>,
    /// The objects.
    pub objects: Arc<dyn ObjectStore>,
    /// The views, which know what is due.
    pub views: Arc<dyn ViewStore>,
    /// The directory of tenants at home.
    pub tenants: Arc<dyn TenantStore>,
    /// Its copy at the edge.
    pub kv: Arc<dyn KvNamespace>,
    /// What that lacks.
    pub pending: Arc<dyn PendingReplications>,
    /// How patient the system is.
    pub policy: Policy,
    /// The time.
    pub clock: fn() -> Timestamp,
}

impl Sweep {
    /// The function that the environment describes.
    pub async fn from_environment() -> Result<Self, AdapterError> {
        type Needed = (settings::Ledger, settings::Views, settings::Ecs, Policy, settings::S3, settings::Kv);
        let (ledger, views, ecs, policy, s3, kv) = from_environment::<Needed>()?;
        let sdk = crate::adapters::sdk_config().await;
        let log = super::ledger(&sdk, &ledger);
        let views = super::views(&sdk, &views, &log);
        Ok(Self {
            launcher: Arc::new(EcsLauncher::new(&sdk, ecs)),
            objects: Arc::new(S3Objects::new(&sdk, s3)),
            tenants: Arc::<DynamoViews>::clone(&views),
            pending: Arc::<DynamoViews>::clone(&views),
            kv: Arc::new(CloudflareKv::new(kv)?),
            views,
            log,
            policy,
            clock,
        })
    }
}

#[async_trait]
impl Function for Sweep {
    /// The function has a concurrency of one, for the sake of [`replication`]. For videos, two sweeps at a time would do no
    /// harm: both decide the same, and it is appended once.
    async fn handle(&self, event: Value) -> Result<Done, AdapterError> {
        read(event)?;
        let ports = Ports {
            log: &*self.log,
            launcher: &*self.launcher,
            objects: &*self.objects,
            policy: &self.policy,
        };
        let directory = replication::Ports {
            log: &*self.log,
            tenants: &*self.tenants,
            kv: &*self.kv,
            pending: &*self.pending,
        };
        // Side by side: services that are slow for one take no time of the other.
        let (swept, keys) = tokio::join!(
            sweep(ports, &*self.views, &self.clock, BOUNDS),
            replication::bring_pending(directory, PROJECTS, BOUNDS.time)
        );
        if let Ok(swept) = &swept
            && swept.left > 0
        {
            tracing::warn!(left = swept.left, "more is due than one sweep can do");
        }
        let (swept, keys) = (swept?, keys?);
        let answer = json!({
            "handled": swept.handled,
            "failed": swept.failed,
            "left": swept.left,
            "keys": { "replicated": keys.replicated, "failed": keys.failed, "left": keys.left },
        });
        let (handled, failed) = (swept.handled + keys.replicated, swept.failed + keys.failed);
        let counts = Counts { handled, failed, ..Counts::default() };
        Done::new(&answer, counts)
    }
}
