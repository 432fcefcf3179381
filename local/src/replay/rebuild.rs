//! Rebuilds a view in parallel: ranges of streams, or for usage of positions, are folded by several threads.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use rusqlite::params;
use streamio_events::log::ReadError;
use streamio_events::sqlite::{StoredReader, StreamRange};
use streamio_events::usage::{UsageCounters, day_of};
use streamio_events::video::Policy;

use super::engine::Counts;
use super::error::ReplayError;
use super::file::RebuiltView;
use super::options::View;
use super::stream_rows::{Fold, Folded};
use crate::progress::Progress;

/// How many ranges each thread folds, so that none waits long for another at the end.
const RANGES_PER_THREAD: usize = 16;

/// How many streams a thread folds before their rows are written.
const BATCH: usize = 256;

/// How many batches wait for being written.
const WAITING_BATCHES: usize = 16;

/// How many positions a thread counts at a time.
const POSITIONS: u64 = 8192;

/// The key of a counter: project, day and name.
pub(super) type Amounts = BTreeMap<(String, String, &'static str), i64>;

/// What the view is rebuilt from.
pub(super) struct Rebuild<'a> {
    pub(super) log: &'a Path,
    pub(super) policy: &'a Policy,
    pub(super) progress: &'a Progress,
    pub(super) threads: usize,
    /// The last position.
    pub(super) until: u64,
}

