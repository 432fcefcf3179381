//! The configuration of the emulated ECS.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::arn::arn;
use crate::event_channel::EventChannel;

/// The cluster and the task definition. Others do not exist.
#[derive(Debug, Clone)]
pub struct EcsConfig {
    /// The cluster's name.
    pub cluster: String,
    /// The definition of all tasks.
    pub definition: TaskDefinition,
    /// The time from PENDING to RUNNING.
    pub start_delay: Duration,
    /// The channel to which events are published.
    pub events: EventChannel,
    /// The folder for the standard error of tasks, one file per task.
    pub logs: PathBuf,
}

/// A task definition with one container.
#[derive(Debug, Clone)]
pub struct TaskDefinition {
    /// The family. The revision is 1.
    pub family: String,
    /// The container's name.
    pub container: String,
    /// The program and its arguments.
    pub command: Vec<OsString>,
    /// The container's environment, to which `PATH` and the variables of ECS are added.
    pub environment: Vec<(String, String)>,
    /// The time between SIGTERM and SIGKILL. The default of ECS is 30 seconds.
    pub stop_timeout: Duration,
}

impl TaskDefinition {
    /// Returns its ARN.
    pub fn arn(&self) -> String {
        arn("ecs", &format!("task-definition/{}:1", self.family))
    }
}
