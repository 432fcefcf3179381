//! What a function is told by its environment. Each function reads only what it needs, and says at once all that is
//! missing or wrong; nothing is assumed in its place.
//!
//! | variable | is |
//! |---|---|
//! | `STREAMIO_LEDGER_TABLE` | the table of the log |
//! | `STREAMIO_VIEWS_TABLE` | the table of the views |
//! | `STREAMIO_RAW_BUCKET`, `STREAMIO_PROCESSED_BUCKET` | the buckets |
//! | `STREAMIO_ECS_CLUSTER`, `STREAMIO_ECS_TASK_DEFINITION` | where workers run, and as what |
//! | `STREAMIO_ECS_CONTAINER` | the worker's container in the task, `worker` |
//! | `STREAMIO_ECS_SUBNETS`, `STREAMIO_ECS_SECURITY_GROUPS` | their network: lists with commas |
//! | `STREAMIO_ECS_CAPACITY_PROVIDER` | `FARGATE_SPOT` |
//! | `STREAMIO_KV_ACCOUNT_ID`, `STREAMIO_KV_NAMESPACE_ID`, `STREAMIO_KV_API_TOKEN` | the edge's key-value store |
//! | `STREAMIO_KV_ENDPOINT` | `https://api.cloudflare.com` |
//! | `STREAMIO_POLICY` | fields of [`Policy`] that are to differ, as JSON: see [`PolicyOverrides`] |
//! | `STREAMIO_GIVE_UP_AFTER` | for how many seconds a record is tried, 600 |
//! | `STREAMIO_S3_PATH_STYLE` | `1` for an object store without a host name for each bucket |

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use streamio_events::job::MediaLimits;
use streamio_events::video::Policy;

/// The environment cannot be worked with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the environment is not complete: {}", mistakes.join("; "))]
pub struct InvalidSettings {
    /// What is wrong, one sentence a variable. Never a value.
    pub mistakes: Vec<String>,
}

/// Text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one who must know it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// Some settings that belong together.
pub trait Section: Sized {
    /// Reads them; `None` when `reader` has noted a mistake.
    fn read(reader: &mut Reader<'_>) -> Option<Self>;
}

/// Reads one or more [`Section`]s (a tuple of them) from the process's environment.
pub fn from_environment<S: Section>() -> Result<S, InvalidSettings> {
    read(&|name| std::env::var(name).ok())
}

/// The same from other variables.
pub fn read<S: Section>(variable: &dyn Fn(&str) -> Option<String>) -> Result<S, InvalidSettings> {
    let mut reader = Reader { variable, mistakes: Vec::new() };
    let section = S::read(&mut reader);
    match section {
        Some(section) if reader.mistakes.is_empty() => Ok(section),
        _ => Err(InvalidSettings { mistakes: reader.mistakes }),
    }
}

/// Reads variables and notes what is wrong.
pub struct Reader<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
    mistakes: Vec<String>,
}

impl Reader<'_> {
    /// A variable; one that is blank is as good as none.
    pub fn optional(&mut self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.trim().is_empty())
    }

    /// A variable that must be there.
    pub fn required(&mut self, name: &str) -> Option<String> {
        let value = self.optional(name);
        if value.is_none() {
            self.mistake(format!("{name} is missing"));
        }
        value
    }

    /// A list with commas that must have at least one item.
    pub fn list(&mut self, name: &str) -> Option<Vec<String>> {
        let items: Vec<String> = self
            .required(name)?
            .split(',')
            .map(|item| item.trim().to_owned())
            .filter(|item| !item.is_empty())
            .collect();
        if items.is_empty() {
            self.mistake(format!("{name} has no item"));
            return None;
        }
        Some(items)
    }

    /// Notes a mistake, once.
    pub fn mistake(&mut self, mistake: String) {
        if !self.mistakes.contains(&mistake) {
            self.mistakes.push(mistake);
        }
    }
}

