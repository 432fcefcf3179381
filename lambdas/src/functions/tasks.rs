//! `tasks`: records ends of workers from ECS task state changes, delivered by EventBridge.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use streamio_core::ports::AdapterError;
use streamio_core::ports::dead_letters::{DeadLetter, DeadLetters};
use streamio_core::reactions::tasks::{WorkerDeployment, record_change};
use streamio_events::error_chain::chain;
use streamio_events::log::EventLog;
use streamio_events::retryable::Retryable as _;
use streamio_events::timestamp::Timestamp;

use crate::runtime::metrics::Counts;
use crate::runtime::{Done, Function, clock};
use crate::settings::{self, from_environment};
use crate::triggers::ecs_task::read;

/// The function.
pub struct Tasks {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// Stores events that cannot be handled.
    pub dead_letters: Arc<dyn DeadLetters>,
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

#[async_trait]
impl Function for Tasks {
    async fn handle(&self, event: Value) -> Result<Done, AdapterError> {
        let record = read(event)?;
        let deployment = WorkerDeployment { cluster: &self.cluster, container: &self.container };
        let now = (self.clock)();
        let error: AdapterError = match record.content {
            Err(unreadable) => unreadable,
            Ok(change) => match record_change(&*self.log, now, deployment, &change).await {
                Ok(_) => return Done::new(&Value::Null, Counts { handled: 1, ..Counts::default() }),
                // Lambda retries the event. If it gives up, the sweep finds the worker by its missing heartbeat.
                Err(error) if error.is_retryable() => return Err(error.into()),
                Err(error) => error.into(),
            },
        };
        let reason = chain(&*error);
        tracing::error!(record.id = record.id, error = reason, "a task state change becomes a dead letter");
        let dead_letter =
            DeadLetter { function: "tasks", id: record.id, at: now, reason, payload: record.payload };
        self.dead_letters.store(dead_letter).await?;
        Done::new(&Value::Null, Counts { dead_lettered: 1, ..Counts::default() })
    }
}
