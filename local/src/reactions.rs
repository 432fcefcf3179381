//! Everything that happens by itself: reactions to the log's changes, views, the sweep, and what is done first after a
//! start.

use std::sync::Arc;
use std::time::Duration;

use streamio_core::ports::task_launcher::TaskLauncher as _;
use streamio_core::reactions::react::{Ports, calls_for_action, react};
use streamio_core::reactions::sweep::{Bounds, sweep};
use streamio_core::reactions::tasks;
use streamio_core::views::status::refresh;
use streamio_events::commit::Commit;
use streamio_events::sqlite::SqliteLog;
use streamio_events::video::decide::WorkerEnd;
use streamio_events::video::{Phase, Policy};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock;
use crate::feed::{Consumer, is_quarantine};
use crate::objects::StoredObjects;
use crate::runner::{Runner, TASK_PREFIX};
use crate::view_store::SqliteViewStore;

/// How often is looked for what is due. It is one look into an index.
const SWEEP_PERIOD: Duration = Duration::from_secs(1);
const SWEEP_BOUNDS: Bounds = Bounds { videos: 256, time: Duration::from_mins(1) };

/// What the reactions work with.
pub(crate) struct Reactions {
    pub(crate) log: SqliteLog,
    pub(crate) store: SqliteViewStore,
    pub(crate) runner: Runner,
    pub(crate) objects: StoredObjects,
    pub(crate) policy: Policy,
}

impl Reactions {
    /// Brings the views up to date and takes up what an earlier run of the platform left behind; then goes on in the
    /// background, within `tasks`, until `stop`.
    pub(crate) async fn start(self, stop: &CancellationToken, tasks: &TaskTracker) {
        let this = Arc::new(self);
        let views = this.consumer("views", |commit| !is_quarantine(commit));
        while views
            .pass(&|project_id, video_id| {
                let this = Arc::clone(&this);
                async move {
                    refresh(&this.log, &this.store, &this.policy, &project_id, &video_id).await.map(drop)
                }
            })
            .await
        {}
        this.take_up().await;

        let (views_of, stopped) = (Arc::clone(&this), stop.clone());
        tasks.spawn(async move {
            views
                .run(stopped, |project_id, video_id| {
                    let this = Arc::clone(&views_of);
                    async move {
                        refresh(&this.log, &this.store, &this.policy, &project_id, &video_id).await.map(drop)
                    }
                })
                .await;
        });
        let (reacting, stopped) = (Arc::clone(&this), stop.clone());
        tasks.spawn(async move {
            let consumer = reacting.consumer("react", calls_for_action);
            consumer
                .run(stopped, |project_id, video_id| {
                    let this = Arc::clone(&reacting);
                    async move { react(this.ports(), clock::now(), &project_id, &video_id).await.map(drop) }
                })
                .await;
        });
        let stopped = stop.clone();
        tasks.spawn(async move {
            tokio::select! {
                () = this.sweep() => {}
                () = stopped.cancelled() => {}
            }
        });
    }

    fn consumer(&self, name: &'static str, wants: fn(&Commit) -> bool) -> Consumer {
        Consumer { name, wants, log: self.log.clone(), store: self.store.clone() }
    }

    fn ports(&self) -> Ports<'_> {
        Ports { log: &self.log, launcher: &self.runner, objects: &self.objects, policy: &self.policy }
    }

    /// Workers are children of the platform and end with it, so whatever an earlier run of it left started is over, and
    /// whatever it left dispatched or completed has no worker.
    async fn take_up(&self) {
        let rows = match self.store.in_progress().await {
            Ok(rows) => rows,
            Err(error) => {
                tracing::error!(error = %error, "videos in progress cannot be found; the sweep will find them");
                return;
            }
        };
        for row in rows {
            let video = row.video;
            let Some(job) = &video.job else { continue };
            match &video.phase {
                Phase::Started { task, .. } if task.starts_with(TASK_PREFIX) => {
                    let end = WorkerEnd::Stopped("the platform was restarted".to_owned());
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

    async fn sweep(&self) {
        let mut period = tokio::time::interval(SWEEP_PERIOD);
        period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            period.tick().await;
            if let Err(error) = sweep(self.ports(), &self.store, &clock::now, SWEEP_BOUNDS).await {
                tracing::error!(error = %error, "the sweep could not look for what is due");
            }
        }
    }
}
