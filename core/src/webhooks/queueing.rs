//! Queues deliveries for attempts, on platforms where a queue starts the processes that make them.
//!
//! An attempt that is due within the [longest delay](LONGEST_DELAY) of the queue is queued when the log has recorded that it is due. All
//! others, and those whose queued delivery is lost, are found by time: [`queue_due`].

use std::time::Duration;

use streamio_events::commit::Commit;
use streamio_events::error_chain::chain;
use streamio_events::event::EventBody;
use streamio_events::timestamp::Timestamp;

use crate::ports::delivery_queue::{DeliveryQueue, DeliveryQueueError, LONGEST_DELAY, QueuedDelivery};
use crate::ports::delivery_store::{DeliveryKey, DeliveryStore, DeliveryStoreError};

/// For how long a delivery has to be due before [`queue_due`] queues it. It is longer than an attempt takes, so that an attempt that is being
/// made is rarely made twice.
pub const OVERDUE_AFTER: Duration = Duration::from_secs(30);

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
    // An unreadable event is reported by who delivers.
    let due_at = commit.events.iter().rev().find_map(|event| match event.body().ok()? {
        EventBody::WebhookScheduled(scheduled) => Some(Some(scheduled.due_at)),
        EventBody::WebhookFailed(failed) => Some(failed.retry_at),
        EventBody::WebhookDelivered(_) => Some(None),
        _ => None,
    })??;
    let delay = due_at.since(now);
    (delay <= LONGEST_DELAY).then_some(QueuedDelivery { key, delay })
}

/// Queues deliveries that have been due for [`OVERDUE_AFTER`], each endpoint in turn. Returns how many.
pub async fn queue_due(
    store: &dyn DeliveryStore,
    queue: &dyn DeliveryQueue,
    now: Timestamp,
    bounds: DueBounds,
) -> Result<usize, QueueDueError> {
    let milliseconds = i64::try_from(OVERDUE_AFTER.as_millis()).unwrap_or(i64::MAX);
    let overdue = Timestamp::from_unix_millis(now.unix_millis().saturating_sub(milliseconds));
    let keys = store.due_deliveries(overdue, bounds.per_endpoint, bounds.total).await?;
    let due: Vec<QueuedDelivery> =
        keys.into_iter().map(|key| QueuedDelivery { key, delay: Duration::ZERO }).collect();
    if !due.is_empty() {
        queue.send(&due).await?;
    }
    Ok(due.len())
}
