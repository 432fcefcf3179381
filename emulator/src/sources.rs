//! Event source mappings: they read the shards of a stream and invoke a function with batches, as the Lambda service does
//! for Kinesis and for DynamoDB Streams.
//!
//! [`Mapping::start`] reads a [`KinesisSource`] or a [`DynamoSource`] for one function. The rules, from
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html>,
//! <https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html> and
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html>:
//!
//! - A shard is read from its beginning, and only when its parents are done to their last record.
//! - A shard has as many lanes as the parallelization factor says. Records of one key (Kinesis' partition key, DynamoDB's
//!   whole primary key) go through one lane in their order, and a lane has one batch at a time.
//! - A batch is complete with its batch size, when its window is over, or before its event would exceed 6 MB.
//! - A failed batch is tried again, after growing waits, until it succeeds, has used up its retries or is too old; then it
//!   is discarded, which leaves its metadata ([`Discarded`]), and the lane goes on. What did not come to the function
//!   (throttling) does not count as a try.
//! - With partial answers the lowest reported record is the checkpoint: those before it are done, it and those after it
//!   are tried again. No failures, `null`, or an empty answer are a success; an identifier that is `null`, empty, of the
//!   wrong name or not in the batch makes the whole batch fail.
//! - With bisection a batch whose function failed is split in two, which uses up no retry. A partial answer splits at its
//!   checkpoint.
//!
//! Where the documentation says nothing: retries are counted from anew when a partial answer moves the checkpoint without
//! bisection, and a partial answer whose checkpoint is the first record does not split the batch.
//!
//! What is not shown: enhanced fan-out, tumbling windows, event filters, start at a time, consolidated destination
//! documents, a checkpoint that outlives the mapping (a new one starts where its configuration says); polls are many times
//! more frequent and waits shorter, for tests.

mod answer;
mod configuration;
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

use self::progress::Progress;
use crate::lambda::Invoke;

/// One event source mapping. It ends when this is dropped; [`Mapping::stop`] waits for its end.
#[derive(Debug)]
pub struct Mapping {
    progress: Arc<Progress>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// What the tasks of a mapping share.
struct Context {
    config: MappingConfig,
    source: Arc<dyn StreamSource>,
    invoke: Arc<dyn Invoke>,
    progress: Arc<Progress>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Mapping {
    /// Starts to read.
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

    /// What has happened so far.
    pub fn counters(&self) -> MappingCounters {
        self.progress.counters()
    }

    /// What was given up, the first first: the documents that an on-failure destination would have.
    pub fn discarded(&self) -> Vec<Discarded> {
        self.progress.discarded()
    }

    /// Waits until every record that was in the stream at the time of the call is delivered or discarded. It does not
    /// return while the mapping is paused or a batch fails without end.
    pub async fn caught_up(&self) {
        self.progress.caught_up(Instant::now()).await;
    }

    /// Delivers each of the next `times` batches that succeed once more, as the service may when it loses a checkpoint.
    pub fn redeliver_next(&self, times: u32) {
        self.progress.redeliver_next(times);
    }

    /// Begins no invocation until [`Mapping::resume`]; those under way end.
    pub fn pause(&self) {
        self.progress.set_enabled(false);
    }

    /// Goes on where it was paused.
    pub fn resume(&self) {
        self.progress.set_enabled(true);
    }

    /// Ends the mapping. A batch under way is abandoned; the function may still be at work on it.
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

impl Context {
    /// Runs a task until it ends or the mapping does.
    fn spawn(context: &Arc<Self>, task: impl Future<Output = ()> + Send + 'static) {
        context.tasks.spawn(context.stop.clone().run_until_cancelled_owned(task));
    }
}

/// Looks for shards, and starts to read each when its parents are done.
async fn discover(context: Arc<Context>) {
    let mut started = HashSet::new();
    let mut is_first = true;
    loop {
        let begun = Instant::now();
        match context.source.shards().await {
            Ok(shards) => {
                let known: HashSet<&str> = shards.iter().map(|shard| shard.id.as_str()).collect();
                for shard in &shards {
                    // A parent that the stream has forgotten has no record left.
                    let mut parents = shard.parents.iter().filter(|parent| known.contains(parent.as_str()));
                    if started.contains(&shard.id) {
                        continue;
                    }
                    context.progress.add_shard(&shard.id);
                    if parents.all(|parent| context.progress.is_done(parent)) {
                        started.insert(shard.id.clone());
                        // What comes into being later is read from its beginning, whatever was asked for.
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
                tracing::warn!(stream.arn = context.source.arn(), error = %chain(&error), "shards could not be listed");
            }
        }
        context.progress.discovery_due(context.config.discovery).await;
    }
}
