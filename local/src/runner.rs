//! The task runner: runs workers as child processes, a limited number at a time, for the projects in turn.

mod slots;

use std::collections::HashSet;
use std::ffi::OsString;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use streamio_core::fold_cache::ProjectCache;
use streamio_core::ports::task_launcher::{LaunchError, Launched, TaskLauncher};
use streamio_core::reactions::tasks;
use streamio_events::error_chain::chain;
use streamio_events::id::ProjectId;
use streamio_events::job::Job;
use streamio_events::limits::{Limit, OwnLimits, ProjectLimits};
use streamio_events::log::EventLog;
use streamio_events::video::decide::{Interruption, WorkerEnd};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::slots::{Slot, Slots};
use crate::clock;

/// Why an attempt was interrupted whose worker was ended with the platform.
const STOPPED: &str = "the platform was stopped";

/// How long a worker may take to record its interruption before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// The prefix of the task names of all runners on one machine.
pub(crate) const TASK_PREFIX: &str = "local/";

/// How a worker is started.
#[derive(Debug, Clone)]
pub(crate) struct WorkerCommand {
    /// The program and its arguments.
    pub(crate) command: Vec<OsString>,
    /// Environment variables for every job.
    pub(crate) environment: Vec<(&'static str, String)>,
}

/// Runs workers. Clones share their state.
#[derive(Clone)]
pub(crate) struct Runner {
    inner: Arc<Inner>,
}

struct Inner {
    log: Arc<dyn EventLog>,
    worker: WorkerCommand,
    /// A unique id of this run of the platform.
    run_id: String,
    next_task: AtomicU64,
    slots: Slots,
    /// The projects' own limits.
    projects: ProjectCache,
    /// The deployment's limits.
    limits: ProjectLimits,
    /// Client tokens of jobs that are queued or running.
    active: Mutex<HashSet<String>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Runner {
    /// Returns a runner of at most `concurrency` workers at a time. `run_id` identifies this run of the platform in task names.
    pub(crate) fn new(
        log: Arc<dyn EventLog>,
        worker: WorkerCommand,
        concurrency: usize,
        limits: ProjectLimits,
        run_id: String,
    ) -> Self {
        let inner = Inner {
            log,
            worker,
            run_id,
            next_task: AtomicU64::new(1),
            slots: Slots::new(concurrency.max(1)),
            projects: ProjectCache::default(),
            limits,
            active: Mutex::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Interrupts all workers. Returns when they have ended and their ends are recorded.
    pub(crate) async fn stop(&self) {
        self.inner.stop.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }
}

#[async_trait]
impl TaskLauncher for Runner {
    async fn launch(&self, job: &Job) -> Result<Launched, LaunchError> {
        if self.inner.stop.is_cancelled() {
            return Ok(Launched::Present);
        }
        if !self.inner.active().insert(job.client_token.clone()) {
            // It may wait for a limit that was changed since.
            let limit = self.inner.limit(&job.project_id).await;
            self.inner.slots.set_limit(&job.project_id, limit);
            return Ok(Launched::Present);
        }
        let inner = Arc::clone(&self.inner);
        let job = job.clone();
        self.inner.tasks.spawn(async move {
            inner.run(&job).await;
            inner.active().remove(&job.client_token);
        });
        Ok(Launched::Present)
    }
}

impl Inner {
    fn active(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a slot within the limit of the project.
    async fn slot(&self, project_id: &ProjectId) -> Slot {
        self.slots.acquire(project_id, self.limit(project_id).await).await
    }

    /// How many workers of the project may run at the same time.
    async fn limit(&self, project_id: &ProjectId) -> Limit {
        let own = match self.projects.current(&*self.log, project_id).await {
            Ok(project) => project.limits.clone(),
            Err(error) => {
                tracing::warn!(%project_id, error = chain(&error), "the project's limits cannot be read; those of the deployment are used");
                OwnLimits::default()
            }
        };
        self.limits.with(&own).concurrent_encodes
    }

    async fn run(&self, job: &Job) {
        let _slot = tokio::select! {
            slot = self.slot(&job.project_id) => slot,
            () = self.stop.cancelled() => return,
        };
        let task = format!("{TASK_PREFIX}{}/{}", self.run_id, self.next_task.fetch_add(1, Ordering::Relaxed));
        let end = match self.spawn(job, &task) {
            Ok(mut child) => {
                tracing::info!(video.id = %job.video_id, attempt = job.attempt, task, "a worker starts");
                self.wait(&mut child).await
            }
            // The machine is at fault, never the video.
            Err(error) => unable(format!("its process could not be started: {error}")),
        };
        if let WorkerEnd::Crashed(how) = &end {
            tracing::debug!(video.id = %job.video_id, attempt = job.attempt, task, how, "a worker's process has ended");
        }
        // Has no effect if the worker recorded the end of its attempt itself.
        match tasks::ended(&*self.log, clock::now(), job, &task, &end).await {
            Ok(decided) if decided.appended => {
                tracing::warn!(video.id = %job.video_id, attempt = job.attempt, task, end = %end, "a worker ended without recording the end of its attempt");
            }
            Ok(_) => {}
            // The sweep expires an attempt without heartbeats.
            Err(error) => {
                tracing::error!(video.id = %job.video_id, task, error = %error, "the end of a worker could not be recorded");
            }
        }
    }

    fn spawn(&self, job: &Job, task: &str) -> std::io::Result<Child> {
        let [program, arguments @ ..] = &self.worker.command[..] else {
            return Err(std::io::Error::other("no worker command is configured"));
        };
        Command::new(program)
            .args(arguments)
            .envs(self.worker.environment.iter().map(|(name, value)| (name, value)))
            .env("STREAMIO_JOB", serde_json::to_string(job).map_err(std::io::Error::other)?)
            .env("STREAMIO_TASK", task)
            // The worker stops at the end of its standard input, so also when this process is killed.
            .env("STREAMIO_PARENT_PIPE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
    }

    async fn wait(&self, child: &mut Child) -> WorkerEnd {
        // `Child::wait` would close it.
        let parent_pipe = child.stdin.take();
        let end = tokio::select! {
            status = child.wait() => end_of(status),
            () = self.stop.cancelled() => {
                interrupt(child).await;
                WorkerEnd::Interrupted(Interruption::Stopped(STOPPED.to_owned()))
            }
        };
        drop(parent_pipe);
        end
    }
}

fn end_of(status: std::io::Result<ExitStatus>) -> WorkerEnd {
    match status {
        Ok(status) => match status.code() {
            // A worker that exits with 0 has recorded its end; if not, it is defective.
            Some(code) => tasks::end_with_status(code.into())
                .unwrap_or_else(|| WorkerEnd::Crashed("exit status 0, and nothing is recorded".to_owned())),
            None => WorkerEnd::Crashed(status.to_string()),
        },
        Err(error) => unable(format!("its process could not be watched: {error}")),
    }
}

fn unable(reason: String) -> WorkerEnd {
    WorkerEnd::Interrupted(Interruption::Unable(reason))
}

async fn interrupt(child: &mut Child) {
    let process = child.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
    if let Some(process) = process {
        // Fails only if the process has just ended.
        let _ = rustix::process::kill_process(process, rustix::process::Signal::TERM);
    }
    if tokio::time::timeout(STOP_GRACE, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

#[cfg(test)]
mod tests;
