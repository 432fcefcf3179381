//! Launches workers as tasks of ECS.
//!
//! A launch is one `RunTask` with the job's `clientToken`: the same token starts a task at most once within 24 hours, or until
//! an hour after the task has ended
//! (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ECS_Idempotency.html>), so a launch whose response was lost is
//! repeated. Within that hour the response is the ended task.
//!
//! A response without an error may still have started nothing; its `failures` state why
//! (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/api_failures_messages.html>).
//!
//! The function's role must be allowed `ecs:RunTask` on the task definition, `ecs:TagResource` on the cluster's tasks and
//! `iam:PassRole` on both roles of the task definition.

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_ecs::Client;
use aws_sdk_ecs::config::http::HttpResponse;
use aws_sdk_ecs::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_ecs::operation::run_task::RunTaskError;
use aws_sdk_ecs::operation::run_task::builders::RunTaskFluentBuilder;
use aws_sdk_ecs::types::{
    AssignPublicIp, AwsVpcConfiguration, CapacityProviderStrategyItem, ContainerOverride, Failure,
    KeyValuePair, NetworkConfiguration, Tag, TaskOverride,
};
use streamio_core::ports::AdapterError;
use streamio_core::ports::task_launcher::{LaunchError, Launched, TaskLauncher};
use streamio_events::job::Job;

use crate::settings::Ecs;
use crate::triggers::ecs_task::JOB_VARIABLE;

/// The `startedBy` of all tasks of Streamio, to find them in the cluster.
const STARTED_BY: &str = "streamio";

/// Launches workers in one cluster.
#[derive(Debug, Clone)]
pub struct EcsLauncher {
    client: Client,
    settings: Ecs,
}

impl EcsLauncher {
    /// A launcher for the cluster of `settings`.
    pub fn new(sdk: &SdkConfig, settings: Ecs) -> Self {
        Self { client: Client::new(sdk), settings }
    }

    /// The call that launches a worker for `job`.
    fn call(&self, job: &Job) -> Result<RunTaskFluentBuilder, LaunchError> {
        let Ecs { cluster, task_definition, container, subnets, security_groups, capacity_provider } =
            &self.settings;
        let unbuildable = |error: aws_sdk_ecs::error::BuildError| LaunchError::Refused {
            fix: "the settings of ECS are incomplete",
            source: error.into(),
        };
        let json = serde_json::to_string(job).map_err(|error| LaunchError::Refused {
            fix: "the job cannot be serialized",
            source: error.into(),
        })?;
        let environment = KeyValuePair::builder().name(JOB_VARIABLE).value(json).build();
        let worker = ContainerOverride::builder().name(container).environment(environment).build();
        let network = AwsVpcConfiguration::builder()
            .set_subnets(Some(subnets.clone()))
            .set_security_groups(Some(security_groups.clone()))
            .assign_public_ip(AssignPublicIp::Disabled)
            .build()
            .map_err(unbuildable)?;
        let capacity = CapacityProviderStrategyItem::builder()
            .capacity_provider(capacity_provider)
            .weight(1)
            .build()
            .map_err(unbuildable)?;
        let tags = [
            ("streamio:project", job.project_id.to_string()),
            ("streamio:video", job.video_id.to_string()),
            ("streamio:attempt", format!("{}-{}", job.generation, job.attempt)),
        ];
        let tags = tags.into_iter().map(|(key, value)| Tag::builder().key(key).value(value).build());
        Ok(self
            .client
            .run_task()
            .cluster(cluster)
            .task_definition(task_definition)
            .count(1)
            .client_token(&job.client_token)
            .started_by(STARTED_BY)
            .capacity_provider_strategy(capacity)
            .network_configuration(NetworkConfiguration::builder().awsvpc_configuration(network).build())
            .overrides(TaskOverride::builder().container_overrides(worker).build())
            .enable_ecs_managed_tags(true)
            .set_tags(Some(tags.collect())))
    }
}

