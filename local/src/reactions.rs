//! Runs the application on one machine: reactions to the log's changes, views, the sweep, and the recovery after a start.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use streamio_core::delivery::batch::{Batch, Record, Report};
use streamio_core::fold_cache::{EndpointCache, ProjectCache, WebhookFolds};
use streamio_core::ports::task_launcher::TaskLauncher as _;
use streamio_core::reactions::batch::{is_relevant, react_batch};
use streamio_core::reactions::react::Ports;
use streamio_core::reactions::sweep::{Bounds, sweep};
use streamio_core::reactions::tasks;
use streamio_core::views::batch::{self as views, refresh_batch};
use streamio_core::views::status::refresh;
use streamio_core::webhooks::scheduling;
use streamio_events::commit::Commit;
use streamio_events::error_chain::chain;
use streamio_events::log::Part;
use streamio_events::sqlite::SqliteLog;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::decide::{Interruption, WorkerEnd};
use streamio_events::video::{Phase, Policy};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock;
use crate::feed::{Consumer, DeliverBatch, is_quarantine};
use crate::objects::StoredObjects;
use crate::outage::Outage;
use crate::project_feed::LogFeed;
use crate::runner::{Runner, TASK_PREFIX};
use crate::view_store::{CountedUsage, SqliteViewStore};

/// The pause between two sweeps. A sweep is one query of an index.
const SWEEP_PERIOD: Duration = Duration::from_secs(1);
const SWEEP_BOUNDS: Bounds = Bounds { videos: 256, time: Duration::from_mins(1) };

/// Why an attempt was interrupted whose worker an earlier run of the platform left.
const RESTARTED: &str = "the platform was restarted";

/// How often abandoned multipart uploads are looked up.
const ABANDONED_UPLOADS_PERIOD: Duration = Duration::from_hours(1);

/// A multipart upload without a new part for this long is abandoned: its parts are removed. The longest lifetime of an upload
/// URL is seven days, so no part can arrive afterwards.
const ABANDONED_AFTER: Duration = Duration::from_hours(7 * 24);

/// The adapters of the application.
pub(crate) struct Reactions {
    pub(crate) log: SqliteLog,
    pub(crate) store: SqliteViewStore,
    pub(crate) runner: Runner,
    pub(crate) objects: StoredObjects,
    pub(crate) usage: CountedUsage,
    pub(crate) projects: ProjectCache,
    pub(crate) endpoints: Arc<EndpointCache>,
    pub(crate) places: LogFeed,
    pub(crate) outage: Arc<Outage>,
    pub(crate) policy: Policy,
}

impl Reactions {
    /// Updates the views and recovers what an earlier run left in progress; then continues in the background, as tasks of
    /// `tasks`, until `stop`.
    pub(crate) async fn start(self, stop: &CancellationToken, tasks: &TaskTracker) {
        let this = Arc::new(self);
        let views =
            this.consumer("views", |commit| views::is_relevant(&commit.stream) && !is_quarantine(commit));
        let handler = Views(Arc::clone(&this), WebhookFolds::default());
        views.retry_pending(&handler).await;
        while views.deliver_next(&handler).await {}
        this.recover_in_progress().await;

        let stopped = stop.clone();
        tasks.spawn(async move { views.run(stopped, &handler).await });
        let (consumer, handler) = (this.consumer("react", wants_reaction), React(Arc::clone(&this)));
        let stopped = stop.clone();
        tasks.spawn(async move { consumer.run(stopped, &handler).await });
        let stopped = stop.clone();
        tasks.spawn(async move {
            tokio::select! {
                ((), ()) = futures::future::join(this.sweep(), this.remove_abandoned_uploads()) => {}
                () = stopped.cancelled() => {}
            }
        });
    }

    fn consumer(&self, name: &'static str, wants: fn(&Commit) -> bool) -> Consumer {
        Consumer::new(name, wants, self.log.clone(), self.store.clone())
    }

