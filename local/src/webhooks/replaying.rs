//! Runs the jobs that send messages again, on one machine: several at the same time, one for each endpoint.
//!
//! Which endpoints have an active job is read from the views, which follow the log. After a restart a job goes on where it was.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use streamio_core::fold_cache::EndpointCache;
use streamio_core::ports::delivery_store::DeliveryStore as _;
use streamio_core::webhooks::replaying::{Next, Ports, ReplayingError, step};
use streamio_core::webhooks::view::refresh_replays;
use streamio_events::error_chain::chain;
use streamio_events::id::{ProjectId, WebhookId};
use streamio_events::sqlite::SqliteLog;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::project_feed::LogFeed;
use crate::view_store::SqliteViewStore;

/// The most jobs that run at the same time. The others wait for one to end.
const MAX_JOBS: usize = 32;

/// The longest time between two looks at the active jobs.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// The pause after the active jobs could not be read.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The pause after a step that failed, doubled up to the maximum while steps fail.
const MIN_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_mins(1);

/// The endpoint of a job.
type Key = (ProjectId, WebhookId);

/// The adapters of replaying.
#[derive(Clone)]
pub(crate) struct Replaying {
    pub(crate) log: SqliteLog,
    pub(crate) store: SqliteViewStore,
    pub(crate) endpoints: Arc<EndpointCache>,
    pub(crate) feed: LogFeed,
}

impl Replaying {
    /// Runs the active jobs, until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut tasks: JoinSet<()> = JoinSet::new();
        let mut running: BTreeMap<Id, Key> = BTreeMap::new();
        loop {
            let changed = self.store.replays_changed();
            let mut wait = LONGEST_WAIT;
            match self.store.active_replays().await {
                Ok(active) => {
                    let keys: BTreeSet<Key> = running.values().cloned().collect();
                    let free = MAX_JOBS.saturating_sub(keys.len());
                    for key in active.into_iter().filter(|key| !keys.contains(key)).take(free) {
                        let (this, job) = (self.clone(), key.clone());
                        running.insert(tasks.spawn(async move { this.run_job(&job).await }).id(), key);
                    }
                }
                Err(error) => {
                    tracing::error!(
                        error = chain(&error),
                        "the active webhook replays cannot be read; retrying"
                    );
                    wait = RETRY_PAUSE;
                }
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = changed => {}
                () = tokio::time::sleep(wait) => {}
                Some(ended) = tasks.join_next_with_id() => {
                    let id = match ended {
                        Ok((id, ())) => id,
                        Err(error) => {
                            tracing::error!(error = %error, "a webhook replay ended abnormally; it is continued");
                            // A fault that occurs each time must not occupy the processor.
                            tokio::time::sleep(MIN_PAUSE).await;
                            error.id()
                        }
                    };
                    running.remove(&id);
                }
            }
        }
        // Each step can be interrupted anywhere; the next start makes it again.
        tasks.shutdown().await;
    }

    /// Makes steps of the endpoint's job until it has ended.
    async fn run_job(&self, (project_id, webhook_id): &Key) {
        let mut pause = MIN_PAUSE;
        loop {
            match self.step(project_id, webhook_id).await {
                Ok(Next::Step(after)) => {
                    pause = MIN_PAUSE;
                    tokio::time::sleep(after).await;
                }
                Ok(Next::Nothing) => return,
                Err(error) => {
                    tracing::warn!(%project_id, webhook.id = %webhook_id, error = chain(&error), "a webhook replay could not go on; it is tried again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(MAX_PAUSE);
                }
            }
        }
    }

    async fn step(&self, project_id: &ProjectId, webhook_id: &WebhookId) -> Result<Next, ReplayingError> {
        let Self { log, store, endpoints, feed } = self;
        let ports = Ports { log, endpoints, places: feed, feed, deliveries: store, clock: &clock::now };
        let next = step(ports, project_id, webhook_id).await?;
        if next == Next::Nothing
            && let Err(error) = refresh_replays(log, store, project_id, webhook_id).await
        {
            tracing::warn!(%project_id, webhook.id = %webhook_id, error = chain(&error), "the end of a webhook replay is not in the views yet");
        }
        Ok(next)
    }
}
