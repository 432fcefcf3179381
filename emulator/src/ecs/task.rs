//! The state of a task, and its JSON.

use std::fmt;

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio_util::sync::CancellationToken;

use super::configuration::EcsConfig;
use crate::arn::arn;
use crate::request_id::{random_hex, request_id};

/// The status of a task, in the order in which a task passes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Its network interface is being created.
    Provisioning,
    /// It waits for its container to be created.
    Pending,
    /// Its container is about to start.
    Activating,
    /// Its container runs.
    Running,
    /// Its network interface is being removed.
    Deprovisioning,
    /// It has ended.
    Stopped,
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Provisioning => "PROVISIONING",
            Self::Pending => "PENDING",
            Self::Activating => "ACTIVATING",
            Self::Running => "RUNNING",
            Self::Deprovisioning => "DEPROVISIONING",
            Self::Stopped => "STOPPED",
        })
    }
}

/// Why a task stopped:
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopCode {
    /// Its process has ended.
    EssentialContainerExited,
    /// Its process could not start.
    TaskFailedToStart,
    /// `StopTask` was called.
    UserInitiated,
    /// Fargate Spot reclaimed its capacity.
    SpotInterruption,
}

impl fmt::Display for StopCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, formatter)
    }
}

/// The properties of a task that tests read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its ARN.
    pub arn: String,
    /// Its status.
    pub status: Status,
    /// Incremented with each change.
    pub version: u64,
    /// The names and values of the variables that the overrides set.
    pub environment: Vec<(String, String)>,
    /// Why it stopped.
    pub stop_code: Option<StopCode>,
    /// The exit code of its process: 128 and the number of the signal if a signal ended it.
    pub exit_code: Option<i32>,
}

/// The parameters of `RunTask`.
#[derive(Debug, Clone)]
pub(super) struct RunParameters {
    pub(super) capacity_provider: Option<String>,
    pub(super) environment: Vec<(String, String)>,
    /// The overrides as received.
    pub(super) overrides: Value,
    pub(super) started_by: Option<String>,
    pub(super) group: Option<String>,
}

/// The whole state of a task.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) arn: String,
    pub(super) parameters: RunParameters,
    cluster: String,
    definition: String,
    group: String,
    container: String,
    container_arn: String,
    runtime_id: String,
    pub(super) status: Status,
    pub(super) desired: Status,
    pub(super) version: u64,
    pub(super) created: OffsetDateTime,
    pub(super) started: Option<OffsetDateTime>,
    pub(super) stopping: Option<OffsetDateTime>,
    pub(super) stopped: Option<OffsetDateTime>,
    stop_code: Option<StopCode>,
    stop_reason: Option<String>,
    pub(super) exit_code: Option<i32>,
    /// Why the container ended, as ECS reports it.
    pub(super) container_reason: Option<String>,
    /// The process id, while the process runs.
    pub(super) process: Option<u32>,
    /// Cancelled when the task must stop.
    pub(super) stop: CancellationToken,
}

impl State {
    pub(super) fn new(config: &EcsConfig, cluster: String, parameters: RunParameters) -> Self {
        let id = random_hex::<16>();
        let group =
            parameters.group.clone().unwrap_or_else(|| format!("family:{}", config.definition.family));
        Self {
            arn: arn("ecs", &format!("task/{}/{id}", config.cluster)),
            container_arn: arn("ecs", &format!("container/{}/{id}/{}", config.cluster, request_id())),
            runtime_id: format!("{id}-0527074092"),
            cluster,
            definition: config.definition.arn(),
            group,
            container: config.definition.container.clone(),
            parameters,
            status: Status::Provisioning,
            desired: Status::Running,
            version: 0,
            created: OffsetDateTime::now_utc(),
            started: None,
            stopping: None,
            stopped: None,
            stop_code: None,
            stop_reason: None,
            exit_code: None,
            container_reason: None,
            process: None,
            stop: CancellationToken::new(),
        }
    }

    pub(super) fn task(&self) -> Task {
        Task {
            arn: self.arn.clone(),
            status: self.status,
            version: self.version,
            environment: self.parameters.environment.clone(),
            stop_code: self.stop_code,
            exit_code: self.exit_code,
        }
    }