impl Rebuild<'_> {
    /// Rebuilds all rows of a view that is computed stream by stream.
    pub(super) fn streams(
        &self,
        view: View,
        rebuilt: &RebuiltView,
        unreadable: &mut BTreeMap<String, String>,
    ) -> Result<Counts, ReplayError> {
        let mut ranges = Vec::new();
        let reader = StoredReader::open(self.log)?;
        for prefix in view.prefixes() {
            let range = StreamRange::of_prefix(prefix);
            self.progress.add_total(reader.count(&range, self.until)?);
            ranges.extend(reader.divide(&range, self.threads * RANGES_PER_THREAD)?);
        }
        let mut counts = Counts::default();
        self.run(
            ranges.len(),
            |reader, index, batches| self.fold_range(reader, &ranges[index], batches),
            |batch: Vec<Folded>| {
                rebuilt.insert(&batch)?;
                for folded in batch {
                    counts.add(&folded);
                    if let Err(reason) = folded.rows {
                        unreadable.insert(folded.stream, reason);
                    }
                }
                Ok(())
            },
        )?;
        Ok(counts)
    }

    fn fold_range(
        &self,
        reader: &StoredReader,
        range: &StreamRange,
        batches: &SyncSender<Vec<Folded>>,
    ) -> Result<(), ReadError> {
        let mut batch = Vec::new();
        let mut fold: Option<Fold> = None;
        let mut is_open = true;
        let mut commits = 0;
        reader.streams(range, self.until, |commit| {
            let stream = match &commit {
                Ok(commit) => commit.stream,
                Err(damaged) => &damaged.stream,
            };
            if fold.as_ref().is_none_or(|fold| fold.stream() != stream) {
                batch.extend(fold.replace(Fold::new(stream)).map(|fold| fold.finish(self.policy)));
                if batch.len() >= BATCH {
                    is_open = batches.send(std::mem::take(&mut batch)).is_ok();
                    self.progress.advance(std::mem::take(&mut commits));
                }
            }
            commits += 1;
            if let Some(fold) = &mut fold {
                match commit {
                    Ok(commit) => fold.apply(&commit),
                    Err(damaged) => fold.fail(damaged.reason),
                }
            }
            if is_open && !self.progress.is_stopped() {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
        self.progress.advance(commits);
        batch.extend(fold.map(|fold| fold.finish(self.policy)));
        // If nobody receives it, the reason is known there.
        let _ = batches.send(batch);
        Ok(())
    }

    /// Counts usage after the position `after`.
    pub(super) fn usage(&self, after: u64, rebuilt: &RebuiltView) -> Result<Counts, ReplayError> {
        let positions = self.until.saturating_sub(after);
        self.progress.add_total(positions);
        let ranges = usize::try_from(positions.div_ceil(POSITIONS)).unwrap_or(usize::MAX);
        let mut counts = Counts::default();
        let mut sums = Amounts::new();
        let count = |reader: &StoredReader, index: usize, batches: &SyncSender<(Counts, Amounts)>| {
            let from = after + index as u64 * POSITIONS;
            let counted = count_range(reader, from, self.until.min(from + POSITIONS))?;
            self.progress.advance(self.until.min(from + POSITIONS) - from);
            let _ = batches.send(counted);
            Ok(())
        };
        self.run(ranges, count, |(counted, amounts)| {
            counts.commits += counted.commits;
            counts.events += counted.events;
            for (key, amount) in amounts {
                *sums.entry(key).or_default() += amount;
            }
            Ok(())
        })?;
        let write = || -> rusqlite::Result<()> {
            let transaction = rebuilt.connection.unchecked_transaction()?;
            let upsert = "INSERT INTO usage VALUES (?1, ?2, ?3, ?4)
                ON CONFLICT DO UPDATE SET amount = amount + excluded.amount";
            for ((project_id, day, name), amount) in sums {
                transaction.prepare_cached(upsert)?.execute(params![project_id, day, name, amount])?;
            }
            transaction.commit()
        };
        write().map_err(|error| rebuilt.failed(error))?;
        Ok(counts)
    }

    /// Has `work` done for each index below `ranges` by several threads, and `take` called with what they send.
    fn run<T: Send>(
        &self,
        ranges: usize,
        work: impl Fn(&StoredReader, usize, &SyncSender<T>) -> Result<(), ReadError> + Sync,
        mut take: impl FnMut(T) -> Result<(), ReplayError>,
    ) -> Result<(), ReplayError> {
        let (batches, received) = sync_channel(WAITING_BATCHES);
        let next = AtomicUsize::new(0);
        let failure: Mutex<Option<ReadError>> = Mutex::new(None);
        let written = thread::scope(|scope| {
            for _ in 0..self.threads.min(ranges) {
                let batches = batches.clone();
                scope.spawn(|| {
                    let batches = batches;
                    let fold = || -> Result<(), ReadError> {
                        let reader = StoredReader::open(self.log)?;
                        loop {
                            let index = next.fetch_add(1, Ordering::Relaxed);
                            if index >= ranges || self.progress.is_stopped() {
                                return Ok(());
                            }
                            work(&reader, index, &batches)?;
                        }
                    };
                    if let Err(error) = fold() {
                        next.store(ranges, Ordering::Relaxed);
                        failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    }
                });
            }
            drop(batches);
            let written = received.iter().try_for_each(&mut take);
            // The threads end when nobody receives what they send.
            drop(received);
            written
        });
        written?;
        if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error.into());
        }
        if self.progress.is_stopped() { Err(ReplayError::Stopped) } else { Ok(()) }
    }
}

/// Counts the usage of the commits after the position `after` up to `until`. A damaged commit adds nothing.
fn count_range(reader: &StoredReader, after: u64, until: u64) -> Result<(Counts, Amounts), ReadError> {
    let (mut counts, mut amounts) = (Counts::default(), Amounts::new());
    reader.positions(after, until, |commit| {
        if let Ok(commit) = commit.and_then(|stored| stored.commit()) {
            counts.commits += 1;
            counts.events += commit.events.len() as u64;
            let (project_id, day) = (commit.stream.project_id().to_string(), day_of(&commit).to_string());
            for (name, amount) in UsageCounters::of(&commit).counters().filter(|(_, amount)| *amount > 0) {
                *amounts.entry((project_id.clone(), day.clone(), name)).or_default() +=
                    i64::try_from(amount).unwrap_or(i64::MAX);
            }
        }
        ControlFlow::Continue(())
    })?;
    Ok((counts, amounts))
}
