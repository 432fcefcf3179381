//! `tasks`: records ends of workers from ECS task state changes, delivered by EventBridge.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use streamio_core::delivery::batch::{Batch, Report};
use streamio_core::delivery::redrive::Redeliver;
use streamio_core::ports::AdapterError;
use streamio_core::ports::dead_letters::{DeadLetter, DeadLetterStore};
use streamio_core::reactions::tasks::{WorkerDeployment, record_change};
use streamio_events::error_chain::chain;
use streamio_events::log::EventLog;
use streamio_events::retryable::Retryable as _;
use streamio_events::timestamp::Timestamp;

use super::redrive;
use crate::runtime::metrics::Counts;
use crate::runtime::{Done, Function, clock};
use crate::settings::{self, from_environment};
use crate::triggers::ecs_task::read;

/// The name of the function.
const FUNCTION: &str = "tasks";

/// The function.
pub struct Tasks {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// Stores events that cannot be handled.
    pub dead_letters: Arc<dyn DeadLetterStore>,
    /// The cluster of the workers.
    pub cluster: String,
    /// The worker's container.
    pub container: String,
    /// The clock.
    pub clock: fn() -> Timestamp,
}

impl Tasks {
    /// The function with settings and adapters from the environment.
    pub async fn from_environment() -> Result<Self, AdapterError> {
        let (ledger, views, workers) =
            from_environment::<(settings::Ledger, settings::Views, settings::EcsWorkers)>()?;
        let sdk = crate::adapters::sdk_config().await;
        let log = super::ledger(&sdk, &ledger);
        Ok(Self {
            dead_letters: super::views(&sdk, &views, &log),
            log,
            cluster: workers.cluster,
            container: workers.container,
            clock,
        })
    }
}

impl Tasks {
    fn deployment(&self) -> WorkerDeployment<'_> {
        WorkerDeployment { cluster: &self.cluster, container: &self.container }
    }
}

#[async_trait]
impl Redeliver for Tasks {
    async fn redeliver(&self, payload: &str, _: Batch<'_>) -> Result<Report, AdapterError> {
        let change = read(serde_json::from_str(payload)?)?.content?;
        record_change(&*self.log, (self.clock)(), self.deployment(), &change).await?;
        Ok(Report { handled: 1, ..Report::default() })
    }
}

#[async_trait]
impl Function for Tasks {
    async fn handle(&self, event: Value) -> Result<Done, AdapterError> {
        if let Some(id) = redrive::requested(&event) {
            return redrive::answer(&*self.dead_letters, FUNCTION, id, self).await;
        }
        let record = read(event)?;
        let now = (self.clock)();
        let error: AdapterError = match record.content {
            Err(unreadable) => unreadable,
            Ok(change) => match record_change(&*self.log, now, self.deployment(), &change).await {
                Ok(_) => return Done::new(&Value::Null, Counts { handled: 1, ..Counts::default() }),
                // Lambda retries the event. If it gives up, the sweep finds the worker by its missing heartbeat.
                Err(error) if error.is_retryable() => return Err(error.into()),
                Err(error) => error.into(),
            },
        };
        let reason = chain(&*error);
        tracing::error!(record.id = record.id, error = reason, "a task state change becomes a dead letter");
        let dead_letter =
            DeadLetter { function: FUNCTION, id: record.id, at: now, reason, payload: record.payload };
        self.dead_letters.store(dead_letter).await?;
        Done::new(&Value::Null, Counts { dead_lettered: 1, ..Counts::default() })
    }
}
