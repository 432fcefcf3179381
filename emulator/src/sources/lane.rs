//! A lane of a shard: collects records into batches, and delivers one batch after the other.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::batch_result::{BatchResult, batch_result};
use super::configuration::MappingConfig;
use super::context::Context;
use super::delivery::{Delivery, Rules, Step};
use super::discarded::Discarded;
use super::stream::Record;
use crate::lambda::MAX_PAYLOAD_BYTES;
use crate::wall_clock;

/// The JSON before and after the records of an event.
const BEGIN: &str = r#"{"Records":["#;
const END: &str = "]}";

/// Delivers records until the channel is closed.
pub(super) async fn run(context: Arc<Context>, shard: String, records: mpsc::Receiver<Vec<Record>>) {
    let mut batches = Batches { records, ready: VecDeque::new() };
    while let Some(batch) = batches.next(&context.config).await {
        deliver(&context, &shard, batch).await;
    }
}

/// Collects records into batches.
struct Batches {
    records: mpsc::Receiver<Vec<Record>>,
    /// Records that are not in a batch yet.
    ready: VecDeque<Record>,
}

impl Batches {
    /// Returns the next batch, or `None` when the channel is closed.
    async fn next(&mut self, config: &MappingConfig) -> Option<Vec<Record>> {
        while self.ready.is_empty() {
            self.ready.extend(self.records.recv().await?);
        }
        let window_end = Instant::now() + config.maximum_batching_window;
        let mut bytes = BEGIN.len() + END.len();
        let mut batch = Vec::new();
        loop {
            while let Some(record) = self.ready.front() {
                bytes += 1 + record.json.len();
                // A single record is delivered whatever its size.
                if !batch.is_empty() && (batch.len() >= config.batch_size || bytes > MAX_PAYLOAD_BYTES) {
                    return Some(batch);
                }
                batch.extend(self.ready.pop_front());
            }
            if batch.len() >= config.batch_size {
                return Some(batch);
            }
            // Records that have already been read are included even if the window has ended.
            let more = match self.records.try_recv() {
                Ok(records) => records,
                Err(_) => match timeout_at(window_end, self.records.recv()).await {
                    Ok(Some(records)) => records,
                    Ok(None) | Err(_) => return Some(batch),
                },
            };
            self.ready.extend(more);
        }
    }
}

async fn deliver(context: &Context, shard: &str, batch: Vec<Record>) {
    let config = &context.config;
    let mut delivery = Delivery::new(Rules::from(config), batch);
    let mut not_reached = 0;
    // Whether the batch succeeded and is being delivered again.
    let mut is_redelivered = false;
    loop {
        context.progress.wait_until_enabled().await;
        match delivery.step(wall_clock::now()) {
            Step::End => return,
            Step::Discard(discarded) => {
                let arn = context.invoke.function_arn(&config.function);
                let discarded = Discarded::new(&discarded, &*context.source, shard, &arn, wall_clock::now());
                tracing::error!(
                    function.name = config.function,
                    shard.id = shard,
                    records = discarded.sequences.len(),
                    condition = discarded.condition.name(),
                    "records were discarded"
                );
                context.progress.discard(shard, discarded);
            }
            Step::Invoke => {
                let records = delivery.records();
                let response = context.invoke.invoke(&config.function, event(records)).await;
                let mut result = batch_result(&response, records, config.report_batch_item_failures);
                if let (BatchResult::NotReached, Err(error)) = (result, &response) {
                    let function = &config.function;
                    tracing::warn!(function.name = function, shard.id = shard, error = %error, "the function could not be invoked with a batch");
                }
                context.progress.count(|counters| match result {
                    BatchResult::NotReached => counters.throttled += 1,
                    BatchResult::Done => counters.invocations += 1,
                    BatchResult::Failed | BatchResult::FailedFrom(_) => {
                        counters.invocations += 1;
                        counters.failures += 1;
                    }
                });
                if result == BatchResult::Done {
                    is_redelivered = !is_redelivered && context.progress.take_redelivery();
                    if is_redelivered {
                        result = BatchResult::NotReached;
                    }
                }
                let recorded = delivery.record_result(result);
                context.progress.delivered(shard, recorded.done);
                not_reached = if result == BatchResult::NotReached { not_reached + 1 } else { 0 };
                if let Some(failures) = recorded.failures {
                    let delay = delay(config.retry_delay, config.max_retry_delay, failures.max(not_reached));
                    tokio::time::sleep(delay).await;
                }
            }
        }
    }
}

/// Returns the event of a batch.
fn event(records: &[Record]) -> Bytes {
    let records: Vec<&str> = records.iter().map(|record| record.json.as_str()).collect();
    Bytes::from([BEGIN, &records.join(","), END].concat())
}

/// Returns the pause after this number of failures of the same batch.
fn delay(first: Duration, max: Duration, failures: u32) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1))).min(max)
}
