//! Amazon SQS: a standard queue with fair groups, and Lambda's event source mapping for it.
//!
//! Emulated behaviour:
//!
//! - `SendMessage` and `SendMessageBatch` in the JSON protocol, with `DelaySeconds` and `MessageGroupId`
//!   (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html>). Messages of a batch are accepted or
//!   refused one by one.
//! - A received message is invisible for the visibility timeout and then received again, until it is deleted. After
//!   [`QueueConfig::max_receive_count`] receptions it is a [dead letter](Sqs::dead_letters).
//! - Messages of the group are received first of which the fewest are being processed
//!   (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html>).
//! - [`QueueMapping`] invokes a function with batches, several at the same time, and deletes the messages that it does not report as failed
//!   (<https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>). If the function fails, is throttled, or reports a
//!   message that is not in the batch, all messages of the batch are received again after the visibility timeout.
//!
//! Tests inject duplicates: [`Sqs::duplicate_next`]. A fault proxy in front of the endpoint throttles.
//!
//! Not emulated: all other calls, message attributes, checksums of messages, retention, batching windows, FIFO queues, signatures and
//! permissions. Delays are those of the real service; the visibility timeout is shorter than the real service allows.

mod api;
mod mapping;
mod queue;

use std::io;
use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::{CancellationToken, DropGuard};

pub use self::mapping::{QueueMapping, QueueMappingConfig};
use self::queue::Queue;
pub use self::queue::{QueueConfig, Received};
use crate::arn::{ACCOUNT, arn};
use crate::http_listener;

/// A running endpoint with one queue. It stops when it is dropped.
pub struct Sqs {
    endpoint: String,
    queue: Arc<Queue>,
    _stop: DropGuard,
}

impl Sqs {
    /// Starts the endpoint with an empty queue.
    pub async fn start(config: QueueConfig) -> io::Result<Self> {
        let listener = http_listener::bind().await?;
        let endpoint = http_listener::url(&listener)?;
        let queue = Arc::new(Queue::new(config));
        let stop = CancellationToken::new();
        let (answering, url) = (Arc::clone(&queue), queue_url(&queue.config.name));
        tokio::spawn(http_listener::serve(listener, stop.clone(), move |request| {
            let (queue, url) = (Arc::clone(&answering), url.clone());
            async move { Ok(api::respond(&queue, &url, &request)) }
        }));
        Ok(Self { endpoint, queue, _stop: stop.drop_guard() })
    }

    /// Returns the endpoint's URL, for `AWS_ENDPOINT_URL_SQS`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Returns the URL of the queue.
    pub fn queue_url(&self) -> String {
        queue_url(&self.queue.config.name)
    }

    /// Returns the ARN of the queue.
    pub fn queue_arn(&self) -> String {
        arn("sqs", &self.queue.config.name)
    }

    /// Stores each of the next `times` messages twice, as a standard queue may.
    pub fn duplicate_next(&self, times: usize) {
        self.queue.duplicate_next(times);
    }

    /// Returns the messages that were received too often.
    pub fn dead_letters(&self) -> Vec<Received> {
        self.queue.dead_letters()
    }

    /// Returns the number of messages that are visible or being processed. Delayed messages do not count.
    pub fn active(&self) -> usize {
        self.queue.active(Instant::now())
    }
}

/// The URL of a queue has the form of the real service, whatever the endpoint.
fn queue_url(name: &str) -> String {
    format!("https://sqs.{}.amazonaws.com/{ACCOUNT}/{name}", crate::arn::REGION)
}
