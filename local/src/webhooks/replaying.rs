//! Runs the jobs that send messages again, on one machine: steps of several at the same time, one of each endpoint. A job that waits
//! occupies nothing.
//!
//! Which endpoints have an active job is read from the views, which follow the log. After a restart a job goes on where it was.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use streamio_core::fold_cache::{EndpointCache, WebhookFolds};
use streamio_core::ports::delivery_store::DeliveryStore as _;
use streamio_core::webhooks::replaying::turns::{End, Key, Turns};
use streamio_core::webhooks::replaying::{Next, Ports, ReplayingError, step};
use streamio_core::webhooks::view::refresh_replays;
use streamio_events::error_chain::chain;
use streamio_events::id::{ProjectId, WebhookId};
use streamio_events::sqlite::SqliteLog;
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::project_feed::LogFeed;
use crate::view_store::SqliteViewStore;

/// The longest time between two looks at the active jobs.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// The most steps that are made at the same time.
const MAX_STEPS: usize = 32;

/// The pause after the active jobs could not be read.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The adapters of replaying.
#[derive(Clone)]
pub(crate) struct Replaying {
    pub(crate) log: SqliteLog,
    pub(crate) store: SqliteViewStore,
    pub(crate) endpoints: Arc<EndpointCache>,
    pub(crate) folds: Arc<WebhookFolds>,
    pub(crate) feed: LogFeed,
}

impl Replaying {
    /// Runs the active jobs, until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut tasks: JoinSet<End> = JoinSet::new();
        let mut running: BTreeMap<Id, Key> = BTreeMap::new();
        let mut turns = Turns::new(MAX_STEPS, 0);
        let started = Instant::now();
        let now = || started.elapsed();
        let mut next_read = now();
        while !stop.is_cancelled() {
            let changed = self.store.replays_changed();
            if now() >= next_read {
                next_read = now() + self.read_active(&mut turns, now()).await;
            }
            for key in turns.start(now()) {
                let (this, job) = (self.clone(), key.clone());
                running.insert(tasks.spawn(async move { this.step(&job).await }).id(), key);
            }
            let wake = turns.next_start(now()).map_or(next_read, |at| at.min(next_read));
            tokio::select! {
                () = stop.cancelled() => break,
                () = changed => next_read = now(),
                () = tokio::time::sleep_until(started + wake) => {}
                Some(ended) = tasks.join_next_with_id() => {
                    let (id, end) = ended.unwrap_or_else(|error| {
                        tracing::error!(error = %error, "a webhook replay ended abnormally; it is continued");
                        (error.id(), End::Failed)
                    });
                    if let Some(key) = running.remove(&id) {
                        turns.end(&key, end, now());
                    }
                    if end == End::Nothing {
                        next_read = now();
                    }
                }
            }
        }
        // Each step can be interrupted anywhere; the next start makes it again.
        tasks.shutdown().await;
    }

    /// Reads which jobs are active. Returns when to read again at the latest.
    async fn read_active(&self, turns: &mut Turns, now: Duration) -> Duration {
        match self.store.active_replays().await {
            Ok(active) => {
                turns.set_active(active, now);
                LONGEST_WAIT
            }
            Err(error) => {
                tracing::error!(error = chain(&error), "the active webhook replays cannot be read; retrying");
                RETRY_PAUSE
            }
        }
    }

    /// Makes a step of the endpoint's job.
    async fn step(&self, (project_id, webhook_id): &Key) -> End {
        match self.try_step(project_id, webhook_id).await {
            Ok(Next::Step(after)) => End::Next(after),
            Ok(Next::Nothing) => End::Nothing,
            Err(error) => {
                tracing::warn!(%project_id, webhook.id = %webhook_id, error = chain(&error), "a webhook replay could not go on; it is tried again");
                End::Failed
            }
        }
    }

    async fn try_step(&self, project_id: &ProjectId, webhook_id: &WebhookId) -> Result<Next, ReplayingError> {
        let Self { log, store, endpoints, folds, feed } = self;
        let (replays, clock) = (&folds.replays, &clock::now);
        let ports = Ports { log, endpoints, replays, places: feed, feed, deliveries: store, clock };
        let next = step(ports, project_id, webhook_id).await?;
        if next == Next::Nothing
            && let Err(error) = refresh_replays(log, folds, store, project_id, webhook_id).await
        {
            tracing::warn!(%project_id, webhook.id = %webhook_id, error = chain(&error), "the end of a webhook replay is not in the views yet");
        }
        Ok(next)
    }
}
