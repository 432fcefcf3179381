//! Delivers webhooks on one machine: makes the attempts that are due, many at the same time, and none that waits for another endpoint.
//!
//! What is due is read from the views, which follow the log. Which attempts are in progress is known only in memory: after a restart,
//! what an earlier process had begun is due again.

pub(crate) mod replaying;
mod running;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use streamio_core::fold_cache::EndpointCache;
use streamio_core::ports::delivery_store::{DeliveryKey, DeliveryStore as _, DeliveryStoreError};
use streamio_core::ports::webhook_sender::WebhookSender;
use streamio_core::webhooks::attempts::{Attempts, End, MAX_ATTEMPTS, MAX_ATTEMPTS_PER_ENDPOINT, ReadLimits};
use streamio_core::webhooks::delivering::{DeliveringError, Ports, deliver};
use streamio_core::webhooks::failures::{self, Failure};
use streamio_core::webhooks::keys::WebhookKeys;
use streamio_events::error_chain::chain;
use streamio_events::sqlite::SqliteLog;
use streamio_events::video::Policy;
use streamio_events::webhook::endpoint_url::Rules;
use streamio_events::webhook::{Delivery, Endpoints};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::running::Running;
use crate::clock;
use crate::view_store::SqliteViewStore;

/// How many due deliveries are read at a time: of each endpoint those in progress, and as many that follow them.
const DUE: ReadLimits = ReadLimits { per_endpoint: 2 * MAX_ATTEMPTS_PER_ENDPOINT, total: 32 * MAX_ATTEMPTS };

/// The pause after the views could not be read.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest time between two looks at what is due: the clock may have been set.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// How long attempts that are in progress may take to end when the platform stops. The others are made again after the next start.
const STOP_TIME: Duration = Duration::from_secs(5);

/// The adapters of delivery.
pub(crate) struct Webhooks {
    pub(crate) log: SqliteLog,
    pub(crate) store: SqliteViewStore,
    pub(crate) endpoints: Arc<EndpointCache>,
    pub(crate) sender: Arc<dyn WebhookSender>,
    pub(crate) keys: WebhookKeys,
    pub(crate) urls: Rules,
    pub(crate) policy: Policy,
}

/// An attempt that has ended.
struct Ended {
    key: DeliveryKey,
    end: End,
    /// The project's endpoints afterwards, whose rate limits may have changed; `None` if they cannot be read.
    endpoints: Option<Arc<Endpoints>>,
}

