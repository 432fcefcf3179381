//! The reader of one shard.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Instant;

use streamio_events::error_chain::chain;
use tokio::sync::mpsc;

use super::context::Context;
use super::lane;
use super::stream::{Position, Record, SourceError};

/// The pause after a failed read, in multiples of the usual pause.
const FAILURE_PAUSES: u32 = 5;
/// The number of empty reads after which the pause grows.
const EMPTY_READS: u32 = 50;
/// The longest pause after empty reads, in multiples of the usual pause.
const MAX_PAUSES: u32 = 4;
/// The number of reads that a lane may be behind before the reader waits for it.
const PAGES: usize = 2;

/// Reads a shard to its end, and sends each record to the lane of its key. Returns when all lanes have ended.
pub(super) async fn read(context: Arc<Context>, shard: String, position: Position) {
    let (senders, lanes): (Vec<_>, Vec<_>) = (0..context.config.parallelization_factor.max(1))
        .map(|_| {
            // The channel is bounded, so a failing lane blocks the reader instead of using memory.
            let (sender, records) = mpsc::channel(PAGES);
            let lane = lane::run(Arc::clone(&context), shard.clone(), records);
            (sender, context.tasks.spawn(context.stop.clone().run_until_cancelled_owned(lane)))
        })
        .unzip();
    read_to_end(&context, &shard, position, &senders).await;
    drop(senders);
    for lane in lanes {
        // A lane that panicked has records that are not done.
        if lane.await.is_err() {
            return;
        }
    }
    context.progress.done(&shard);
}

async fn read_to_end(
    context: &Context,
    shard: &str,
    mut position: Position,
    lanes: &[mpsc::Sender<Vec<Record>>],
) {
    let limit = context.config.batch_size.max(1) * lanes.len();
    let mut iterator = None;
    let mut empty_reads = 0;
    loop {
        let begun = Instant::now();
        let page = match iterator.take() {
            Some(iterator) => context.source.records(shard, iterator, limit).await,
            None => match context.source.iterator(shard, &position).await {
                Ok(found) => {
                    iterator = Some(found);
                    continue;
                }
                Err(error) => Err(error),
            },
        };
        let page = match page {
            Ok(page) => page,
            Err(SourceError::ExpiredIterator) => continue,
            Err(error) => {
                tracing::warn!(shard.id = shard, error = %chain(&error), "could not read a shard");
                if matches!(error, SourceError::Trimmed) {
                    position = Position::TrimHorizon;
                }
                tokio::time::sleep(context.config.poll * FAILURE_PAUSES).await;
                continue;
            }
        };
        let is_empty = page.records.is_empty();
        context.progress.read(shard, page.records.len());
        if let Some(last) = page.records.last() {
            position = Position::After(last.sequence.clone());
        }
        let mut of_lane = vec![Vec::new(); lanes.len()];
        for record in page.records {
            of_lane[lane_of(&record.key, lanes.len())].push(record);
        }
        for (lane, records) in lanes.iter().zip(of_lane).filter(|(_, records)| !records.is_empty()) {
            if lane.send(records).await.is_err() {
                // The lanes have ended, because the mapping stops.
                return;
            }
        }
        let Some(next) = page.next else { return };
        iterator = Some(next);
        if is_empty && !page.is_behind {
            context.progress.read_nothing(shard, begun);
            empty_reads += 1;
            let pauses = (1 + empty_reads / EMPTY_READS).min(MAX_PAUSES);
            tokio::time::sleep(context.config.poll * pauses).await;
        } else {
            empty_reads = 0;
        }
    }
}

/// Returns the index of the lane for a key.
fn lane_of(key: &str, lanes: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    let lane = hasher.finish() % u64::try_from(lanes).unwrap_or(1);
    usize::try_from(lane).unwrap_or(0)
}
