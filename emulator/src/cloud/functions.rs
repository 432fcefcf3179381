//! The environment variables of each program: those that its infrastructure sets, and no others.

use std::path::Path;
use std::time::Duration;

use super::config::{CloudConfig, FUNCTIONS, WORKER};
use super::names::{FACTS_STREAM, LEDGER_TABLE, PROCESSED_BUCKET, RAW_BUCKET, VIEWS_TABLE};
use crate::arn::REGION;
use crate::ecs::TaskDefinition;
use crate::kv::KvConfig;
use crate::lambda::FunctionConfig;
use crate::s3::AccessKey;

pub(super) const CLUSTER: &str = "streamio";
const FAMILY: &str = "streamio-worker";
const CONTAINER: &str = "worker";

/// The URLs of the emulated services.
pub(super) struct Endpoints<'a> {
    pub(super) dynamo: &'a str,
    pub(super) kinesis: &'a str,
    pub(super) s3: &'a str,
    pub(super) kv: &'a str,
    pub(super) sqs: &'a str,
    /// The URL of the queue of webhook deliveries.
    pub(super) queue: &'a str,
}

/// A group of settings that a function reads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Settings {
    Ledger,
    Views,
    Policy,
    GiveUp,
    /// Names of the cluster and of the worker's container, to recognise tasks that are workers.
    Cluster,
    /// How to run a worker.
    Ecs,
    S3,
    Kv,
    /// The queue of webhook deliveries.
    WebhookQueue,
    /// How webhooks are signed, and where they may be sent.
    Webhooks,
}

fn settings_of(function: &str) -> &'static [Settings] {
    use Settings::{Cluster, Ecs, GiveUp, Kv, Ledger, Policy, S3, Views, WebhookQueue, Webhooks};
    match function {
        "uploads" => &[Ledger, Views, Policy, S3],
        "intake" => &[Ledger, Views, GiveUp],
        "react" => &[Ledger, Views, Policy, GiveUp, Cluster, Ecs, S3, WebhookQueue],
        "views" => &[Ledger, Views, Policy, GiveUp, Kv],
        "tasks" => &[Ledger, Views, Cluster],
        "sweep" => &[Ledger, Views, Policy, Cluster, Ecs, S3, Kv, WebhookQueue],
        "webhooks" => &[Ledger, Views, Policy, WebhookQueue, Webhooks],
        _ => &[Ledger, Views, Policy, Webhooks],
    }
}