#[async_trait]
impl TaskLauncher for EcsLauncher {
    async fn launch(&self, job: &Job) -> Result<Launched, LaunchError> {
        let output = match self.call(job)?.send().await {
            Ok(output) => output,
            // The token was used with other parameters, before a deployment changed them: the worker has been launched.
            Err(error) if error.code() == Some("ConflictException") => {
                tracing::info!(video.id = %job.video_id, attempt = job.attempt, "the worker was launched before");
                return Ok(Launched::Present);
            }
            Err(error) => return Err(refused_or_unavailable(error)),
        };
        let Some(task) = output.tasks().first() else {
            return Err(match output.failures().first() {
                Some(failure) => not_placed(failure),
                None => {
                    LaunchError::Unavailable("the response of ECS has neither a task nor a failure".into())
                }
            });
        };
        match task.task_arn() {
            Some(ended) if task.last_status() == Some("STOPPED") => {
                Ok(Launched::Ended { task: ended.to_owned() })
            }
            arn => {
                tracing::info!(video.id = %job.video_id, attempt = job.attempt, task = arn, "a worker is launched");
                Ok(Launched::Present)
            }
        }
    }
}

/// The error of a successful call that started no task.
fn not_placed(failure: &Failure) -> LaunchError {
    let reason = failure.reason().unwrap_or("without a reason");
    let source = match failure.detail() {
        Some(detail) => format!("{reason} ({detail})"),
        None => reason.to_owned(),
    };
    let fix = match reason {
        "ATTRIBUTE" => "no machine of the cluster meets the requirements of the task definition",
        "INACTIVE" => "the cluster or a machine in it is inactive",
        "MISSING" => "a resource that the launch names does not exist in the cluster",
        // `RESOURCE:CPU`, `RESOURCE:ENI`, `AGENT`, `Capacity is unavailable at this time. …`, and unknown reasons.
        _ => return LaunchError::Unavailable(source.into()),
    };
    LaunchError::Refused { fix, source: source.into() }
}

/// Parts of messages that report a temporary lack of capacity under the error codes of invalid calls.
const TEMPORARY: [&str; 4] =
    ["Capacity is unavailable", "reached the limit", "Rate exceeded", "Too many concurrent"];

fn refused_or_unavailable(error: SdkError<RunTaskError, HttpResponse>) -> LaunchError {
    let status = error.raw_response().map(|response| response.status().as_u16());
    let message = error.message().unwrap_or_default();
    let is_temporary = TEMPORARY.iter().any(|words| message.contains(words));
    let fix = match error.code() {
        Some("ClientException" | "InvalidParameterException") if is_temporary => None,
        Some("AccessDeniedException") => Some(
            "allow the function's role ecs:RunTask, ecs:TagResource, and iam:PassRole on the task's roles",
        ),
        Some("ClusterNotFoundException") => {
            Some("STREAMIO_ECS_CLUSTER names no cluster of this account and region")
        }
        Some("InvalidParameterException" | "ClientException") => Some(
            "check the task definition, the container, the subnets, the security groups and the capacity provider",
        ),
        Some(
            "PlatformUnknownException"
            | "PlatformTaskDefinitionIncompatibilityException"
            | "UnsupportedFeatureException",
        ) => Some("the platform does not support the task definition"),
        Some("BlockedException") => Some("the account is blocked: contact AWS Support"),
        Some("ThrottlingException" | "ServerException" | "LimitExceededException") => None,
        // An invalid signature, an unknown action, … Throttling and timeouts are temporary.
        _ => match status {
            Some(408 | 429) => None,
            Some(400..=499) => Some("ECS does not accept the function's calls: see the cause"),
            _ => None,
        },
    };
    // The Display of the SDK's error names only its kind.
    let source: AdapterError = match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}").into(),
        _ => error.into(),
    };
    match fix {
        Some(fix) => LaunchError::Refused { fix, source },
        None => LaunchError::Unavailable(source),
    }
}
