//! Amazon ECS, as far as workers need it: an endpoint that speaks its protocol and runs tasks as child processes.
//!
//! As the real service does:
//!
//! - `RunTask` is idempotent by its `clientToken`: the same token with the same parameters answers the same task, with
//!   other parameters it is a `ConflictException` that names the tasks
//!   (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/ECS_Idempotency.html>). What could not be placed stands
//!   in `failures[]` beside `tasks[]`, with status 200, and leaves the token unused.
//! - A task goes from PROVISIONING over PENDING, ACTIVATING, RUNNING and DEPROVISIONING to STOPPED, its `version` grows
//!   with each step, and each step is an event "ECS Task State Change"
//!   (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_task_events.html>).
//! - The container's process sees its definition's environment with the overrides over it, nothing of this process's, and
//!   finds its task's ARN at `ECS_CONTAINER_METADATA_URI_V4`.
//! - A stop is SIGTERM, and SIGKILL to all of the task's processes when the definition's stop timeout is over.
//!
//! What is not shown: containers (a task is a process of this machine, with its files and network), images, capacity and
//! its limits (see [`Ecs::refuse`]), rates (the fault proxy in front throttles), services, several containers in a task,
//! credentials of a task role (they are in the environment), signatures and permissions (nothing is checked). A task
//! starts at once and not after 30 seconds, unless [`EcsConfig::start_delay`] says so.
//!
//! No task outlives this process: workers watch their standard input, and a watchdog ends one that cannot any more.

mod call;
mod container;
mod event;
mod inputs;
mod metadata;
mod process_tree;
mod task;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::task::State;
pub use self::task::{Status, StopCode, Task};
use crate::arn::arn;
use crate::event_road::EventRoad;
use crate::http_listener;

/// The one cluster and the one task definition that there are.
#[derive(Debug, Clone)]
pub struct EcsConfig {
    /// The cluster's name.
    pub cluster: String,
    /// What tasks run.
    pub definition: TaskDefinition,
    /// How long a task takes from PENDING to RUNNING.
    pub start_delay: Duration,
    /// Where events go.
    pub events: EventRoad,
    /// A folder for what tasks write to standard error, one file each.
    pub logs: PathBuf,
}

/// A task definition with one container.
#[derive(Debug, Clone)]
pub struct TaskDefinition {
    /// Its family; its revision is 1.
    pub family: String,
    /// The container's name.
    pub container: String,
    /// The program and its arguments.
    pub command: Vec<OsString>,
    /// The container's environment. Nothing else is in it but `PATH`, and what ECS itself sets.
    pub environment: Vec<(String, String)>,
    /// How long a container may take between SIGTERM and SIGKILL. The service's default is 30 seconds.
    pub stop_timeout: Duration,
}

impl TaskDefinition {
    /// Its ARN.
    pub fn arn(&self) -> String {
        arn("ecs", &format!("task-definition/{}:1", self.family))
    }
}

/// A running endpoint. [`Ecs::stop`] ends it in order; dropping it ends everything at once.
#[derive(Debug)]
pub struct Ecs {
    endpoint: String,
    shared: Arc<Shared>,
}