/// Returns the configurations of all functions.
pub(super) fn all(
    config: &CloudConfig,
    endpoints: &Endpoints<'_>,
    ecs: &str,
    kv: &KvConfig,
    webhook_secret: &str,
    scratch: &Path,
) -> Vec<FunctionConfig> {
    let variables = |settings: Settings| -> Vec<(&'static str, String)> {
        let text = |text: &str| text.to_owned();
        match settings {
            Settings::Ledger => vec![
                ("STREAMIO_LEDGER_TABLE", text(LEDGER_TABLE)),
                ("AWS_ENDPOINT_URL_DYNAMODB", text(endpoints.dynamo)),
            ],
            Settings::Views => vec![("STREAMIO_VIEWS_TABLE", text(VIEWS_TABLE))],
            Settings::Policy => vec![
                ("STREAMIO_RAW_BUCKET", text(RAW_BUCKET)),
                ("STREAMIO_PROCESSED_BUCKET", text(PROCESSED_BUCKET)),
                ("STREAMIO_POLICY", config.policy.to_string()),
            ],
            Settings::GiveUp => vec![("STREAMIO_GIVE_UP_AFTER", config.give_up_after.as_secs().to_string())],
            Settings::Cluster => {
                vec![("STREAMIO_ECS_CLUSTER", text(CLUSTER)), ("STREAMIO_ECS_CONTAINER", text(CONTAINER))]
            }
            Settings::Ecs => vec![
                ("AWS_ENDPOINT_URL_ECS", text(ecs)),
                ("STREAMIO_ECS_TASK_DEFINITION", text(FAMILY)),
                ("STREAMIO_ECS_SUBNETS", text("subnet-0a,subnet-0b")),
                ("STREAMIO_ECS_SECURITY_GROUPS", text("sg-0a")),
            ],
            Settings::S3 => {
                vec![("AWS_ENDPOINT_URL_S3", text(endpoints.s3)), ("STREAMIO_S3_PATH_STYLE", text("1"))]
            }
            Settings::Kv => vec![
                ("STREAMIO_KV_ACCOUNT_ID", kv.account_id.clone()),
                ("STREAMIO_KV_NAMESPACE_ID", kv.namespace_id.clone()),
                ("STREAMIO_KV_API_TOKEN", kv.api_token.clone()),
                ("STREAMIO_KV_ENDPOINT", text(endpoints.kv)),
            ],
            Settings::WebhookQueue => vec![
                ("AWS_ENDPOINT_URL_SQS", text(endpoints.sqs)),
                ("STREAMIO_WEBHOOK_QUEUE_URL", text(endpoints.queue)),
            ],
            Settings::Webhooks => vec![
                ("STREAMIO_WEBHOOK_SECRET", webhook_secret.to_owned()),
                ("STREAMIO_WEBHOOK_LOOPBACK", text("1")),
            ],
        }
    };
    FUNCTIONS
        .into_iter()
        .map(|name| {
            let environment = settings_of(name).iter().copied().flat_map(variables);
            let environment = environment.chain([("TMPDIR", scratch.display().to_string())]);
            FunctionConfig {
                environment: environment.map(|(name, value)| (name.to_owned(), value)).collect(),
                timeout: timeout_of(name),
                concurrency: 10,
                ..FunctionConfig::new(name, config.programs.join(name))
            }
        })
        .collect()
}

/// How long an invocation may take: as the README of the functions states where a function needs more than others.
fn timeout_of(name: &str) -> Duration {
    Duration::from_secs(match name {
        "webhooks" => 60,
        "sweep" => 120,
        _ => 30,
    })
}

/// Returns the task definition of the worker.
pub(super) fn worker_definition(
    config: &CloudConfig,
    endpoints: &Endpoints<'_>,
    role: &AccessKey,
    scratch: &Path,
) -> TaskDefinition {
    let mut environment = vec![
        ("STREAMIO_LOG", format!("dynamodb:{LEDGER_TABLE}")),
        ("STREAMIO_INTAKE", format!("kinesis:{FACTS_STREAM}")),
        ("STREAMIO_S3_ENDPOINT", endpoints.s3.to_owned()),
        ("STREAMIO_S3_REGION", REGION.to_owned()),
        ("STREAMIO_S3_PATH_STYLE", "1".to_owned()),
        ("STREAMIO_SCRATCH", scratch.display().to_string()),
        ("AWS_REGION", REGION.to_owned()),
        ("AWS_ACCESS_KEY_ID", role.id.clone()),
        ("AWS_SECRET_ACCESS_KEY", role.secret.clone()),
        ("AWS_ENDPOINT_URL_DYNAMODB", endpoints.dynamo.to_owned()),
        ("AWS_ENDPOINT_URL_KINESIS", endpoints.kinesis.to_owned()),
    ];
    if let Some(ffmpeg) = &config.ffmpeg {
        environment.push(("STREAMIO_FFMPEG", ffmpeg.to_string_lossy().into_owned()));
        // It may be a script, as in the scenarios, which the sandbox would not start.
        environment.push(("STREAMIO_SANDBOX", "off".to_owned()));
    }
    TaskDefinition {
        family: FAMILY.to_owned(),
        container: CONTAINER.to_owned(),
        command: vec![config.programs.join(WORKER).into()],
        environment: environment.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        stop_timeout: config.stop_timeout,
    }
}
