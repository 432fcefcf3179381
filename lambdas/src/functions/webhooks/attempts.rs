//! Makes the attempts of a batch: of each endpoint only as many at the same time as it may have, and none that begins late.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt as _};
use streamio_core::ports::delivery_queue::{DeliveryQueue, LONGEST_DELAY, QueuedDelivery};
use streamio_core::ports::delivery_store::DeliveryKey;
use streamio_core::webhooks::attempts::{Attempts, End, ReadLimits};
use streamio_core::webhooks::delivering::{DeliveringError, Ports, deliver};
use streamio_core::webhooks::queueing::{OVERDUE_AFTER, queue_following};
use streamio_events::error_chain::chain;
use streamio_events::id::{ProjectId, WebhookId};
use streamio_events::timestamp::Timestamp;
use streamio_events::webhook::Delivery;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// How long after the begin of a batch attempts begin. With the fifteen seconds of an attempt and the writes after it, a batch ends within a
/// minute: the function's timeout.
const BEGIN_WITHIN: Duration = Duration::from_secs(20);

/// How long after the begin of a batch it may only wait for the time of an attempt, with no attempt in progress. What then still waits is
/// queued again, so that endpoints with limited rates do not occupy instances that others need.
const WAIT_WITHIN: Duration = Duration::from_secs(2);

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

    /// Makes the attempts of `keys` that are due, no key twice. Returns the deliveries that the platform could not continue: they are
    /// neither tried nor queued again, because the queue delivers their messages again.
    pub(super) async fn make(
        &self,
        ports: Ports<'_>,
        queue: &dyn DeliveryQueue,
        keys: Vec<DeliveryKey>,
    ) -> HashMap<DeliveryKey, DeliveringError> {
        // An instance handles one batch at a time.
        let mut attempts = self.attempts.lock().await;
        let now = || self.started.elapsed();
        let (begin_until, wait_until) =
            (now() + self.begin_within, now() + self.begin_within.min(WAIT_WITHIN));
        prepare(&mut attempts, ports, keys, now()).await;
        let (mut running, mut failed, mut early) = (FuturesUnordered::new(), HashMap::new(), Vec::new());
        let mut late: HashMap<(ProjectId, WebhookId), usize> = HashMap::new();
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
            if running.is_empty() && next.is_none_or(|at| at >= wait_until) {
                break;
            }
            tokio::select! {
                Some((ended, began, key)) = running.next() => {
                    let end = ended.as_ref().map_or(End::NotAttempted, |delivery| End::of(delivery, began));
                    // What became due again meanwhile is in the queue.
                    let _ = attempts.end(&key, end, now());
                    match ended {
                        Ok(delivery) if has_ended_late(&delivery, began) => {
                            *late.entry((key.project_id, key.webhook_id)).or_default() += 1;
                        }
                        Ok(delivery) if end == End::NotAttempted => early.extend(delivery.due_at.map(|at| (key, at))),
                        Ok(_) => {}
                        Err(error) => {
                            failed.insert(key, error);
                        }
                    }
                }
                () = wake => {}
            }
        }
        let early = early.into_iter().map(|(key, at)| (key, at.since(ports.clock.now())));
        for ((project_id, webhook_id), count) in &late {
            let endpoint = (project_id, webhook_id);
            let queued = queue_following(ports.deliveries, queue, ports.clock.now(), endpoint, *count).await;
            if let Err(error) = queued {
                tracing::warn!(webhook.id = %webhook_id, error = chain(&error), "the backlog of an endpoint is left to the sweep");
            }
        }
        queue_left(queue, early.chain(waiting(&mut attempts, now())).collect()).await;
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

/// Whether the delivery, which a call that began at `began` has continued, has ended after it was overdue: then more may be overdue to its
/// endpoint. One to an endpoint to which nothing is sent any more counts as overdue.
fn has_ended_late(delivery: &Delivery, began: Timestamp) -> bool {
    let mut attempts = delivery.attempts.iter().rev();
    let Some(last) = attempts.next().filter(|last| last.at >= began && delivery.due_at.is_none()) else {
        return false;
    };
    let due_at = attempts.next().and_then(|before| before.retry_at).unwrap_or(delivery.last_round.at);
    last.number.is_none() || last.at.since(due_at) >= OVERDUE_AFTER
}

/// The deliveries that did not begin and only wait for a time, each with how long it waits. Those to a broken endpoint are found by the
/// sweep, a few at a time.
fn waiting(attempts: &mut Attempts, now: Duration) -> impl Iterator<Item = (DeliveryKey, Duration)> + use<> {
    let left = attempts.take_left(now).into_iter();
    left.filter_map(move |left| Some((left.key, left.at?.saturating_sub(now))))
}

/// Queues deliveries again, each after its time. One that is due later than the queue can wait is found by the sweep.
async fn queue_left(queue: &dyn DeliveryQueue, left: Vec<(DeliveryKey, Duration)>) {
    let left: Vec<QueuedDelivery> = left
        .into_iter()
        .filter(|(_, delay)| *delay <= LONGEST_DELAY)
        .map(|(key, delay)| QueuedDelivery { key, delay: delay.max(SHORTEST_DELAY) })
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
