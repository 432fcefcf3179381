//! Queues deliveries for attempts, on platforms where a queue starts the processes that make them.
//!
//! An attempt that is due within the [longest delay](LONGEST_DELAY) of the queue is queued when the log has recorded that it is due. All
//! others, and those whose queued delivery is lost, are found by time: [`queue_due`].

use std::time::Duration;

use streamio_events::commit::Commit;
use streamio_events::error_chain::chain;
use streamio_events::event::EventBody;
use streamio_events::id::{MessageId, ProjectId, WebhookId};
use streamio_events::timestamp::Timestamp;

use crate::ports::delivery_queue::{DeliveryQueue, DeliveryQueueError, LONGEST_DELAY, QueuedDelivery};
use crate::ports::delivery_store::{DeliveryKey, DeliveryStore, DeliveryStoreError};

/// For how long a delivery has to be due before [`queue_due`] queues it. It is longer than an attempt takes, so that an attempt that is being
/// made is rarely made twice.
pub const OVERDUE_AFTER: Duration = Duration::from_secs(30);

/// How many overdue deliveries of an endpoint are read to queue some of them.
const FOLLOWING: usize = 500;

/// How much is queued at a time by [`queue_due`].
#[derive(Debug, Clone, Copy)]
pub struct DueBounds {
    /// The most deliveries of one endpoint.
    pub per_endpoint: usize,
    /// The most deliveries in total.
    pub total: usize,
}

/// Why due deliveries were not queued.
#[derive(Debug, thiserror::Error)]
pub enum QueueDueError {
    /// It is not known what is due.
    #[error("the webhook deliveries that are due cannot be read")]
    Store(#[from] DeliveryStoreError),
    /// Some were not queued.
    #[error(transparent)]
    Queue(#[from] DeliveryQueueError),
}

/// Queues the deliveries of which `commits` state that an attempt is due soon. If the queue is not available, it is logged, and
/// [`queue_due`] finds them.
pub async fn queue_commits<'a>(
    queue: &dyn DeliveryQueue,
    now: Timestamp,
    commits: impl IntoIterator<Item = &'a Commit>,
) {
    let due: Vec<QueuedDelivery> = commits.into_iter().filter_map(|commit| due_soon(commit, now)).collect();
    if due.is_empty() {
        return;
    }
    if let Err(error) = queue.send(&due).await {
        tracing::warn!(
            count = due.len(),
            error = chain(&error),
            "webhook deliveries are not queued; the sweep queues them"
        );
    }
}

/// The delivery whose attempt `commit` makes due soon; `None` if it makes none due, or one later.
fn due_soon(commit: &Commit, now: Timestamp) -> Option<QueuedDelivery> {
    let key = DeliveryKey::of_stream(&commit.stream)?;
    // The process that delivers reports an unreadable event.
    let due_at = commit.events.iter().rev().find_map(|event| match event.body().ok()? {
        EventBody::WebhookScheduled(scheduled) => Some(Some(scheduled.due_at)),
        EventBody::WebhookFailed(failed) => Some(failed.retry_at),
        EventBody::WebhookDelivered(_) => Some(None),
        _ => None,
    })??;
    let delay = due_at.since(now);
    (delay <= LONGEST_DELAY).then_some(QueuedDelivery { key, delay })
}

/// The time at which what is overdue at `now` was due.
fn overdue_at(now: Timestamp) -> Timestamp {
    let milliseconds = i64::try_from(OVERDUE_AFTER.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_unix_millis(now.unix_millis().saturating_sub(milliseconds))
}

/// Queues `count` overdue deliveries to an endpoint that has just taken as many, or to which none are sent any more: so its backlog goes on
/// without waiting for the next [`queue_due`]. They are any of the first `FOLLOWING`, because the very first are usually in the queue.
/// Returns how many were queued.
pub async fn queue_following(
    store: &dyn DeliveryStore,
    queue: &dyn DeliveryQueue,
    now: Timestamp,
    (project_id, webhook_id): (&ProjectId, &WebhookId),
    count: usize,
) -> Result<usize, QueueDueError> {
    let mut keys = store.due_to_endpoint(project_id, webhook_id, overdue_at(now), FOLLOWING).await?;
    let seed = now.unix_millis().to_string();
    keys.sort_by_cached_key(|key| MessageId::derived_from(&[&seed, key.message_id.as_str()]));
    keys.truncate(count);
    send_now(queue, keys).await
}

async fn send_now(queue: &dyn DeliveryQueue, keys: Vec<DeliveryKey>) -> Result<usize, QueueDueError> {
    let due: Vec<QueuedDelivery> =
        keys.into_iter().map(|key| QueuedDelivery { key, delay: Duration::ZERO }).collect();
    if !due.is_empty() {
        queue.send(&due).await?;
    }
    Ok(due.len())
}

/// Queues deliveries that have been due for [`OVERDUE_AFTER`], each endpoint in turn. Returns how many.
pub async fn queue_due(
    store: &dyn DeliveryStore,
    queue: &dyn DeliveryQueue,
    now: Timestamp,
    bounds: DueBounds,
) -> Result<usize, QueueDueError> {
    let keys = store.due_deliveries(overdue_at(now), bounds.per_endpoint, bounds.total).await?;
    send_now(queue, keys).await
}
