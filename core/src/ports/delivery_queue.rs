//! The port to the queue of webhook deliveries, from which attempts are made.

use std::time::Duration;

use async_trait::async_trait;

use crate::ports::AdapterError;
use crate::ports::delivery_store::DeliveryKey;

/// The longest time for which the queue keeps a delivery back
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-delay-queues.html>).
pub const LONGEST_DELAY: Duration = Duration::from_mins(15);

/// A delivery for the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedDelivery {
    /// The delivery.
    pub key: DeliveryKey,
    /// How long the queue keeps it back, at most [`LONGEST_DELAY`].
    pub delay: Duration,
}

/// Some deliveries were not queued.
#[derive(Debug, thiserror::Error)]
#[error("the queue of webhook deliveries is not available")]
pub struct DeliveryQueueError(#[source] pub AdapterError);

/// Queues deliveries whose attempts are due.
///
/// A queued delivery is a hint: the log states what is due. One that is queued twice or too early does no harm, and one that is lost is
/// found in the [index of what is due](crate::ports::delivery_store::DeliveryStore::due_deliveries).
#[async_trait]
pub trait DeliveryQueue: Send + Sync {
    /// Queues `deliveries`, in any order. After an error some of them may be queued.
    async fn send(&self, deliveries: &[QueuedDelivery]) -> Result<(), DeliveryQueueError>;
}
