//! Amazon ECS: an endpoint that implements the calls that Streamio uses, and runs tasks as child processes.
//!
//! Emulated behaviour:
//!
//! - `RunTask` is idempotent by its `clientToken`: a repeated call with the same parameters returns the same task, a call
//!   with other parameters fails with a `ConflictException` that names the tasks
//!   (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/ECS_Idempotency.html>). Tasks that cannot be placed are
//!   reported in `failures[]` beside `tasks[]`, with status 200, and the token stays unused.
//! - A task passes the states PROVISIONING, PENDING, ACTIVATING, RUNNING, DEPROVISIONING and STOPPED. Each change
//!   increments its `version` and publishes an event "ECS Task State Change"
//!   (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_task_events.html>).
//! - The environment of the container's process consists of the definition's variables and the overrides. The process does
//!   not inherit this process's environment. It reads its task's ARN from `ECS_CONTAINER_METADATA_URI_V4`.
//! - Stopping a task sends SIGTERM, and SIGKILL to all of its processes after the definition's stop timeout.
//!
//! Not emulated: containers (a task is a process with the files and network of this machine), images, capacity limits (but
//! see [`Ecs::fail_placements`]), rate limits (but the fault proxy throttles), services, several containers in a task,
//! credentials of a task role (they are in the environment), signatures and permissions. A task starts immediately and not
//! after about 30 seconds, unless [`EcsConfig::start_delay`] is set.
//!
//! No task outlives this process: a worker exits when its standard input ends, and a watchdog process kills a worker that
//! does not.

mod call;
mod configuration;
mod container;
mod event;
mod inputs;
mod metadata;
mod process_tree;
mod shared;
mod task;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Method, Request, Response};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::configuration::{EcsConfig, TaskDefinition};
pub use self::shared::EcsError;
use self::shared::Shared;
use self::task::State;
pub use self::task::{Status, StopCode, Task};
use crate::http_listener;

/// A running endpoint. [`Ecs::stop`] waits for the tasks; dropping it stops them without waiting.
#[derive(Debug)]
pub struct Ecs {
    endpoint: String,
    shared: Arc<Shared>,
}

impl Ecs {
    /// Starts the endpoint.
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
            running: TaskTracker::new(),
        });
        let answering = Arc::clone(&shared);
        // The metadata endpoint is available until the last task has ended.
        let stop = CancellationToken::new();
        let (running, stopped, end) = (shared.running.clone(), shared.stop.clone(), stop.clone());
        tokio::spawn(async move {
            stopped.cancelled().await;
            running.wait().await;
            end.cancel();
        });
        tokio::spawn(http_listener::serve(listener, stop, move |request| {
            let shared = Arc::clone(&answering);
            async move { Ok(respond(&shared, &request)) }
        }));
        Ok(Self { endpoint, shared })
    }

    /// Returns the endpoint's URL, for `AWS_ENDPOINT_URL_ECS`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Returns all tasks, oldest first.
    pub fn tasks(&self) -> Vec<Task> {
        self.shared.tasks().all.iter().map(State::task).collect()
    }

    /// Waits until `condition` is true of the tasks, and returns them.
    pub async fn wait_for_tasks(&self, condition: impl Fn(&[Task]) -> bool) -> Vec<Task> {
        let mut changes = self.shared.changes.subscribe();
        loop {
            changes.borrow_and_update();
            let tasks = self.tasks();
            if condition(&tasks) {
                return tasks;
            }
            if changes.changed().await.is_err() {
                return tasks;
            }
        }
    }

    /// Fails the placement of the next `times` tasks with `reason`, such as `Capacity is unavailable at this time. Please try
    /// again later or in a different availability zone` or `RESOURCE:ENI`.
    pub fn fail_placements(&self, times: usize, reason: &str) {
        self.shared.tasks().placement_failures.extend(std::iter::repeat_n(reason.to_owned(), times));
    }

    /// Places tasks again, whatever number of failures is left.
    pub fn place_again(&self) {
        self.shared.tasks().placement_failures.clear();
    }

    /// Kills all processes of a task, as when its host fails.
    pub fn kill(&self, task: &str) -> Result<(), EcsError> {
        self.signal(task, container::kill)
    }

    /// Interrupts a task as Fargate Spot does when it reclaims capacity: stops it with the code `SpotInterruption`.
    pub fn interrupt_spot(&self, task: &str) -> Result<(), EcsError> {
        let reason = "Your Spot Task was interrupted.".to_owned();
        self.shared.stop_task(task, StopCode::SpotInterruption, reason).map(drop)
    }

    /// Suspends all processes of a task with SIGSTOP, as when its host hangs. The task's status stays RUNNING.
    pub fn suspend(&self, task: &str) -> Result<(), EcsError> {
        self.signal(task, container::suspend)
    }

    /// Resumes a suspended task.
    pub fn resume(&self, task: &str) -> Result<(), EcsError> {
        self.signal(task, container::resume)
    }

    /// Stops all tasks, waits until they have ended, and stops the endpoint.
    pub async fn stop(&self) {
        self.shared.stop.cancel();
        self.shared.running.close();
        self.shared.running.wait().await;
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
        self.shared.running.close();
    }
}

fn respond(shared: &Arc<Shared>, request: &Request<Bytes>) -> Response<Bytes> {
    if request.method() == Method::GET {
        return metadata::respond(shared, request.uri().path());
    }
    call::respond(shared, request)
}