    fn ports(&self) -> Ports<'_> {
        Ports {
            log: &self.log,
            launcher: &self.runner,
            objects: &self.objects,
            usage: &self.usage,
            // The runner gives slots to projects in turn, within their limits.
            slots: None,
            projects: &self.projects,
            policy: &self.policy,
        }
    }

    /// Records that the workers of an earlier run were interrupted, and launches workers for its dispatched and completed attempts.
    /// Workers are children of the platform and end with it.
    async fn recover_in_progress(&self) {
        let rows = match self.store.in_progress().await {
            Ok(rows) => rows,
            Err(error) => {
                tracing::error!(error = %error, "videos in progress cannot be read; the sweep finds them");
                return;
            }
        };
        for row in rows {
            let video = row.video;
            let Some(job) = &video.job else { continue };
            match &video.phase {
                Phase::Started { task, .. } if task.starts_with(TASK_PREFIX) => {
                    let end = WorkerEnd::Interrupted(Interruption::Stopped(RESTARTED.to_owned()));
                    if let Err(error) = tasks::ended(&self.log, clock::now(), job, task, &end).await {
                        tracing::error!(video.id = %video.video_id, error = %error, "an interruption could not be recorded");
                    }
                }
                Phase::Dispatched { .. } | Phase::Completed { .. } => {
                    if let Err(error) = self.runner.launch(job).await {
                        tracing::error!(video.id = %video.video_id, error = %error, "a worker could not be launched");
                    }
                }
                _ => {}
            }
        }
    }

    async fn remove_abandoned_uploads(&self) {
        let mut period = tokio::time::interval(ABANDONED_UPLOADS_PERIOD);
        loop {
            period.tick().await;
            match self.objects.abort_uploads_before(abandoned_before()).await {
                Ok(0) => {}
                Ok(count) => tracing::info!(count, "abandoned multipart uploads were removed"),
                Err(error) => {
                    tracing::error!(
                        error = chain(&*error),
                        "abandoned multipart uploads could not be removed; retrying later"
                    );
                }
            }
        }
    }

    /// Makes the rows that could not be read again from the log.
    async fn fold_unreadable_rows(&self) {
        for (project_id, video_id) in self.store.take_unreadable() {
            if let Err(error) = refresh(&self.log, &self.store, &self.policy, &project_id, &video_id).await {
                tracing::error!(video.id = %video_id, error = chain(&error), "an unreadable row could not be made again");
            }
        }
    }

    async fn sweep(&self) {
        let mut period = tokio::time::interval(SWEEP_PERIOD);
        period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            period.tick().await;
            self.fold_unreadable_rows().await;
            if let Err(error) = sweep(self.ports(), &self.store, &clock::now, Part::WHOLE, SWEEP_BOUNDS).await
            {
                tracing::error!(error = %error, "the sweep could not read which videos are due");
            }
        }
    }
}

/// The time before which an upload without a new part is abandoned.
fn abandoned_before() -> Timestamp {
    let age = i64::try_from(ABANDONED_AFTER.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_unix_millis(clock::now().unix_millis().saturating_sub(age))
}

/// Whether the reactions have something to do for `commit`.
fn wants_reaction(commit: &Commit) -> bool {
    matches!(commit.stream, StreamId::Video(..) | StreamId::Webhooks(_)) && is_relevant(commit)
}

/// Delivers to the reactions.
struct React(Arc<Reactions>);

#[async_trait]
impl DeliverBatch for React {
    async fn deliver(&self, batch: Batch<'_>, records: &[Record<Commit>]) -> Report {
        let Reactions { log, places, endpoints, .. } = &*self.0;
        let messages = scheduling::Ports { log, endpoints, places };
        react_batch(batch, self.0.ports(), Some(messages), None, records, &clock::now).await
    }
}

/// Delivers to the views.
struct Views(Arc<Reactions>, WebhookFolds);

#[async_trait]
impl DeliverBatch for Views {
    async fn deliver(&self, batch: Batch<'_>, records: &[Record<Commit>]) -> Report {
        let Reactions { log, store, usage, projects, outage, policy, .. } = &*self.0;
        records
            .iter()
            .filter_map(|record| record.content.as_ref().ok())
            .for_each(|commit| outage.observe(commit));
        let ports = views::Ports { log, store, deliveries: store, folds: &self.1, usage, projects, policy };
        refresh_batch(batch, ports, records, &clock::now).await
    }
}
