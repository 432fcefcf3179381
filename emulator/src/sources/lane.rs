//! One lane of a shard: batches, one after the other.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::Context;
use super::answer::{Verdict, verdict};
use super::configuration::MappingConfig;
use super::delivery::{Delivery, Rules, Step};
use super::discarded::Discarded;
use super::stream::Record;
use crate::lambda::MAX_PAYLOAD_BYTES;
use crate::wall_clock;

/// What is around the records of an event.
const BEGIN: &str = r#"{"Records":["#;
const END: &str = "]}";

/// Delivers what comes until nothing can come any more.
pub(super) async fn run(context: Arc<Context>, shard: String, records: mpsc::Receiver<Vec<Record>>) {
    let mut batches = Batches { records, ready: VecDeque::new() };
    while let Some(batch) = batches.next(&context.config).await {
        deliver(&context, &shard, batch).await;
    }
}

/// Puts records together.
struct Batches {
    records: mpsc::Receiver<Vec<Record>>,
    /// Read, and in no batch.
    ready: VecDeque<Record>,
}

impl Batches {
    /// The next batch, in the order of its records; `None` when there will be none.
    async fn next(&mut self, config: &MappingConfig) -> Option<Vec<Record>> {
        while self.ready.is_empty() {
            self.ready.extend(self.records.recv().await?);
        }
        let over = Instant::now() + config.maximum_batching_window;
        let mut bytes = BEGIN.len() + END.len();
        let mut batch = Vec::new();
        loop {
            while let Some(record) = self.ready.front() {
                bytes += 1 + record.json.len();
                // One alone is tried, whatever its size.
                if !batch.is_empty() && (batch.len() >= config.batch_size || bytes > MAX_PAYLOAD_BYTES) {
                    return Some(batch);
                }
                batch.extend(self.ready.pop_front());
            }
            if batch.len() >= config.batch_size {
                return Some(batch);
            }
            // What is there already is taken even when the window is over.
            let more = match self.records.try_recv() {
                Ok(records) => records,
                Err(_) => match timeout_at(over, self.records.recv()).await {
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
    // The records were done, and are being delivered once more.
    let mut is_repeated = false;
    loop {
        context.progress.enabled().await;
        match delivery.step(wall_clock::now()) {
            Step::End => return,
            Step::Discard(given_up) => {
                let arn = context.invoke.function_arn(&config.function);
                let discarded = Discarded::new(&given_up, &*context.source, shard, &arn, wall_clock::now());
                tracing::error!(
                    function.name = config.function,
                    shard.id = shard,
                    records = discarded.sequences.len(),
                    condition = ?discarded.condition,
                    "records were discarded"
                );
                context.progress.gave_up(shard, discarded);
            }
            Step::Invoke => {
                let records = delivery.records();
                let answer = context.invoke.invoke(&config.function, event(records)).await;
                let mut how = verdict(&answer, records, config.report_batch_item_failures);
                if let (Verdict::NotReached, Err(error)) = (how, &answer) {
                    let function = &config.function;
                    tracing::warn!(function.name = function, shard.id = shard, error = %error, "a batch waits");
                }
                context.progress.count(|counters| match how {
                    Verdict::NotReached => counters.throttled += 1,
                    Verdict::Done => counters.invocations += 1,
                    Verdict::Failed | Verdict::FailedFrom(_) => {
                        counters.invocations += 1;
                        counters.failures += 1;
                    }
                });
                if how == Verdict::Done {
                    is_repeated = !is_repeated && context.progress.takes_redelivery();
                    if is_repeated {
                        how = Verdict::NotReached;
                    }
                }
                let settled = delivery.settle(how);
                context.progress.delivered(shard, settled.done);
                not_reached = if how == Verdict::NotReached { not_reached + 1 } else { 0 };
                if let Some(failures) = settled.failures {
                    let delay = delay(config.retry_delay, config.most_retry_delay, failures.max(not_reached));
                    tokio::time::sleep(delay).await;
                }
            }
        }
    }
}

/// The event of a batch.
fn event(records: &[Record]) -> Bytes {
    let records: Vec<&str> = records.iter().map(|record| record.json.as_str()).collect();
    Bytes::from([BEGIN, &records.join(","), END].concat())
}

/// The wait after so many failures of the same batch.
fn delay(first: Duration, most: Duration, failures: u32) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1))).min(most)
}
