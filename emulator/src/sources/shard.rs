//! The reader of one shard.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Instant;

use streamio_events::error_chain::chain;
use tokio::sync::mpsc;

use super::stream::{Position, Record, SourceError};
use super::{Context, lane};

/// How many times the usual pause follows a read that failed.
const FAILURE_PAUSES: u32 = 5;
/// After so many reads that found nothing, the pause grows.
const EMPTY_READS: u32 = 50;
/// It grows to at most this many times the usual pause.
const MOST_PAUSES: u32 = 4;
/// How many reads a lane may be behind before the reader waits for it.
const PAGES: usize = 2;

/// Reads a shard to its end and hands every record to the lane of its key; done when all lanes are.
pub(super) async fn read(context: Arc<Context>, shard: String, position: Position) {
    let (senders, lanes): (Vec<_>, Vec<_>) = (0..context.config.parallelization_factor.max(1))
        .map(|_| {
            // A lane that fails for long holds the reader, not the memory.
            let (sender, records) = mpsc::channel(PAGES);
            let lane = lane::run(Arc::clone(&context), shard.clone(), records);
            (sender, context.tasks.spawn(context.stop.clone().run_until_cancelled_owned(lane)))
        })
        .unzip();
    read_to_end(&context, &shard, position, &senders).await;
    drop(senders);
    for lane in lanes {
        // A lane that panicked has said so, and has records that are not done.
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
                tracing::warn!(shard.id = shard, error = %chain(&error), "a shard could not be read");
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
                // The mapping is ending: its lanes are gone.
                return;
            }
        }
        let Some(next) = page.next else { return };
        iterator = Some(next);
        if is_empty && !page.is_behind {
            context.progress.found_nothing(shard, begun);
            empty_reads += 1;
            let pauses = (1 + empty_reads / EMPTY_READS).min(MOST_PAUSES);
            tokio::time::sleep(context.config.poll * pauses).await;
        } else {
            empty_reads = 0;
        }
    }
}

/// The lane of a key among so many, always the same.
fn lane_of(key: &str, lanes: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    let lane = hasher.finish() % u64::try_from(lanes).unwrap_or(1);
    usize::try_from(lane).unwrap_or(0)
}