    /// Returns the task's id: the last part of its ARN.
    pub(super) fn id(&self) -> &str {
        self.arn.rsplit('/').next().unwrap_or_default()
    }

    /// Whether `name` is the task's ARN or id.
    pub(super) fn is_named(&self, name: &str) -> bool {
        name == self.arn || name == self.id()
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.desired == Status::Stopped
    }

    /// Records that the task must stop, and why. Later calls do not change the reason.
    pub(super) fn request_stop(&mut self, code: StopCode, reason: String) {
        if !self.is_stopping() {
            self.desired = Status::Stopped;
            self.stopping = Some(OffsetDateTime::now_utc());
            self.stop_code = Some(code);
            self.stop_reason = Some(reason);
        }
    }

    /// Returns the JSON of the API and of events. `time` formats times: [`epoch`] for the API, [`rfc3339`] for events.
    pub(super) fn json(&self, time: fn(OffsetDateTime) -> Value) -> Value {
        let container_status = match self.status {
            Status::Running => "RUNNING",
            Status::Deprovisioning | Status::Stopped => "STOPPED",
            _ => "PENDING",
        };
        let mut container = json!({
            "containerArn": self.container_arn,
            "taskArn": self.arn,
            "name": self.container,
            "image": format!("{}:latest", self.container),
            "runtimeId": self.runtime_id,
            "lastStatus": container_status,
            "networkInterfaces": [],
            "cpu": "0",
        });
        if let Some(exit_code) = self.exit_code {
            container["exitCode"] = json!(exit_code);
        }
        if let Some(reason) = &self.container_reason {
            container["reason"] = json!(reason);
        }
        let mut overrides = self.parameters.overrides.clone();
        if overrides.get("containerOverrides").is_none() {
            overrides["containerOverrides"] = json!([{ "name": self.container }]);
        }
        let mut task = json!({
            "attachments": [],
            "attributes": [{ "name": "ecs.cpu-architecture", "value": "x86_64" }],
            "availabilityZone": "us-east-1a",
            "clusterArn": self.cluster,
            "containers": [container],
            "cpu": "1024",
            "createdAt": time(self.created),
            "desiredStatus": self.desired.to_string(),
            "enableExecuteCommand": false,
            "ephemeralStorage": { "sizeInGiB": 20 },
            "group": self.group,
            "lastStatus": self.status.to_string(),
            "launchType": "FARGATE",
            "memory": "3072",
            "overrides": overrides,
            "platformVersion": "1.4.0",
            "taskArn": self.arn,
            "taskDefinitionArn": self.definition,
            "version": self.version,
        });
        let optional = [
            ("capacityProviderName", self.parameters.capacity_provider.as_ref().map(|name| json!(name))),
            ("startedBy", self.parameters.started_by.as_ref().map(|by| json!(by))),
            ("connectivity", self.started.map(|_| json!("CONNECTED"))),
            ("connectivityAt", self.started.map(time)),
            ("startedAt", self.started.map(time)),
            ("stoppingAt", self.stopping.map(time)),
            ("stoppedAt", self.stopped.map(time)),
            ("stopCode", self.stop_code.map(|code| json!(code.to_string()))),
            ("stoppedReason", self.stop_reason.as_ref().map(|reason| json!(reason))),
        ];
        let object = task.as_object_mut().map_or_else(Map::new, std::mem::take);
        let present = optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Value::Object(object.into_iter().chain(present).collect())
    }
}

/// Returns a time as responses of the API contain it: a number of seconds.
pub(super) fn epoch(at: OffsetDateTime) -> Value {
    let milliseconds = at.unix_timestamp_nanos() / 1_000_000;
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of this millennium are exact")]
    let seconds = milliseconds as f64 / 1000.0;
    json!(seconds)
}

/// Returns a time as events contain it: RFC 3339 with milliseconds.
pub(super) fn rfc3339(at: OffsetDateTime) -> Value {
    let at = at.replace_millisecond(at.millisecond()).unwrap_or(at);
    json!(at.format(&Rfc3339).unwrap_or_default())
}
