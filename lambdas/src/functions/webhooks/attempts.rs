//! Makes the attempts of a batch: of each endpoint only as many at the same time as it may have, and none that begins late.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt as _};
use streamio_core::ports::delivery_queue::{DeliveryQueue, QueuedDelivery};
use streamio_core::ports::delivery_store::DeliveryKey;
use streamio_core::webhooks::attempts::{Attempts, End, ReadLimits};
use streamio_core::webhooks::delivering::{DeliveringError, Ports, deliver};
use streamio_events::error_chain::chain;
use streamio_events::id::{ProjectId, WebhookId};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// How long after the begin of a batch attempts begin. With the fifteen seconds of an attempt and the writes after it, a batch ends within a
/// minute: the function's timeout.
const BEGIN_WITHIN: Duration = Duration::from_secs(20);

/// A batch is read as a whole.
const ALL: ReadLimits = ReadLimits { per_endpoint: usize::MAX, total: usize::MAX };

/// How long a delivery waits at least that is queued again, so that one for which there was no time does not come back at once.
const SHORTEST_DELAY: Duration = Duration::from_secs(1);

/// The attempts of an instance of the function. What it knows of endpoints is kept from one batch to the next.
#[derive(Debug)]
pub struct InstanceAttempts {
    attempts: Mutex<Attempts>,
    started: Instant,
    begin_within: Duration,
}

impl Default for InstanceAttempts {
    fn default() -> Self {
        Self::new(BEGIN_WITHIN)
    }
}

impl InstanceAttempts {
    /// No attempts yet. Those of a batch begin within `begin_within`.
    pub fn new(begin_within: Duration) -> Self {
        Self { attempts: Mutex::default(), started: Instant::now(), begin_within }
    }

    /// Makes the attempts of `keys` that are due, no key twice. Returns the deliveries that the platform could not continue.
    pub(super) async fn make(
        &self,
        ports: Ports<'_>,
        queue: &dyn DeliveryQueue,
        keys: Vec<DeliveryKey>,
    ) -> HashMap<DeliveryKey, DeliveringError> {
        // An instance handles one batch at a time.
        let mut attempts = self.attempts.lock().await;
        let now = || self.started.elapsed();
        let begin_until = now() + self.begin_within;
        prepare(&mut attempts, ports, keys, now()).await;
        let (mut running, mut failed) = (FuturesUnordered::new(), HashMap::new());
        loop {
            if now() < begin_until {
                for key in attempts.start(now()) {
                    let began = ports.clock.now();
                    running.push(async move { (deliver(ports, &key).await, began, key) });
                }
            }
            let next = attempts.next_start(now()).filter(|at| *at < begin_until);
            let wake = async {
                match next {
                    Some(at) => sleep_until(self.started + at).await,
                    None => std::future::pending().await,
                }
            };
            if running.is_empty() && next.is_none() {
                break;
            }
            tokio::select! {
                Some((ended, began, key)) = running.next() => {
                    let end = ended.as_ref().map_or(End::Unknown, |delivery| End::of(delivery, began));
                    // What became due again meanwhile is in the queue.
                    let _ = attempts.end(&key, end, now());
                    if let Err(error) = ended {
                        failed.insert(key, error);
                    }
                }
                () = wake => {}
            }
        }
        queue_left(&mut attempts, queue, now()).await;
        failed
    }
}

/// Takes over what is due, what other instances know of the endpoints, and the limits of rates.
async fn prepare(attempts: &mut Attempts, ports: Ports<'_>, keys: Vec<DeliveryKey>, now: Duration) {
    let endpoints: HashSet<(ProjectId, WebhookId)> =
        keys.iter().map(|key| (key.project_id.clone(), key.webhook_id.clone())).collect();
    for (project_id, webhook_id) in endpoints {
        if attempts.is_unknown(&webhook_id) {
            match ports.deliveries.health(&project_id, &webhook_id).await {
                Ok(health) => attempts.learn(&webhook_id, &health),
                Err(error) => {
                    tracing::debug!(webhook.id = %webhook_id, error = chain(&error), "the health of an endpoint is not known");
                }
            }
        }
    }
    for project_id in attempts.set_due(keys, ALL, now) {
        match ports.endpoints.current(ports.log, &project_id).await {
            Ok(endpoints) => attempts.set_rate_limits(&endpoints),
            // The attempt itself reads them again, and reports the error.
            Err(error) => tracing::debug!(%project_id, error = chain(&error), "rate limits are not known"),
        }
    }
}

/// Queues the deliveries again that only wait for a time. Those to a broken endpoint are found by the sweep, a few at a time.
async fn queue_left(attempts: &mut Attempts, queue: &dyn DeliveryQueue, now: Duration) {
    let left = attempts.take_left(now).into_iter();
    let left: Vec<QueuedDelivery> = left
        .filter_map(|left| Some((left.at?, left.key)))
        .map(|(at, key)| QueuedDelivery { key, delay: at.saturating_sub(now).max(SHORTEST_DELAY) })
        .collect();
    if left.is_empty() {
        return;
    }
    if let Err(error) = queue.send(&left).await {
        tracing::warn!(
            count = left.len(),
            error = chain(&error),
            "webhook deliveries are not queued again; the sweep queues them"
        );
    }
}
