//! Runs a replay.

use std::collections::HashSet;
use std::path::PathBuf;
use std::thread;
use std::time::Instant;

use serde::Serialize;
use streamio_events::sqlite::StoredReader;
use streamio_events::video::Policy;

use super::compare::{self, Comparison, compare};
use super::differences::Difference;
use super::error::ReplayError;
use super::file::RebuiltView;
use super::live::LiveView;
use super::options::{Options, View};
use super::rebuild::Rebuild;
use super::scope::{Scope, changed_units};
use super::stream_rows::{Folded, Limit, fold};
use super::swap::swap;
use crate::data_dir::DataDir;
use crate::lock_file::LockFile;
use crate::platform::policy_of_replays;
use crate::progress::Progress;

/// With fewer commits than this after the rebuilt ones, the views are compared.
const NEAR: u64 = 1000;

/// How often the platform may have appended more than that while the rest was folded.
const MAX_ROUNDS: u32 = 20;

/// How often rows may differ again after they were replaced.
const MAX_SWAPS: u32 = 3;

/// A stream whose rows are neither compared nor replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// The stream.
    pub stream: String,
    /// Why not.
    pub reason: String,
}

/// The result of a replay.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The view.
    pub view: View,
    /// The position in the log of the last commit that was folded.
    pub position: u64,
    /// The number of commits that were folded, and read.
    pub commits: u64,
    /// The number of events in these commits.
    pub events: u64,
    /// The number of rebuilt rows.
    pub rows: u64,
    /// The SHA-256 over the rebuilt rows that are compared, in the order of their keys.
    pub hash: String,
    /// The SHA-256 over the live rows that are compared; absent if there is no live view.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub live_hash: Option<String>,
    /// The rows in which the live view differs, or differed before they were replaced.
    pub differences: Vec<Difference>,
    /// Whether the rows that differ were replaced.
    pub swapped: bool,
    /// Streams that cannot be read: damaged, or with events that this release does not understand.
    pub unreadable: Vec<Skipped>,
    /// The number of streams that the platform has yet to bring into the live view. They are not compared.
    pub pending: usize,
    /// How long the rebuild took, without the comparison.
    pub rebuild_seconds: f64,
}

/// The numbers of what was folded.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) commits: u64,
    pub(super) events: u64,
}

impl Counts {
    pub(super) fn add(&mut self, folded: &Folded) {
        self.commits += folded.commits;
        self.events += folded.events;
    }
}

/// Replays a view on the calling thread and others. A platform may run on the data directory.
pub fn replay(data_dir: &DataDir, options: &Options, progress: &Progress) -> Result<Report, ReplayError> {
    let path = data_dir.replay_lock();
    let lock = LockFile::try_lock(&path).map_err(|source| ReplayError::Io { path, source })?;
    let _lock = lock.ok_or(ReplayError::InUse)?;
    let live = LiveView::open(&data_dir.views(), options.view)?;
    if live.is_none() && (options.swap || options.into.is_none()) {
        return Err(ReplayError::NoViews(data_dir.views()));
    }
    let path = options.into.clone().unwrap_or_else(|| data_dir.replayed_views());
    let rebuilt = RebuiltView::create(&path)?;
    let (log, policy) = (data_dir.log(), policy_of_replays());
    let reader = StoredReader::open(&log)?;
    let to = options.to.map_or(Ok(u64::MAX), |to| to.last(&reader))?;
    let engine = Engine { options, progress, policy, log, reader, to, rebuilt, live };
    let (report, rebuilt) = engine.run()?;
    if options.into.is_some() {
        rebuilt.keep()?;
    }
    Ok(report)
}

/// The parts of a replay.
pub(super) struct Engine<'a> {
    pub(super) options: &'a Options,
    pub(super) progress: &'a Progress,
    pub(super) policy: Policy,
    log: PathBuf,
    pub(super) reader: StoredReader,
    /// The last position that is folded.
    to: u64,
    pub(super) rebuilt: RebuiltView,
    live: Option<LiveView>,
}

/// How far a replay has come.
#[derive(Debug, Default)]
pub(super) struct Reached {
    /// The position of the last commit that the rebuilt view has.
    pub(super) position: u64,
    pub(super) scope: Scope,
    counts: Counts,
}

