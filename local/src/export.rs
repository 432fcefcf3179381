//! Exports the log as JSON Lines: read, verified, encoded and compressed by several threads, and written in the order of the log.
//!
//! The log is divided into chunks of the same number of positions. A chunk of a compressed export is a member of the gzip file, or a frame of the
//! Zstandard file, of its own, so the bytes of a chunk depend on nothing else. An export that was interrupted is continued by making
//! the chunks again: what is there must be the beginning of them, and the rest is appended.

mod chain;
mod chunk;
mod error;
mod lines;
mod options;
mod parts;
mod read;
mod target;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use serde::Serialize;
use streamio_events::log::ReadError;
use streamio_events::sqlite::StoredReader;

use self::chain::Chains;
use self::chunk::Chunk;
pub use self::error::ExportError;
pub use self::lines::{Lines, Packed};
pub use self::options::{Compression, ExportOptions, Format};
pub use self::parts::{PartsError, write_parts};
pub use self::read::open;
pub use self::target::{Destination, FileTarget, Output};
use crate::data_dir::DataDir;
use crate::progress::Progress;

/// How many positions of the log are encoded and compressed together. It is part of the form of compressed exports.
const CHUNK: u64 = 1024;

/// How many chunks of each thread wait for being written.
const WAITING_CHUNKS: usize = 2;

/// The size of an export.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExportSummary {
    /// The number of commits.
    pub commits: u64,
    /// The number of events in these commits.
    pub events: u64,
    /// The position in the log of the last commit; `None` if the log has no positions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
}

/// Exports on the calling thread and others. A platform may run on the data directory.
///
/// # Errors
/// Also at a damaged commit, and at one that does not fit its stream's chain of hashes.
pub fn export(
    data_dir: &DataDir,
    options: &ExportOptions,
    to: &mut impl Destination,
    progress: &Progress,
) -> Result<ExportSummary, ExportError> {
    let log = data_dir.log();
    let reader = StoredReader::open(&log)?;
    let last = reader.last_position()?;
    let after = match options.from {
        None => 0,
        Some(from) => from.first(&reader)?.map_or(last, |first| first.saturating_sub(1)),
    };
    let until = options.to.map_or(Ok(last), |to| to.last(&reader))?.min(last);
    let threads =
        options.threads.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from)).max(1);
    progress.add_total(until.saturating_sub(after));
    let run = Run { log: &log, options, after, until, threads, progress };
    run.write(to)
}

/// An export in progress.
struct Run<'a> {
    log: &'a Path,
    options: &'a ExportOptions,
    /// The position before the first one.
    after: u64,
    /// The last position.
    until: u64,
    threads: usize,
    progress: &'a Progress,
}

impl Run<'_> {
    fn write(&self, to: &mut impl Destination) -> Result<ExportSummary, ExportError> {
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let mut made = Vec::new();
            for index in 0..self.threads {
                let (chunks, received) = sync_channel(WAITING_CHUNKS);
                made.push(received);
                let is_over = &is_over;
                scope.spawn(move || {
                    if let Err(error) = self.make(index, &chunks, is_over) {
                        // If nobody receives it, the writer has failed.
                        let _ = chunks.send(Err(error));
                    }
                });
            }
            let written = self.write_in_order(&made, to);
            is_over.store(true, Ordering::Relaxed);
            // A thread that waits for space ends with its channel.
            drop(made);
            written
        })
    }

    /// Makes every chunk whose number has the remainder `index`.
    fn make(
        &self,
        index: usize,
        chunks: &SyncSender<Result<Chunk, ReadError>>,
        is_over: &AtomicBool,
    ) -> Result<(), ReadError> {
        let reader = StoredReader::open(self.log)?;
        let mut from = self.after + index as u64 * CHUNK;
        while from < self.until && !is_over.load(Ordering::Relaxed) {
            let chunk = Chunk::read(&reader, from, self.until.min(from + CHUNK), self.options)?;
            if chunks.send(Ok(chunk)).is_err() {
                break;
            }
            from += self.threads as u64 * CHUNK;
        }
        Ok(())
    }

    fn write_in_order(
        &self,
        made: &[Receiver<Result<Chunk, ReadError>>],
        to: &mut impl Destination,
    ) -> Result<ExportSummary, ExportError> {
        let mut chains = Chains::new(self.after == 0);
        let position = Some(self.after.min(self.until));
        let mut summary = ExportSummary { position, ..ExportSummary::default() };
        let mut from = self.after;
        for received in made.iter().cycle() {
            if from >= self.until {
                break;
            }
            if self.progress.is_stopped() {
                to.flush()?;
                return Err(ExportError::Stopped);
            }
            // A thread without an error sends all its chunks.
            let chunk = received.recv().map_err(|_| ExportError::Stopped)??;
            for link in &chunk.links {
                chains.follow(link)?;
            }
            to.write(&chunk.lines.plain, chunk.lines.bytes())?;
            if let Some(damaged) = chunk.damaged {
                to.flush()?;
                return Err(ExportError::Damaged(damaged));
            }
            summary.commits += chunk.lines.commits;
            summary.events += chunk.lines.events;
            let until = self.until.min(from + CHUNK);
            self.progress.advance(until - from);
            from = until;
            summary.position = Some(until);
        }
        to.finish()?;
        Ok(summary)
    }
}

#[cfg(test)]
mod tests;
