//! A data directory whose views are made as the platform makes them.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures::future::try_join_all;
use rusqlite::Connection;
use streamio_core::delivery::batch::{Batch, Record, Report as BatchReport};
use streamio_core::fold_cache::{ProjectCache, WebhookFolds};
use streamio_core::ports::delivery_store::DeliveryStore as _;
use streamio_core::ports::usage_store::UsageStore as _;
use streamio_core::views::batch::{Ports, is_relevant, refresh_batch};
use streamio_events::commit::Commit;
use streamio_events::log::{EventLog as _, Expected};
use streamio_events::sqlite::SqliteLog;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::Policy;
use tokio::runtime::Runtime;

use super::super::{Options, ReplayError, Report, replay};
use super::history::{self, Step};
use crate::clock;
use crate::data_dir::DataDir;
use crate::feed::{Consumer, DeliverBatch, is_quarantine};
use crate::platform::policy_of_replays;
use crate::progress::Progress;
use crate::view_store::{CountedUsage, SqliteViewStore};

/// How many appends of [`World::fill`] are in flight.
const IN_FLIGHT: usize = 256;

/// How many events the commits of [`World::fill`] have.
const EVENTS_PER_COMMIT: u32 = 4;

pub(super) struct World {
    scratch: tempfile::TempDir,
    pub(super) data_dir: DataDir,
    runtime: Runtime,
    log: SqliteLog,
    store: Option<SqliteViewStore>,
    commits: u64,
}

/// Delivers to the views.
struct Views {
    log: SqliteLog,
    store: SqliteViewStore,
    policy: Policy,
    folds: WebhookFolds,
    projects: ProjectCache,
}

#[async_trait]
impl DeliverBatch for Views {
    async fn deliver(&self, batch: Batch<'_>, records: &[Record<Commit>]) -> BatchReport {
        let Self { log, store, policy, folds, projects } = self;
        let usage = &CountedUsage { log: log.clone(), views: store.clone() };
        let ports = Ports { log, store, deliveries: store, folds, usage, projects, policy };
        refresh_batch(batch, ports, records, &clock::now).await
    }
}

impl World {
    pub(super) fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let data_dir = DataDir::open(scratch.path()).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let log = runtime.block_on(async { SqliteLog::open(data_dir.log()) }).unwrap();
        Self { scratch, data_dir, runtime, log, store: None, commits: 0 }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// When the commit `number` is recorded.
    pub(super) fn time(number: u64) -> Timestamp {
        Timestamp::from_unix_seconds(1_767_323_045 + i64::try_from(number).unwrap() * 3600)
    }

    /// Appends a commit for each step.
    pub(super) fn run(&mut self, steps: &[Step]) {
        for step in steps {
            self.commits += 1;
            let (stream, commit) = history::commit(self.commits, Self::time(self.commits), *step);
            self.runtime.block_on(self.log.append(&stream, Expected::Any, commit)).unwrap();
        }
    }

    /// Appends commits of several events to many videos, at least `events` events.
    pub(super) fn fill(&mut self, events: u64) {
        let commits = events.div_ceil(EVENTS_PER_COMMIT.into());
        let videos = u32::try_from(commits.div_ceil(5)).unwrap();
        let numbers: Vec<u64> = (1..=commits).collect();
        for chunk in numbers.chunks(IN_FLIGHT) {
            let appends = chunk.iter().map(|number| {
                let video = u32::try_from(number % u64::from(videos)).unwrap();
                let (stream, commit) =
                    history::video_commit(*number, Self::time(number % 1000), video, EVENTS_PER_COMMIT);
                let log = &self.log;
                async move { log.append(&stream, Expected::Any, commit).await }
            });
            self.runtime.block_on(try_join_all(appends)).unwrap();
        }
        self.commits = commits;
    }

    fn store(&mut self) -> SqliteViewStore {
        let path = self.data_dir.views();
        self.store.get_or_insert_with(|| SqliteViewStore::open(&path).unwrap()).clone()
    }

    fn consumer(&mut self) -> (Consumer, Views) {
        let (log, store) = (self.log.clone(), self.store());
        let wants = |commit: &Commit| is_relevant(&commit.stream) && !is_quarantine(commit);
        let views = Views {
            log: log.clone(),
            store: store.clone(),
            policy: policy_of_replays(),
            folds: WebhookFolds::default(),
            projects: ProjectCache::default(),
        };
        (Consumer::new("views", wants, log, store), views)
    }

    /// Brings the views to the end of the log.
    pub(super) fn deliver(&mut self) {
        let (consumer, views) = self.consumer();
        let usage = CountedUsage { log: self.log.clone(), views: self.store() };
        self.runtime.block_on(async {
            while consumer.deliver_next(&views).await {}
            let day = "2026-01-02".parse().unwrap();
            usage.usage(&"acme".parse().unwrap(), day, day).await.unwrap();
        });
    }

    /// Makes a delivery due no more, as the platform does with one that it cannot continue.
    pub(super) fn remove_due(&mut self, webhook: u8, message: u8) {
        let store = self.store();
        self.runtime.block_on(store.remove_due(&history::delivery_key(webhook, message))).unwrap();
    }

    /// [`Self::deliver`], and then the platform is killed before it stores its position.
    pub(super) fn deliver_without_position(&mut self) {
        let store = self.store();
        let position = self.runtime.block_on(store.cursor("views")).unwrap();
        let (consumer, views) = self.consumer();
        self.runtime.block_on(async {
            while consumer.deliver_next(&views).await {}
            store.advance("views", position, std::collections::BTreeMap::new()).await.unwrap();
        });
    }

    pub(super) fn replay(&self, options: &Options) -> Result<Report, ReplayError> {
        replay(&self.data_dir, options, &Progress::default())
    }

    /// A replay while commits are appended and delivered. Returns how many were.
    pub(super) fn replay_during_writes(&mut self, options: &Options) -> (Report, u64) {
        let (consumer, views) = self.consumer();
        let (log, first) = (self.log.clone(), self.commits);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let writing = self.runtime.spawn(async move {
            let mut number = first;
            while !stopped.load(Ordering::Relaxed) {
                number += 1;
                let video = u32::try_from(number % 1000).unwrap();
                let (stream, commit) = history::video_commit(number, Self::time(number % 1000), video, 2);
                log.append(&stream, Expected::Any, commit).await.unwrap();
            }
            number - first
        });
        let stopped = Arc::clone(&stop);
        let delivering = self.runtime.spawn(async move {
            while !stopped.load(Ordering::Relaxed) {
                if !consumer.deliver_next(&views).await {
                    tokio::task::yield_now().await;
                }
            }
        });
        let report = self.replay(options);
        stop.store(true, Ordering::Relaxed);
        let written = self.runtime.block_on(writing).unwrap();
        self.runtime.block_on(delivering).unwrap();
        (report.unwrap(), written)
    }

    pub(super) fn views_connection(&self) -> Connection {
        Connection::open(self.data_dir.views()).unwrap()
    }

    /// The rows of the status view as text.
    pub(super) fn view_rows(&self) -> Vec<(String, i64, Option<i64>, String)> {
        let connection = self.views_connection();
        let mut statement = connection
            .prepare("SELECT video_id, version, due_at, row FROM videos ORDER BY video_id")
            .unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)));
        rows.unwrap().map(Result::unwrap).collect()
    }
}