impl Webhooks {
    /// Makes the attempts that are due, until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let this = Arc::new(self);
        let mut attempts = Attempts::default();
        let mut running = Running::default();
        let mut must_read = true;
        let started = Instant::now();
        let now = || started.elapsed();
        let mut next_read = now();
        while !stop.is_cancelled() {
            let changed = this.store.due_changed();
            if must_read || now() >= next_read || attempts.needs_more(now()) {
                let wait = this.read_due(&mut attempts, now()).await;
                next_read = now() + wait;
            }
            for key in attempts.start(now()) {
                let this = Arc::clone(&this);
                running.start(key.clone(), async move { Box::pin(this.attempt(key)).await });
            }
            let wake = attempts.next_start(now()).map_or(next_read, |at| at.min(next_read));
            must_read = tokio::select! {
                () = stop.cancelled() => break,
                () = changed => true,
                () = tokio::time::sleep_until(started + wake) => false,
                Some(ended) = running.next() => {
                    let others = std::iter::from_fn(|| running.try_next());
                    let ended: Vec<_> = std::iter::once(ended).chain(others).collect();
                    this.end_all(&mut attempts, ended, now()).await
                }
            };
        }
        let ended = async { while running.next().await.is_some() {} };
        if tokio::time::timeout(STOP_TIME, ended).await.is_err() {
            tracing::info!("webhook attempts that are in progress are made again after the next start");
        }
    }

    /// Reads what is due. Returns when to read again at the latest.
    async fn read_due(&self, attempts: &mut Attempts, monotonic: Duration) -> Duration {
        match self.try_read_due(attempts, monotonic).await {
            Ok(wait) => wait,
            Err(error) => {
                tracing::error!(error = chain(&error), "the webhooks that are due cannot be read; retrying");
                PAUSE
            }
        }
    }

    async fn try_read_due(
        &self,
        attempts: &mut Attempts,
        monotonic: Duration,
    ) -> Result<Duration, DeliveryStoreError> {
        let now = clock::now();
        let due = self.store.due_deliveries(now, DUE.per_endpoint, DUE.total).await?;
        for project_id in attempts.set_due(due, DUE, monotonic) {
            match self.endpoints.current(&self.log, &project_id).await {
                Ok(endpoints) => attempts.set_rate_limits(&endpoints),
                // The attempt itself reads them again, and reports the error.
                Err(error) => {
                    tracing::debug!(%project_id, error = chain(&error), "rate limits are not known");
                }
            }
        }
        let next = self.store.next_due(now).await?;
        Ok(next.map_or(LONGEST_WAIT, |at| at.since(now)).min(LONGEST_WAIT))
    }

    async fn attempt(&self, key: DeliveryKey) -> Ended {
        let began = clock::now();
        let delivery = async {
            match self.deliver(&key).await {
                Ok(delivery) => End::of(&delivery, began),
                Err(error) => self.end_of_failure(&key, &error).await,
            }
        };
        let end = end_of(&key, Box::pin(delivery)).await;
        let endpoints = self.endpoints.current(&self.log, &key.project_id).await.ok();
        Ended { key, end, endpoints }
    }

    /// How an attempt ended that failed with `error`. What cannot be understood does not come again for ever.
    async fn end_of_failure(&self, key: &DeliveryKey, error: &DeliveringError) -> End {
        let failure = Failure::of(error);
        if failure == Failure::Retryable {
            tracing::warn!(webhook.id = %key.webhook_id, message.id = %key.message_id, error = chain(error), "a webhook delivery could not be continued; it is tried again");
            return End::Unknown;
        }
        match failures::report(&self.log, &self.store, clock::now(), key, error).await {
            Ok(()) if failure == Failure::EndpointsUnreadable => End::Blocked,
            Ok(()) => End::NotAttempted,
            Err(error) => {
                tracing::error!(webhook.id = %key.webhook_id, message.id = %key.message_id, error = chain(&error), "a delivery that cannot be continued is still due");
                End::Unknown
            }
        }
    }

    /// Adds the ends of attempts. Returns whether what is due must be read again: a message may have been scheduled again after its
    /// attempt was recorded and before it ended here.
    async fn end_all(&self, attempts: &mut Attempts, ended: Vec<Ended>, monotonic: Duration) -> bool {
        let mut must_read = false;
        for Ended { key, end, endpoints } in ended {
            if let Some(endpoints) = endpoints {
                attempts.set_rate_limits(&endpoints);
            }
            if attempts.end(&key, end, monotonic) {
                must_read = must_read || self.is_due(&key).await;
            }
        }
        must_read
    }

    /// Whether an attempt of the delivery is due, or may be because its view cannot be read.
    async fn is_due(&self, key: &DeliveryKey) -> bool {
        match self.store.delivery(key).await {
            Ok(delivery) => {
                let due_at = delivery.and_then(|delivery| delivery.due_at);
                due_at.is_some_and(|at| at <= clock::now())
            }
            Err(_) => true,
        }
    }

    async fn deliver(&self, key: &DeliveryKey) -> Result<Delivery, DeliveringError> {
        let Self { log, store, endpoints, sender, keys, urls, policy } = self;
        let ports = Ports {
            log,
            endpoints,
            views: store,
            deliveries: store,
            sender: &**sender,
            keys,
            urls,
            policy,
            clock: &clock::now,
        };
        deliver(ports, key).await
    }
}

/// How `attempt` ended. One that panicked is made again like one that the platform could not continue.
async fn end_of(key: &DeliveryKey, attempt: impl Future<Output = End>) -> End {
    AssertUnwindSafe(attempt).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!(webhook.id = %key.webhook_id, message.id = %key.message_id, "a webhook attempt panicked; it is tried again");
        End::Unknown
    })
}

#[cfg(test)]
mod tests;
