//! The functions' settings, read from their environment. Each function reads only the sections that it needs, and reports all
//! missing or malformed variables together.
//!
//! | variable | value |
//! |---|---|
//! | `STREAMIO_LEDGER_TABLE` | the table of the log |
//! | `STREAMIO_VIEWS_TABLE` | the table of the views |
//! | `STREAMIO_RAW_BUCKET`, `STREAMIO_PROCESSED_BUCKET` | the buckets |
//! | `STREAMIO_ECS_CLUSTER`, `STREAMIO_ECS_TASK_DEFINITION` | the cluster and the task definition of workers |
//! | `STREAMIO_ECS_CONTAINER` | the worker's container in the task; default `worker` |
//! | `STREAMIO_ECS_SUBNETS`, `STREAMIO_ECS_SECURITY_GROUPS` | the network of tasks: comma-separated lists |
//! | `STREAMIO_ECS_CAPACITY_PROVIDER` | default `FARGATE_SPOT` |
//! | `STREAMIO_KV_ACCOUNT_ID`, `STREAMIO_KV_NAMESPACE_ID`, `STREAMIO_KV_API_TOKEN` | the edge's key-value store |
//! | `STREAMIO_KV_ENDPOINT` | default `https://api.cloudflare.com` |
//! | `STREAMIO_POLICY` | the fields of [`Policy`] that differ from the default, as JSON: see [`PolicyOverrides`] |
//! | `STREAMIO_GIVE_UP_AFTER` | how many seconds a record is tried; default 600 for `react` and 43,200 for `intake` and `views` |
//! | `STREAMIO_WEBHOOK_QUEUE_URL` | the queue of webhook deliveries |
//! | `STREAMIO_WEBHOOK_SECRET` | the secret from which the keys of webhooks are derived: at least 32 random bytes in hexadecimal digits |
//! | `STREAMIO_WEBHOOK_PORTS` | comma-separated ports that webhooks may be sent to beside 443 and 8443 |
//! | `STREAMIO_WEBHOOK_LOOPBACK` | `1` to allow `http` and loopback addresses, for an emulated cloud |
//! | `STREAMIO_S3_PATH_STYLE` | `1` for an object store without a host name for each bucket |

mod webhooks;

use std::time::Duration;

use serde::Deserialize;
use streamio_events::job::MediaLimits;
use streamio_events::limits::OwnLimits;
use streamio_events::secret::Secret;
use streamio_events::settings::{InvalidSettings, Reader};
use streamio_events::video::Policy;

pub use self::webhooks::{WebhookQueue, Webhooks};

/// Settings that belong together.
pub trait Section: Sized {
    /// Reads the section. `None` only if `reader` has recorded a problem.
    fn read(reader: &mut Reader<'_>) -> Option<Self>;
}

/// Reads a [`Section`] or a tuple of them from the environment of the process.
pub fn from_environment<S: Section>() -> Result<S, InvalidSettings> {
    read(&|name| std::env::var(name).ok())
}

/// Reads a [`Section`] or a tuple of them from the variables that `variable` returns by name.
pub fn read<S: Section>(variable: &dyn Fn(&str) -> Option<String>) -> Result<S, InvalidSettings> {
    let mut reader = Reader::new(variable);
    let section = S::read(&mut reader);
    reader.finish(section)
}

macro_rules! sections {
    ($($name:ident),+) => {
        impl<$($name: Section),+> Section for ($($name,)+) {
            #[expect(non_snake_case, reason = "each value has the name of its type")]
            fn read(reader: &mut Reader<'_>) -> Option<Self> {
                // Reads all sections before the first `?`, so that all problems are reported.
                $(let $name = $name::read(reader);)+
                Some(($($name?,)+))
            }
        }
    };
}

sections!(A, B);
sections!(A, B, C);
sections!(A, B, C, D);
sections!(A, B, C, D, E);
sections!(A, B, C, D, E, F);
sections!(A, B, C, D, E, F, G);

/// The event log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    /// The table's name.
    pub table: String,
}

impl Section for Ledger {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self { table: reader.required("STREAMIO_LEDGER_TABLE")? })
    }
}

/// The views.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Views {
    /// The table's name.
    pub table: String,
}

impl Section for Views {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self { table: reader.required("STREAMIO_VIEWS_TABLE")? })
    }
}

/// Where ECS runs workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ecs {
    /// The cluster's name or ARN.
    pub cluster: String,
    /// The task definition's family, with or without a revision, or its ARN.
    pub task_definition: String,
    /// The worker's container in the task.
    pub container: String,
    /// The subnets of a task.
    pub subnets: Vec<String>,
    /// The security groups of a task.
    pub security_groups: Vec<String>,
    /// The capacity provider, such as `FARGATE_SPOT`.
    pub capacity_provider: String,
}

impl Section for Ecs {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let cluster = reader.required("STREAMIO_ECS_CLUSTER");
        let task_definition = reader.required("STREAMIO_ECS_TASK_DEFINITION");
        let subnets = reader.list("STREAMIO_ECS_SUBNETS");
        let security_groups = reader.list("STREAMIO_ECS_SECURITY_GROUPS");
        Some(Self {
            cluster: cluster?,
            task_definition: task_definition?,
            container: reader.optional("STREAMIO_ECS_CONTAINER").unwrap_or_else(|| "worker".to_owned()),
            subnets: subnets?,
            security_groups: security_groups?,
            capacity_provider: reader
                .optional("STREAMIO_ECS_CAPACITY_PROVIDER")
                .unwrap_or_else(|| "FARGATE_SPOT".to_owned()),
        })
    }
}

