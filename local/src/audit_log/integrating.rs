//! The task that integrates new commits into the trees of their projects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use streamio_core::audit::integration::{Integrated, Integration, IntegrationError};
use streamio_core::audit::keys::AuditKeys;
use streamio_core::audit::recording::{Recording, RecordingError, last_recorded, record};
use streamio_core::home_region::AuditPorts;
use streamio_events::error_chain::chain;
use streamio_events::id::ProjectId;
use streamio_events::sqlite::SqliteLog;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{AuditFiles, LogHashes};
use crate::clock;
use crate::platform::CheckpointIntervals;
use crate::project_feed::LogFeed;

/// The pause before a project is tried again whose commits could not be integrated, in intervals between checkpoints.
const RETRY: u32 = 6;

/// The pause before a project is tried again at a stop.
const PAUSE: Duration = Duration::from_millis(100);

/// How long the last commits before a stop may take to get into a checkpoint. The others get into one after the next start.
const STOP_TIME: Duration = Duration::from_secs(5);

/// Integrates the commits of all projects.
pub(crate) struct Audit {
    pub(crate) log: SqliteLog,
    pub(crate) files: AuditFiles,
    pub(crate) keys: AuditKeys,
    pub(crate) intervals: CheckpointIntervals,
}

/// Why a project was not integrated.
#[derive(Debug, thiserror::Error)]
enum AuditError {
    #[error(transparent)]
    Recorded(#[from] RecordingError),
    #[error(transparent)]
    Integration(#[from] IntegrationError),
}

/// Which projects are looked at, and when.
#[derive(Default)]
struct Schedule {
    /// The position up to which the log was read for new commits.
    position: u64,
    /// The projects that have commits to integrate, or a checkpoint to record.
    due: BTreeSet<ProjectId>,
    /// Those of them that are not looked at yet in the present round.
    round: BTreeSet<ProjectId>,
    /// When each of the projects is tried again that could not be integrated.
    failed: BTreeMap<ProjectId, Instant>,
    /// When each of the projects is due whose checkpoint has commits that no recorded one has.
    unrecorded: BTreeMap<ProjectId, Instant>,
}

impl Schedule {
    /// Makes the projects due whose time has come.
    fn wake(&mut self, now: Instant) {
        let has_come = |_: &ProjectId, at: &mut Instant| *at <= now;
        let due = self.unrecorded.extract_if(.., has_come).map(|(project_id, _)| project_id);
        self.due.extend(due);
        self.due.retain(|project_id| !self.failed.contains_key(project_id));
        self.due.extend(self.failed.extract_if(.., has_come).map(|(project_id, _)| project_id));
    }

    /// The next time that a project becomes due without a new commit.
    fn next(&self) -> Option<Instant> {
        self.failed.values().chain(self.unrecorded.values()).min().copied()
    }
}

impl Audit {
    /// What the home region needs for the same logs.
    pub(crate) fn ports(&self) -> AuditPorts {
        AuditPorts {
            trees: Arc::new(self.files.clone()),
            places: Arc::new(LogFeed(self.log.clone())),
            keys: self.keys.clone(),
        }
    }

    /// Integrates new commits until `stop`: immediately after a time without any, and at most once in the interval. Then integrates what is left, for
    /// [`STOP_TIME`] at most, so `stop` should come after the last append.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut schedule = Schedule::default();
        // An interruption at any point is harmless, as a crash is.
        if stop.run_until_cancelled(self.integrate_all(&mut schedule)).await.is_none()
            && tokio::time::timeout(STOP_TIME, self.integrate_rest(&mut schedule)).await.is_err()
        {
            tracing::info!("the last commits get into a checkpoint after the next start");
        }
    }

    async fn integrate_all(&self, schedule: &mut Schedule) {
        let mut changed = self.log.watch();
        let (mut next_read, mut is_read) = (Instant::now(), false);
        loop {
            let now = Instant::now();
            if now >= next_read {
                changed.borrow_and_update();
                next_read = now + self.intervals.signed;
                is_read = self.read(schedule).await;
            }
            schedule.wake(now);
            // Each project in its turn: one with many commits delays no other by more than a batch.
            schedule.round = std::mem::take(&mut schedule.due);
            while let Some(project_id) = schedule.round.first().cloned() {
                self.turn(schedule, &project_id).await;
                // Only now: if this future is dropped before, the project is still due.
                schedule.round.remove(&project_id);
            }
            if schedule.due.is_empty() {
                let change_or_time = async {
                    tokio::time::sleep_until(next_read).await;
                    match schedule.next() {
                        _ if !is_read => {}
                        Some(at) => drop(tokio::time::timeout_at(at, changed.changed()).await),
                        None => drop(changed.changed().await),
                    }
                };
                change_or_time.await;
            }
        }
    }

    /// Integrates what was appended since the last look. Records nothing: that would be a new commit.
    async fn integrate_rest(&self, schedule: &mut Schedule) {
        self.read(schedule).await;
        schedule.due.append(&mut schedule.round);
        schedule.due.retain(|project_id| !schedule.failed.contains_key(project_id));
        let mut again = BTreeSet::new();
        while let Some(project_id) = schedule.due.pop_first() {
            match self.integrate(&project_id).await {
                Ok(Some(Integrated { more: true, .. })) => drop(schedule.due.insert(project_id)),
                Ok(_) => {}
                // The writes of a turn that was interrupted may still be in progress on another thread.
                Err(_) if again.insert(project_id.clone()) => {
                    tokio::time::sleep(PAUSE).await;
                    schedule.due.insert(project_id);
                }
                Err(error) => report(&project_id, &error),
            }
        }
    }

    /// Makes the projects due that have new commits. Returns whether they are known.
    async fn read(&self, schedule: &mut Schedule) -> bool {
        match self.log.projects_after(schedule.position).await {
            Ok((projects, last)) => {
                schedule.due.extend(projects);
                schedule.position = last;
                true
            }
            Err(error) => {
                tracing::error!(error = chain(&error), "the log cannot be read for the audit log; retrying");
                false
            }
        }
    }

    /// Integrates a batch of a project's commits, and records the checkpoint if that is due and the tree has all commits.
    async fn turn(&self, schedule: &mut Schedule, project_id: &ProjectId) {
        match self.integrate(project_id).await {
            Ok(Some(Integrated { more: true, .. })) => drop(schedule.due.insert(project_id.clone())),
            Ok(_) => {
                if let Some(after) = self.record(project_id).await {
                    schedule.unrecorded.insert(project_id.clone(), Instant::now() + after);
                } else {
                    schedule.unrecorded.remove(project_id);
                }
            }
            Err(error) => {
                report(project_id, &error);
                schedule.failed.insert(project_id.clone(), Instant::now() + RETRY * self.intervals.signed);
            }
        }
    }

    /// Brings the tree of a project up to date, by a batch of commits at most.
    async fn integrate(&self, project_id: &ProjectId) -> Result<Option<Integrated>, AuditError> {
        let recorded = last_recorded(&self.log, project_id).await?;
        let feed = LogHashes { log: &self.log, project_id };
        let (store, signer) = (self.files.of(project_id), self.keys.signer(project_id));
        let integration =
            Integration { feed: &feed, store: &store, signer: &signer, recorded: recorded.as_ref() };
        let integrated = integration.run().await?;
        if let Some(integrated) = &integrated {
            let size = integrated.signed.checkpoint.size();
            tracing::debug!(%project_id, size, "a checkpoint was signed");
        }
        Ok(integrated)
    }

    /// Records the stored checkpoint if that is due. Returns after which time to look again, if it has commits that no recorded one has.
    async fn record(&self, project_id: &ProjectId) -> Option<Duration> {
        let recording = self.try_record(project_id).await;
        match recording {
            Ok(Recording::Recorded | Recording::NotNeeded) => None,
            Ok(Recording::NotBefore(at)) => Some(at.since(clock::now()).min(self.intervals.recorded)),
            Err(error) => {
                tracing::warn!(%project_id, error = chain(&error), "the checkpoint could not be recorded; it is tried again");
                Some(RETRY * self.intervals.signed)
            }
        }
    }

    async fn try_record(&self, project_id: &ProjectId) -> Result<Recording, AuditError> {
        let feed = LogHashes { log: &self.log, project_id };
        let (store, signer) = (self.files.of(project_id), self.keys.signer(project_id));
        let integration = Integration { feed: &feed, store: &store, signer: &signer, recorded: None };
        let Some(checkpoint) = integration.stored().await? else { return Ok(Recording::NotNeeded) };
        Ok(record(&self.log, project_id, &checkpoint, self.intervals.recorded, clock::now()).await?)
    }
}

fn report(project_id: &ProjectId, error: &AuditError) {
    tracing::error!(%project_id, error = chain(error), "the audit log of the project cannot be continued; retrying");
}

#[cfg(test)]
mod tests;