macro_rules! sections {
    ($($name:ident),+) => {
        impl<$($name: Section),+> Section for ($($name,)+) {
            #[expect(non_snake_case, reason = "a value is named as its type")]
            fn read(reader: &mut Reader<'_>) -> Option<Self> {
                // All of them, before the first that is missing ends it.
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

/// The log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    /// Its table.
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
    /// Their table.
    pub table: String,
}

impl Section for Views {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self { table: reader.required("STREAMIO_VIEWS_TABLE")? })
    }
}

/// Where workers run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ecs {
    /// The cluster's name or ARN.
    pub cluster: String,
    /// The task definition's family, with or without a revision, or its ARN.
    pub task_definition: String,
    /// The worker's container in it.
    pub container: String,
    /// The subnets of a task.
    pub subnets: Vec<String>,
    /// Its security groups.
    pub security_groups: Vec<String>,
    /// What it runs on.
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

/// Of [`Ecs`] what it takes to know a worker's task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EcsPlace {
    /// The cluster's name or ARN.
    pub cluster: String,
    /// The worker's container.
    pub container: String,
}

impl Section for EcsPlace {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let container = reader.optional("STREAMIO_ECS_CONTAINER").unwrap_or_else(|| "worker".to_owned());
        Some(Self { cluster: reader.required("STREAMIO_ECS_CLUSTER")?, container })
    }
}

/// The edge's key-value store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kv {
    /// The account at Cloudflare.
    pub account_id: String,
    /// The namespace of tenants.
    pub namespace_id: String,
    /// A token that may write to it.
    pub api_token: Secret,
    /// Where the API is, without a path.
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

/// How the object store is addressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct S3 {
    /// The bucket in the path, instead of in the host's name.
    pub path_style: bool,
}

impl Section for S3 {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        match reader.optional("STREAMIO_S3_PATH_STYLE").as_deref() {
            None | Some("0" | "false") => Some(Self { path_style: false }),
            Some("1" | "true") => Some(Self { path_style: true }),
            Some(_) => {
                reader.mistake("STREAMIO_S3_PATH_STYLE must be 1 or 0".to_owned());
                None
            }
        }
    }
}

/// When a record whose error may pass is given up, see [`Batch`](streamio_core::delivery::batch::Batch).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GiveUp {
    /// After how long.
    pub after: Duration,
}

impl Section for GiveUp {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let Some(seconds) = reader.optional("STREAMIO_GIVE_UP_AFTER") else {
            return Some(Self { after: Duration::from_mins(10) });
        };
        let Ok(seconds) = seconds.trim().parse() else {
            reader.mistake("STREAMIO_GIVE_UP_AFTER must be a number of seconds".to_owned());
            return None;
        };
        Some(Self { after: Duration::from_secs(seconds) })
    }
}

/// What `STREAMIO_POLICY` may say: fields of [`Policy`] in camelCase, durations in seconds.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PolicyOverrides {
    limits: Option<MediaLimits>,
    max_failures: Option<u32>,
    max_attempts: Option<u32>,
    retry_pause: Option<Seconds>,
    longest_retry_pause: Option<Seconds>,
    relaunch_after: Option<Seconds>,
    start_within: Option<Seconds>,
    silence: Option<Seconds>,
    publish_within: Option<Seconds>,
    publish_deadline: Option<Seconds>,
    grant_grace: Option<Seconds>,
}

/// Seconds, or parts of one.
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
        set(&mut policy.max_failures, self.max_failures);
        set(&mut policy.max_attempts, self.max_attempts);
        set(&mut policy.retry_pause, self.retry_pause);
        set(&mut policy.longest_retry_pause, self.longest_retry_pause);
        set(&mut policy.relaunch_after, self.relaunch_after);
        set(&mut policy.start_within, self.start_within);
        set(&mut policy.silence, self.silence);
        set(&mut policy.publish_within, self.publish_within);
        set(&mut policy.publish_deadline, self.publish_deadline);
        set(&mut policy.grant_grace, self.grant_grace);
    }
}

impl From<Seconds> for Duration {
    fn from(seconds: Seconds) -> Self {
        seconds.0
    }
}

/// The policy with its buckets.
impl Section for Policy {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let raw_bucket = reader.required("STREAMIO_RAW_BUCKET");
        let processed_bucket = reader.required("STREAMIO_PROCESSED_BUCKET");
        let overrides = match reader.optional("STREAMIO_POLICY") {
            None => Some(PolicyOverrides::default()),
            Some(json) => serde_json::from_str(&json)
                .map_err(|error| reader.mistake(format!("STREAMIO_POLICY cannot be read: {error}")))
                .ok(),
        };
        let mut policy = Self::new(raw_bucket?, processed_bucket?);
        overrides?.apply(&mut policy);
        Some(policy)
    }
}

#[cfg(test)]
mod tests;