/// The part of [`Ecs`] that identifies a worker's task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EcsWorkers {
    /// The cluster's name or ARN.
    pub cluster: String,
    /// The worker's container.
    pub container: String,
}

impl Section for EcsWorkers {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let container = reader.optional("STREAMIO_ECS_CONTAINER").unwrap_or_else(|| "worker".to_owned());
        Some(Self { cluster: reader.required("STREAMIO_ECS_CLUSTER")?, container })
    }
}

/// The edge's key-value store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kv {
    /// The Cloudflare account.
    pub account_id: String,
    /// The namespace with the tenants.
    pub namespace_id: String,
    /// A token with write permission for the namespace.
    pub api_token: Secret,
    /// The base URL of the API, without a path.
    pub endpoint: String,
}

impl Section for Kv {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let account_id = reader.required("STREAMIO_KV_ACCOUNT_ID");
        let namespace_id = reader.required("STREAMIO_KV_NAMESPACE_ID");
        let api_token = reader.required("STREAMIO_KV_API_TOKEN");
        Some(Self {
            account_id: account_id?,
            namespace_id: namespace_id?,
            api_token: Secret::new(api_token?),
            endpoint: reader
                .optional("STREAMIO_KV_ENDPOINT")
                .unwrap_or_else(|| "https://api.cloudflare.com".to_owned()),
        })
    }
}

/// How requests address buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct S3 {
    /// Whether the bucket is in the path instead of the host name.
    pub path_style: bool,
}

impl Section for S3 {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self { path_style: reader.flag("STREAMIO_S3_PATH_STYLE") })
    }
}

/// When a record that fails with a retryable error is given up: see [`Batch`](streamio_core::delivery::batch::Batch).
///
/// The sweep makes up for a reaction that is given up. Nothing makes up for a fact that does not reach the log, nor for a video without a
/// row, which the sweep does not find: these records are tried for half of the 24 hours for which their sources keep them, so that an
/// outage of hours loses none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GiveUp {
    /// How long a record of the function `react` is tried.
    pub reactions: Duration,
    /// How long a record of the functions `intake` and `views` is tried.
    pub records: Duration,
}

impl Section for GiveUp {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let stated = reader.seconds("STREAMIO_GIVE_UP_AFTER");
        Some(Self {
            reactions: stated.unwrap_or(Duration::from_mins(10)),
            records: stated.unwrap_or(Duration::from_hours(12)),
        })
    }
}

/// The JSON of `STREAMIO_POLICY`: fields of [`Policy`] in camelCase, durations in seconds.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PolicyOverrides {
    limits: Option<MediaLimits>,
    project_limits: OwnLimits,
    max_failures: Option<u32>,
    retry_pause: Option<Seconds>,
    longest_retry_pause: Option<Seconds>,
    relaunch_after: Option<Seconds>,
    start_within: Option<Seconds>,
    #[serde(rename = "silence")]
    heartbeat_timeout: Option<Seconds>,
    publish_within: Option<Seconds>,
    publish_deadline: Option<Seconds>,
    grant_grace: Option<Seconds>,
    grant_wait: Option<Seconds>,
    clock_tolerance: Option<Seconds>,
    clock_step: Option<Seconds>,
    rejected_retention: Option<Seconds>,
}

/// A duration in seconds, with decimals.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "f64")]
struct Seconds(Duration);

impl TryFrom<f64> for Seconds {
    type Error = std::time::TryFromFloatSecsError;

    fn try_from(seconds: f64) -> Result<Self, Self::Error> {
        Duration::try_from_secs_f64(seconds).map(Self)
    }
}

impl PolicyOverrides {
    fn apply(self, policy: &mut Policy) {
        fn set<T, U: From<T>>(field: &mut U, value: Option<T>) {
            if let Some(value) = value {
                *field = value.into();
            }
        }
        set(&mut policy.limits, self.limits);
        policy.project_limits = policy.project_limits.with(&self.project_limits);
        set(&mut policy.max_failures, self.max_failures);
        set(&mut policy.retry_pause, self.retry_pause);
        set(&mut policy.longest_retry_pause, self.longest_retry_pause);
        set(&mut policy.relaunch_after, self.relaunch_after);
        set(&mut policy.start_within, self.start_within);
        set(&mut policy.heartbeat_timeout, self.heartbeat_timeout);
        set(&mut policy.publish_within, self.publish_within);
        set(&mut policy.publish_deadline, self.publish_deadline);
        set(&mut policy.grant_grace, self.grant_grace);
        set(&mut policy.grant_wait, self.grant_wait);
        set(&mut policy.clock_tolerance, self.clock_tolerance);
        set(&mut policy.clock_step, self.clock_step);
        set(&mut policy.rejected_retention, self.rejected_retention);
    }
}

impl From<Seconds> for Duration {
    fn from(seconds: Seconds) -> Self {
        seconds.0
    }
}

/// The policy and its buckets.
impl Section for Policy {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let raw_bucket = reader.required("STREAMIO_RAW_BUCKET");
        let processed_bucket = reader.required("STREAMIO_PROCESSED_BUCKET");
        let overrides = match reader.optional("STREAMIO_POLICY") {
            None => Some(PolicyOverrides::default()),
            Some(json) => reader.check("STREAMIO_POLICY", serde_json::from_str(&json)),
        };
        let mut policy = Self::new(raw_bucket?, processed_bucket?);
        overrides?.apply(&mut policy);
        Some(policy)
    }
}

#[cfg(test)]
mod tests;
