//! The queue of webhook deliveries: an SQS standard queue.
//!
//! Each message belongs to the group of its project, so that the backlog of one project delays the others little
//! (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html>).
//!
//! The function's role must be allowed `sqs:SendMessage` on the queue.

use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{BatchResultErrorEntry, SendMessageBatchRequestEntry};
use futures::stream::{self, TryStreamExt as _};
use streamio_core::ports::AdapterError;
use streamio_core::ports::delivery_queue::{
    DeliveryQueue, DeliveryQueueError, LONGEST_DELAY, QueuedDelivery,
};

use super::pauses::pauses;
use crate::triggers::sqs::body_of;

/// The most messages of one request
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html>).
const MAX_ENTRIES: usize = 10;

/// How many requests are sent at the same time.
const CONCURRENT_REQUESTS: usize = 8;

/// The queue.
#[derive(Debug, Clone)]
pub struct SqsDeliveries {
    client: Client,
    url: String,
}

impl SqsDeliveries {
    /// The queue at `url`.
    pub fn new(sdk: &SdkConfig, url: impl Into<String>) -> Self {
        Self { client: Client::new(sdk), url: url.into() }
    }

    /// Sends at most [`MAX_ENTRIES`] messages. Those that the queue did not accept are sent again.
    async fn send_some(&self, deliveries: &[QueuedDelivery]) -> Result<(), AdapterError> {
        let entries = deliveries.iter().enumerate().map(|(index, delivery)| {
            SendMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .message_body(body_of(&delivery.key))
                .message_group_id(delivery.key.project_id.as_str())
                .delay_seconds(delay_seconds(delivery.delay))
                .build()
        });
        let mut left: Vec<SendMessageBatchRequestEntry> = entries.collect::<Result<_, _>>()?;
        let mut pauses = pauses();
        loop {
            let request = self.client.send_message_batch().queue_url(&self.url);
            let response = request.set_entries(Some(left.clone())).send().await?;
            let Some(first) = response.failed.first() else { return Ok(()) };
            let reason = format!("the queue did not accept a message: {}", first.code());
            if response.failed.iter().any(BatchResultErrorEntry::sender_fault) {
                return Err(reason.into());
            }
            left.retain(|entry| response.failed.iter().any(|failed| failed.id() == entry.id()));
            tokio::time::sleep(pauses.next().ok_or(reason)?).await;
        }
    }
}

/// Whole seconds, so that a message does not come before its time.
fn delay_seconds(delay: Duration) -> i32 {
    let delay = delay.min(LONGEST_DELAY);
    let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
    i32::try_from(seconds).unwrap_or(i32::MAX)
}

#[async_trait]
impl DeliveryQueue for SqsDeliveries {
    async fn send(&self, deliveries: &[QueuedDelivery]) -> Result<(), DeliveryQueueError> {
        stream::iter(deliveries.chunks(MAX_ENTRIES).map(Ok))
            .try_for_each_concurrent(CONCURRENT_REQUESTS, |some| self.send_some(some))
            .await
            .map_err(DeliveryQueueError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_whole_seconds_and_at_most_fifteen_minutes() {
        let cases = [(0, 0), (1, 1), (1000, 1), (1001, 2), (899_500, 900), (5_000_000, 900)];
        for (milliseconds, seconds) in cases {
            assert_eq!(delay_seconds(Duration::from_millis(milliseconds)), seconds, "{milliseconds} ms");
        }
    }
}
