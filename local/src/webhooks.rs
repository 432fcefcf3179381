//! Delivers webhooks on one machine: makes the attempts that are due, many at the same time, and none that waits for another endpoint.
//!
//! What is due is read from the views, which follow the log. Which attempts are in progress is known only in memory: after a restart,
//! what an earlier process had begun is due again.

pub(crate) mod replaying;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use streamio_core::fold_cache::EndpointCache;
use streamio_core::ports::delivery_store::{DeliveryKey, DeliveryStore as _, DeliveryStoreError};
use streamio_core::ports::webhook_sender::WebhookSender;
use streamio_core::webhooks::attempts::{Attempts, End, MAX_ATTEMPTS, MAX_ATTEMPTS_PER_ENDPOINT};
use streamio_core::webhooks::delivering::{DeliveringError, Ports, deliver};
use streamio_core::webhooks::keys::WebhookKeys;
use streamio_events::error_chain::chain;
use streamio_events::sqlite::SqliteLog;
use streamio_events::video::Policy;
use streamio_events::webhook::Delivery;
use streamio_events::webhook::endpoint_url::Rules;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::view_store::SqliteViewStore;

/// How many due deliveries of an endpoint are read at a time: those in progress, and as many that follow them.
const DUE_PER_ENDPOINT: usize = 2 * MAX_ATTEMPTS_PER_ENDPOINT;

/// How many due deliveries are read at a time. Each endpoint has one before any has two.
const DUE: usize = 32 * MAX_ATTEMPTS;

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

type Ended = (DeliveryKey, End);

impl Webhooks {
    /// Makes the attempts that are due, until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let this = Arc::new(self);
        let mut attempts = Attempts::default();
        let mut running: JoinSet<Ended> = JoinSet::new();
        let mut must_read = true;
        let started = Instant::now();
        let now = || started.elapsed();
        let mut next_read = now();
        while !stop.is_cancelled() {
            let changed = this.store.due_changed();
            if must_read || now() >= next_read || attempts.needs_more() {
                let wait = this.read_due(&mut attempts, now()).await;
                next_read = now() + wait;
            }
            for key in attempts.start(now()) {
                let this = Arc::clone(&this);
                running.spawn(async move {
                    let end = end_of(&key, this.deliver(&key)).await;
                    (key, end)
                });
            }
            let wake = attempts.next_start(now()).map_or(next_read, |at| at.min(next_read));
            must_read = tokio::select! {
                () = stop.cancelled() => break,
                () = changed => true,
                () = tokio::time::sleep_until(started + wake) => false,
                Some(ended) = running.join_next() => {
                    let ended = std::iter::once(ended).chain(std::iter::from_fn(|| running.try_join_next()));
                    end_all(&mut attempts, ended, now());
                    false
                }
            };
        }
        let ended = async { while running.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_TIME, ended).await.is_err() {
            tracing::info!("webhook attempts that are in progress are made again after the next start");
        }
    }

    /// Reads what is due. Returns when to read again at the latest.
    async fn read_due(&self, attempts: &mut Attempts, now: Duration) -> Duration {
        match self.try_read_due(attempts, now).await {
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
        let due = self.store.due_deliveries(now, DUE_PER_ENDPOINT, DUE).await?;
        for project_id in attempts.set_due(due, DUE_PER_ENDPOINT, monotonic) {
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

/// How the attempt `delivery` ended. One that panicked is made again like one that the platform could not continue.
async fn end_of(key: &DeliveryKey, delivery: impl Future<Output = Result<Delivery, DeliveringError>>) -> End {
    match AssertUnwindSafe(delivery).catch_unwind().await {
        Ok(Ok(delivery)) => End::of(&delivery),
        Ok(Err(error)) => {
            tracing::warn!(webhook.id = %key.webhook_id, message.id = %key.message_id, error = chain(&error), "a webhook delivery could not be continued; it is tried again");
            End::Unknown
        }
        Err(_) => {
            tracing::error!(webhook.id = %key.webhook_id, message.id = %key.message_id, "a webhook attempt panicked; it is tried again");
            End::Unknown
        }
    }
}

/// Ends the attempts of the tasks that have ended.
fn end_all(
    attempts: &mut Attempts,
    ended: impl Iterator<Item = Result<Ended, tokio::task::JoinError>>,
    now: Duration,
) {
    for ended in ended {
        match ended {
            Ok((key, end)) => attempts.end(&key, end, now),
            Err(error) => tracing::error!(error = %error, "a webhook attempt ended abnormally"),
        }
    }
}

#[cfg(test)]
mod tests {
    use streamio_events::id::{MessageId, WebhookId};

    use super::*;

    #[tokio::test]
    async fn an_attempt_that_panics_is_made_again() {
        let key = DeliveryKey {
            project_id: "project".parse().unwrap(),
            webhook_id: WebhookId::derived_from(&[b"endpoint"]),
            message_id: MessageId::derived_from(&["message"]),
        };
        assert_eq!(end_of(&key, async { panic!("a fault of the code") }).await, End::Unknown);
    }
}
