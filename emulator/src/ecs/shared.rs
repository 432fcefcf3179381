//! The state that the endpoint and the running tasks share.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::configuration::EcsConfig;
use super::event;
use super::task::{State, StopCode};
use crate::arn::arn;

/// Why an operation on a task failed.
#[derive(Debug, thiserror::Error)]
pub enum EcsError {
    /// The task does not exist.
    #[error("there is no task {0}")]
    NoTask(String),
    /// The task has no process, because it has not started or has ended.
    #[error("the task {0} has no process")]
    NoProcess(String),
    /// The signal could not be sent.
    #[error("could not signal the process of the task {task}")]
    Signal {
        /// The task.
        task: String,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
}

/// The state of the endpoint.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: EcsConfig,
    pub(super) endpoint: String,
    pub(super) tasks: Mutex<Tasks>,
    /// Incremented whenever a task changes.
    pub(super) changes: watch::Sender<u64>,
    /// Cancelled when the endpoint stops.
    pub(super) stop: CancellationToken,
    /// The running tasks.
    pub(super) running: TaskTracker,
}

/// All tasks.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    /// All tasks, oldest first.
    pub(super) all: Vec<State>,
    /// The calls of `RunTask`, by client token.
    pub(super) runs: HashMap<String, Run>,
    /// Reasons for the next placement failures.
    pub(super) placement_failures: Vec<String>,
}

/// The call of `RunTask` with a client token.
#[derive(Debug)]
pub(super) struct Run {
    /// The request body.
    pub(super) parameters: Value,
    /// The ARNs of the tasks.
    pub(super) tasks: Vec<String>,
}

impl Shared {
    /// Locks the tasks.
    pub(super) fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the ARN of the cluster.
    pub(super) fn cluster_arn(&self) -> String {
        arn("ecs", &format!("cluster/{}", self.config.cluster))
    }

    /// Changes a task, increments its version, and publishes the event.
    pub(super) fn change(&self, task: &str, change: impl FnOnce(&mut State)) {
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

    /// Requests that a task ends. Returns its state.
    pub(super) fn stop_task(&self, task: &str, code: StopCode, reason: String) -> Result<State, EcsError> {
        let stopping = {
            let tasks = self.tasks();
            let state = tasks.find(task).ok_or_else(|| EcsError::NoTask(task.to_owned()))?;
            (!state.is_stopping()).then(|| (state.arn.clone(), state.stop.clone()))
        };
        if let Some((arn, stop)) = stopping {
            self.change(&arn, |state| state.request_stop(code, reason));
            stop.cancel();
        }
        self.tasks().find(task).cloned().ok_or_else(|| EcsError::NoTask(task.to_owned()))
    }
}

impl Tasks {
    /// Returns the task with this ARN or id.
    pub(super) fn find(&self, task: &str) -> Option<&State> {
        self.all.iter().find(|state| state.is_named(task))
    }

    fn find_mut(&mut self, task: &str) -> Option<&mut State> {
        self.all.iter_mut().find(|state| state.is_named(task))
    }
}
