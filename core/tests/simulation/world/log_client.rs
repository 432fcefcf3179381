//! A process's connection to the log.

use std::sync::Arc;

use async_trait::async_trait;
use streamio_events::commit::{Commit, Head, NewCommit};
use streamio_events::log::{AppendError, Appended, EventLog, Expected, LogPage, Part, ReadError, StreamPage};
use streamio_events::stream::StreamId;

use super::World;
use crate::engine::{Actor, Millis, SECOND};
use crate::faults::Fault;
use crate::invariants;

/// How long a client tries a log that does not respond.
const TIMEOUT: u64 = 2 * SECOND;

/// The longest time in which the embedded log syncs a group of commits. Nobody sees a commit before that.
const SYNC: u64 = 10;

/// What SQLite states when no disk space is left.
const DISK_FULL: &str = "database or disk is full";

/// How many commits a page of a scan has at most.
const SCAN_PAGE: usize = 16;

/// A place in a scan, which returns stream by stream.
struct ScanCursor {
    /// When the scan began.
    began: Millis,
    /// The stream and the first version of the last commit that was returned.
    last: Option<(StreamId, u64)>,
}

impl ScanCursor {
    fn first(began: Millis) -> Self {
        Self { began, last: None }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(' ');
        let began = parts.next()?.parse().ok()?;
        let last = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(Self { began, last: Some(last) })
    }

    /// The cursor after `commit`.
    fn after(&self, commit: &Commit) -> String {
        format!("{} {} {}", self.began, commit.stream, commit.first)
    }

    fn is_before(&self, commit: &Commit) -> bool {
        self.last.as_ref().is_none_or(|(stream, first)| (stream, *first) < (&commit.stream, commit.first))
    }
}

/// A commit that is written and not yet synced. Counts it if it is lost.
struct Unsynced<'a> {
    client: &'a LogClient,
    is_synced: bool,
}

impl Drop for Unsynced<'_> {
    fn drop(&mut self) {
        if !self.is_synced && self.client.world.machine.is_off() {
            self.client.world.faults.count(Fault::LostCommit, self.client.actor.engine.now());
        }
    }
}

/// The log as a process reaches it.
#[derive(Clone)]
pub(crate) struct LogClient {
    pub(crate) world: Arc<World>,
    pub(crate) actor: Arc<Actor>,
    /// Whether the process is a worker, whose network may be partitioned.
    pub(crate) is_worker: bool,
}

impl LogClient {
    async fn reach(&self) -> Result<(), &'static str> {
        self.actor.travel().await;
        if self.actor.meets(Fault::LogUnavailable) {
            self.actor.sleep(TIMEOUT).await;
            return Err("the log does not respond");
        }
        if self.is_worker && self.actor.meets(Fault::Partition) {
            self.actor.sleep(TIMEOUT).await;
            return Err("the network is partitioned");
        }
        if self.actor.meets(Fault::LogThrottled) {
            return Err("the log is throttled");
        }
        Ok(())
    }

    async fn read_access(&self) -> Result<(), ReadError> {
        self.reach().await.map_err(|reason| ReadError::Unavailable(reason.into()))
    }
}

#[async_trait]
impl EventLog for LogClient {
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        commit: NewCommit,
    ) -> Result<Appended, AppendError> {
        self.reach().await.map_err(|reason| AppendError::Unavailable(reason.into()))?;
        if self.world.plan.has_one_clock {
            if self.actor.meets(Fault::LogDiskFull) {
                return Err(AppendError::Unavailable(DISK_FULL.into()));
            }
            let mut unsynced = Unsynced { client: self, is_synced: false };
            self.world.machine.is_syncing();
            self.actor.sleep(1 + self.actor.below(SYNC)).await;
            unsynced.is_synced = true;
        }
        let appended = invariants::append(&self.world, stream, expected, commit);
        self.actor.travel().await;
        if self.actor.meets(Fault::LostResponse) {
            return Err(AppendError::Unavailable("the response is lost".into()));
        }
        appended
    }

    async fn head(&self, stream: &StreamId) -> Result<Head, ReadError> {
        self.read_access().await?;
        Ok(self.world.state().ledger.head(stream))
    }

    async fn read(&self, stream: &StreamId, from: u64, limit: usize) -> Result<StreamPage, ReadError> {
        self.read_access().await?;
        let page = self.world.state().ledger.read(stream, from, limit);
        self.actor.travel().await;
        Ok(page)
    }

    async fn scan(&self, part: Part, after: Option<&str>, limit: usize) -> Result<LogPage, ReadError> {
        self.read_access().await?;
        let cursor =
            after.map_or_else(|| Some(ScanCursor::first(self.actor.engine.now())), ScanCursor::parse);
        let cursor = cursor.ok_or_else(|| ReadError::Unavailable("it is no cursor".into()))?;
        let page = {
            let state = self.world.state();
            // What is appended during the scan may or may not be returned.
            let is_seen = |(appended_at, _): &(Millis, &Commit)| {
                *appended_at < cursor.began || self.actor.below(2) == 0
            };
            let commits = state.ledger.scan(part, cursor.last.as_ref().map(|(stream, _)| stream));
            let rest = commits.filter(|(_, commit)| cursor.is_before(commit)).filter(is_seen);
            let mut rest = rest.map(|(_, commit)| commit);
            let commits: Vec<Commit> = rest.by_ref().take(limit.clamp(1, SCAN_PAGE)).cloned().collect();
            let next = rest.next().and_then(|_| commits.last()).map(|last| cursor.after(last));
            LogPage { commits, next }
        };
        self.actor.travel().await;
        Ok(page)
    }
}