impl Engine<'_> {
    fn run(self) -> Result<(Report, RebuiltView), ReplayError> {
        let began = Instant::now();
        let view = self.options.view;
        let last = self.reader.last_position()?;
        let mut reached = self.rebuild(self.live_position(last)?.min(self.to))?;
        for _ in 0..MAX_ROUNDS {
            let next = self.live_position(reached.position)?.min(self.to);
            if next < reached.position.saturating_add(NEAR) {
                break;
            }
            self.catch_up(&mut reached, next)?;
        }
        let rebuild_seconds = began.elapsed().as_secs_f64();
        let mut comparison = match &self.live {
            Some(live) => self.compare_snapshot(live, &mut reached)?,
            None => compare::without_live(view, &self.rebuilt)?,
        };
        let differences = comparison.differences.clone();
        let mut swapped = false;
        if let Some(live) = self.live.as_ref().filter(|_| self.options.swap) {
            for _ in 0..MAX_SWAPS {
                if comparison.differences.is_empty() {
                    break;
                }
                self.check_stopped()?;
                swap(&self, live, &comparison.differences, &mut reached)?;
                swapped = true;
                comparison = self.compare_snapshot(live, &mut reached)?;
            }
        }
        let Reached { position, scope, counts } = reached;
        let report = Report {
            view,
            position,
            commits: counts.commits,
            events: counts.events,
            rows: comparison.rows,
            hash: comparison.rebuilt,
            live_hash: comparison.live,
            differences,
            swapped,
            unreadable: scope
                .unreadable
                .into_iter()
                .map(|(stream, reason)| Skipped { stream, reason })
                .collect(),
            pending: scope.pending.len(),
            rebuild_seconds,
        };
        Ok((report, self.rebuilt))
    }

    pub(super) fn check_stopped(&self) -> Result<(), ReplayError> {
        if self.progress.is_stopped() { Err(ReplayError::Stopped) } else { Ok(()) }
    }

    /// The position of the live view, or `otherwise` without one.
    fn live_position(&self, otherwise: u64) -> Result<u64, ReplayError> {
        self.live.as_ref().map_or(Ok(otherwise), LiveView::position)
    }

    /// Rebuilds the view up to the position `until`.
    fn rebuild(&self, until: u64) -> Result<Reached, ReplayError> {
        let threads =
            self.options.threads.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));
        let Self { log, policy, progress, .. } = self;
        let rebuild = Rebuild { log, policy, progress, threads: threads.max(1), until };
        let mut scope = Scope::default();
        let counts = match self.options.view {
            View::Usage => rebuild.usage(0, &self.rebuilt)?,
            view => rebuild.streams(view, &self.rebuilt, &mut scope.unreadable)?,
        };
        Ok(Reached { position: until, scope, counts })
    }

    /// Folds what the commits up to the position `until` change.
    pub(super) fn catch_up(&self, reached: &mut Reached, until: u64) -> Result<(), ReplayError> {
        let Self { reader, policy, progress, .. } = self;
        let from = std::mem::replace(&mut reached.position, until);
        if self.options.view == View::Usage {
            let rebuild = Rebuild { log: &self.log, policy, progress, threads: 1, until };
            let counted = rebuild.usage(from, &self.rebuilt)?;
            reached.counts.commits += counted.commits;
            reached.counts.events += counted.events;
            return Ok(());
        }
        for stream in changed_units(reader, self.options.view, from, until)? {
            self.check_stopped()?;
            let folded = fold(reader, policy, &stream, Limit::position(until))?;
            reached.counts.add(&folded);
            self.store(folded, &mut reached.scope)?;
        }
        Ok(())
    }

    /// Brings the rebuilt view to the position of the live one, or to the last position that is folded. Returns the position of the live view.
    pub(super) fn follow(&self, live: &LiveView, reached: &mut Reached) -> Result<u64, ReplayError> {
        let position = live.position()?;
        let until = position.min(self.to);
        if until < reached.position {
            return Err(ReplayError::Replaced);
        }
        self.catch_up(reached, until)?;
        reached.scope.pending = live.pending()?;
        Ok(position)
    }

    /// Replaces the rebuilt rows of a stream.
    pub(super) fn store(&self, folded: Folded, scope: &mut Scope) -> Result<(), ReplayError> {
        self.rebuilt.replace(&folded)?;
        match folded.rows {
            Ok(_) => scope.unreadable.remove(&folded.stream),
            Err(reason) => scope.unreadable.insert(folded.stream, reason),
        };
        Ok(())
    }

    /// Compares a snapshot of the live view with the rebuilt one, which is brought to its position.
    fn compare_snapshot(&self, live: &LiveView, reached: &mut Reached) -> Result<Comparison, ReplayError> {
        live.execute("BEGIN")?;
        let compared = self.compare_at_position(live, reached);
        live.execute("ROLLBACK")?;
        compared
    }

    fn compare_at_position(&self, live: &LiveView, reached: &mut Reached) -> Result<Comparison, ReplayError> {
        let live_position = self.follow(live, reached)?;
        let Reached { position, ref mut scope, .. } = *reached;
        let view = self.options.view;
        if let Some(from) = self.options.from {
            scope.only = Some(match from.first(&self.reader)? {
                Some(first) => changed_units(&self.reader, view, first.saturating_sub(1), position)?,
                None => HashSet::new(),
            });
        }
        if position < live_position {
            scope.except = changed_units(&self.reader, view, position, self.reader.last_position()?)?;
        }
        let comparison = compare(view, live, &self.rebuilt, scope)?;
        if view == View::Usage || !self.align(live, &comparison, position, scope)? {
            return Ok(comparison);
        }
        compare(view, live, &self.rebuilt, scope)
    }
}