/// Why nothing was done to a task.
#[derive(Debug, thiserror::Error)]
pub enum EcsError {
    /// There is no such task.
    #[error("there is no task {0}")]
    NoTask(String),
    /// It has no process: it has not started, or has ended.
    #[error("the task {0} has no process")]
    NoProcess(String),
    /// The signal could not be sent.
    #[error("the process of the task {task} cannot be reached")]
    Signal {
        /// The task.
        task: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

#[derive(Debug)]
struct Shared {
    config: EcsConfig,
    endpoint: String,
    tasks: Mutex<Tasks>,
    /// Changes whenever a task does.
    changes: watch::Sender<u64>,
    stop: CancellationToken,
    lives: TaskTracker,
}

#[derive(Debug, Default)]
struct Tasks {
    /// In the order in which they were run.
    all: Vec<State>,
    /// By client token.
    runs: HashMap<String, call::Run>,
    /// Reasons for which the next tasks are not placed.
    refusals: Vec<String>,
}

impl Ecs {
    /// Starts it.
    pub async fn start(config: EcsConfig) -> io::Result<Self> {
        std::fs::create_dir_all(&config.logs)?;
        let listener = http_listener::bind().await?;
        let endpoint = http_listener::url(&listener)?;
        let shared = Arc::new(Shared {
            config,
            endpoint: endpoint.clone(),
            tasks: Mutex::default(),
            changes: watch::Sender::new(0),
            stop: CancellationToken::new(),
            lives: TaskTracker::new(),
        });
        let answering = Arc::clone(&shared);
        // The metadata stays until the last task has ended.
        let stop = CancellationToken::new();
        let (lives, stopped, end) = (shared.lives.clone(), shared.stop.clone(), stop.clone());
        tokio::spawn(async move {
            stopped.cancelled().await;
            lives.wait().await;
            end.cancel();
        });
        tokio::spawn(http_listener::serve(listener, stop, move |request| {
            let shared = Arc::clone(&answering);
            async move { Ok(answer(&shared, &request)) }
        }));
        Ok(Self { endpoint, shared })
    }

    /// Its URL, for `AWS_ENDPOINT_URL_ECS`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// All tasks that were run, in their order.
    pub fn tasks(&self) -> Vec<Task> {
        self.shared.tasks().all.iter().map(State::task).collect()
    }

    /// Waits until the tasks are as `wanted`, and answers them.
    pub async fn tasks_when(&self, wanted: impl Fn(&[Task]) -> bool) -> Vec<Task> {
        let mut changes = self.shared.changes.subscribe();
        loop {
            changes.borrow_and_update();
            let tasks = self.tasks();
            if wanted(&tasks) {
                return tasks;
            }
            if changes.changed().await.is_err() {
                return tasks;
            }
        }
    }

    /// The next `times` tasks are not placed for `reason`, such as `Capacity is unavailable at this time. Please try again
    /// later or in a different availability zone` or `RESOURCE:ENI`.
    pub fn refuse(&self, times: usize, reason: &str) {
        self.shared.tasks().refusals.extend(std::iter::repeat_n(reason.to_owned(), times));
    }

    /// Kills all processes of a task, as a failing host does.
    pub fn kill(&self, task: &str) -> Result<(), EcsError> {
        self.signal(task, container::kill)
    }

    /// Takes the task's capacity back, as Fargate Spot does: it is stopped, and no fault of its own.
    pub fn interrupt_spot(&self, task: &str) -> Result<(), EcsError> {
        let reason = "Your Spot Task was interrupted.".to_owned();
        self.shared.stop_task(task, StopCode::SpotInterruption, reason).map(drop)
    }

    /// Stops the clock of all processes of a task, as a host does that has lost its network or its breath: the service
    /// believes that the task runs.
    pub fn freeze(&self, task: &str) -> Result<(), EcsError> {
        self.signal(task, container::freeze)
    }

    /// Lets it go on.
    pub fn thaw(&self, task: &str) -> Result<(), EcsError> {
        self.signal(task, container::thaw)
    }

    /// Stops all tasks, waits for their ends, and ends the endpoint.
    pub async fn stop(&self) {
        self.shared.stop.cancel();
        self.shared.lives.close();
        self.shared.lives.wait().await;
    }

    fn signal(&self, task: &str, send: fn(u32) -> io::Result<()>) -> Result<(), EcsError> {
        let process = {
            let tasks = self.shared.tasks();
            let state = tasks.find(task).ok_or_else(|| EcsError::NoTask(task.to_owned()))?;
            state.process.ok_or_else(|| EcsError::NoProcess(task.to_owned()))?
        };
        send(process).map_err(|source| EcsError::Signal { task: task.to_owned(), source })
    }
}

impl Drop for Ecs {
    fn drop(&mut self) {
        self.shared.stop.cancel();
        self.shared.lives.close();
    }
}

impl Shared {
    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cluster_arn(&self) -> String {
        arn("ecs", &format!("cluster/{}", self.config.cluster))
    }

    /// Changes a task, gives it its next version, and tells of it.
    fn change(&self, task: &str, change: impl FnOnce(&mut State)) {
        let event = {
            let mut tasks = self.tasks();
            let Some(state) = tasks.find_mut(task) else { return };
            change(state);
            state.version += 1;
            event::state_change(state)
        };
        self.config.events.send(event);
        self.changes.send_modify(|number| *number += 1);
    }

    /// Wishes that a task ends.
    fn stop_task(&self, task: &str, code: StopCode, reason: String) -> Result<State, EcsError> {
        let stopping = {
            let tasks = self.tasks();
            let state = tasks.find(task).ok_or_else(|| EcsError::NoTask(task.to_owned()))?;
            (!state.is_stopping()).then(|| (state.arn.clone(), state.stop.clone()))
        };
        if let Some((arn, stop)) = stopping {
            self.change(&arn, |state| state.wish_stop(code, reason));
            stop.cancel();
        }
        self.tasks().find(task).cloned().ok_or_else(|| EcsError::NoTask(task.to_owned()))
    }
}

impl Tasks {
    /// By its ARN or by its id.
    fn find(&self, task: &str) -> Option<&State> {
        self.all.iter().find(|state| state.is_named(task))
    }

    fn find_mut(&mut self, task: &str) -> Option<&mut State> {
        self.all.iter_mut().find(|state| state.is_named(task))
    }
}

fn answer(shared: &Arc<Shared>, request: &Request<Bytes>) -> Response<Bytes> {
    if request.method() == Method::GET {
        return metadata::answer(shared, request.uri().path());
    }
    call::answer(shared, request)
}
