//! Lambda event source mappings for Kinesis and DynamoDB Streams: they read the shards of a stream and invoke a function with
//! batches of records.
//!
//! [`Mapping::start`] reads a [`KinesisSource`] or a [`DynamoSource`] for one function. The emulated behaviour, from
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html>,
//! <https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html> and
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html>:
//!
//! - A shard is read from its oldest record, after all records of its parent shards have been processed.
//! - The parallelization factor is the number of batches of a shard that are processed concurrently. In this module each of
//!   the concurrent processors of a shard is a *lane*. Records with the same key (the partition key of Kinesis, the primary
//!   key of DynamoDB) are processed by the same lane, in order.
//! - A batch is complete when it has reached the batch size, when the batching window has ended, or when the next record
//!   would make the event larger than 6 MB.
//! - A failed batch is retried after growing pauses until it succeeds, its retries are exhausted, or it is too old. Then it
//!   is discarded, its metadata is kept ([`Discarded`]), and the next batch follows. Throttled invocations are not counted
//!   as retries.
//! - With partial batch responses (`ReportBatchItemFailures`) the lowest reported sequence number is the checkpoint: the
//!   records before it are done, the others are retried. A response without failures, `null` and an empty response are a
//!   success. An identifier that is `null`, empty, misspelt or not in the batch fails the whole batch.
//! - With bisection a batch whose function failed is split in two. The split is not counted as a retry. A partial batch
//!   response splits the batch at its checkpoint.
//!
//! The documentation does not state the following: here the count of retries restarts when a partial batch response moves the
//! checkpoint without bisection, and a partial batch response whose checkpoint is the first record does not split the batch.
//!
//! Not emulated: enhanced fan-out, tumbling windows, event filters, a start at a timestamp, consolidated destination
//! documents, checkpoints that outlive the mapping. Polls are more frequent and pauses shorter than in the real service.

mod batch_result;
mod configuration;
mod context;
mod delivery;
mod discarded;
mod dynamo;
mod kinesis;
mod lane;
mod progress;
mod shard;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use streamio_events::error_chain::chain;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::configuration::{MappingConfig, StartingPosition};
pub use self::discarded::{DiscardCondition, Discarded};
pub use self::dynamo::DynamoSource;
pub use self::kinesis::KinesisSource;
pub use self::progress::MappingCounters;
pub use self::stream::{Kind, Page, Position, Record, Shard, SourceError, StreamSource};

use self::context::Context;
use self::progress::Progress;
use crate::lambda::Invoke;

/// An event source mapping. It stops when it is dropped; [`Mapping::stop`] waits until it has stopped.
#[derive(Debug)]
pub struct Mapping {
    progress: Arc<Progress>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Mapping {
    /// Starts a mapping.
    pub fn start(config: MappingConfig, source: impl StreamSource, invoke: Arc<dyn Invoke>) -> Self {
        let mapping = Self {
            progress: Arc::new(Progress::new()),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        let context = Arc::new(Context {
            config,
            source: Arc::new(source),
            invoke,
            progress: Arc::clone(&mapping.progress),
            tasks: mapping.tasks.clone(),
            stop: mapping.stop.clone(),
        });
        Context::spawn(&context, discover(Arc::clone(&context)));
        mapping
    }

    /// Returns the counters.
    pub fn counters(&self) -> MappingCounters {
        self.progress.counters()
    }

    /// Returns the discarded records, oldest first, with the documents for an on-failure destination.
    pub fn discarded(&self) -> Vec<Discarded> {
        self.progress.discarded()
    }

    /// Waits until every record that was in the stream at the time of the call is processed or discarded. Does not return while
    /// the mapping is paused, or while a batch fails with unlimited retries.
    pub async fn wait_until_caught_up(&self) {
        self.progress.wait_until_caught_up(Instant::now()).await;
    }

    /// Delivers each of the next `times` successful batches once more, as the service may when it loses a checkpoint.
    pub fn redeliver_next(&self, times: u32) {
        self.progress.redeliver_next(times);
    }

    /// Starts no invocation until [`Mapping::resume`]. Pending invocations are completed.
    pub fn pause(&self) {
        self.progress.set_enabled(false);
    }

    /// Resumes a paused mapping.
    pub fn resume(&self) {
        self.progress.set_enabled(true);
    }

    /// Stops the mapping. A pending batch is abandoned, although the function may still process it.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Lists the shards periodically, and starts to read each when its parents are done.
async fn discover(context: Arc<Context>) {
    let mut started = HashSet::new();
    let mut is_first = true;
    loop {
        let begun = Instant::now();
        match context.source.shards().await {
            Ok(shards) => {
                let known: HashSet<&str> = shards.iter().map(|shard| shard.id.as_str()).collect();
                for shard in &shards {
                    // A parent that the stream does not list any more has no records.
                    let mut parents = shard.parents.iter().filter(|parent| known.contains(parent.as_str()));
                    if started.contains(&shard.id) {
                        continue;
                    }
                    context.progress.add_shard(&shard.id);
                    if parents.all(|parent| context.progress.is_done(parent)) {
                        started.insert(shard.id.clone());
                        // The starting position applies only to the shards that exist at the start.
                        let position = if is_first {
                            context.config.starting_position.into()
                        } else {
                            Position::TrimHorizon
                        };
                        Context::spawn(
                            &context,
                            shard::read(Arc::clone(&context), shard.id.clone(), position),
                        );
                    }
                }
                is_first = false;
                context.progress.discovered(begun);
            }
            Err(error) => {
                tracing::warn!(stream.arn = context.source.arn(), error = %chain(&error), "could not list the shards");
            }
        }
        context.progress.wait_for_next_discovery(context.config.discovery).await;
    }
}
