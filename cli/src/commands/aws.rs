//! Opens a deployment on AWS for the operator's commands, and maps its errors to failures.

use std::sync::atomic::{AtomicU64, Ordering};

use streamio_events::home::HomeError;
use streamio_events::id::ProjectId;
use streamio_events::log::{AppendError, ReadError};
use streamio_lambdas::operator::{
    AwsOperator, AwsOperatorError, Caller, Deployment, InvokeError, ProjectError, Verification,
};

use super::data_directory::{error_chain, refused};
use crate::aws_settings::{AwsPlace, AwsSettings};
use crate::exit::{Exit, Failure};
use crate::output::{Output, write_note};

/// What to do if a table or service does not respond.
const CHECK: &str =
    "check the region, the names of the tables and the permissions of the credentials, then try again";

/// How many commits are read between two notes about it.
const COMMITS_PER_NOTE: u64 = 100_000;

/// Opens the deployment that the arguments name.
pub(super) async fn open(arguments: &AwsPlace) -> Result<AwsOperator, Failure> {
    let AwsSettings { deployment, account } = arguments.settings()?;
    let warn = |text: &str| write_note(&format!("warning: {text}"));
    let operator = AwsOperator::open(deployment, warn).await.map_err(failure)?;
    match account {
        Some(account) if account != operator.caller().account => Err(Failure::new(
            Exit::Failed,
            format!(
                "the credentials are of the AWS account {}, and the settings state {account}",
                operator.caller().account
            ),
            "use credentials of the stated account, for example with --profile",
        )),
        _ => Ok(operator),
    }
}

/// Which account, region and tables a command changes.
pub(super) fn place(operator: &AwsOperator) -> String {
    let Caller { account, arn } = operator.caller();
    let Deployment { ledger_table, views_table, .. } = operator.deployment();
    let region = operator.region();
    format!(
        "AWS account {account}, region {region}, tables {ledger_table} and {views_table}, as {}",
        if arn.is_empty() { "an unknown identity" } else { arn }
    )
}

/// Verifies the hash chains of all streams, or of those of one project.
pub(super) async fn verify(
    operator: &AwsOperator,
    project: Option<&ProjectId>,
    output: Output,
) -> Result<Verification, Failure> {
    let read = AtomicU64::new(0);
    let progress = move |commits| {
        let before = read.fetch_add(commits, Ordering::Relaxed);
        let now = before + commits;
        if now / COMMITS_PER_NOTE > before / COMMITS_PER_NOTE {
            output.note(&format!("{now} commits are read"));
        }
    };
    operator.verify(project, &progress).await.map_err(failure)
}

/// The failure for an error of an action on AWS, with its exit code and what to do.
pub(super) fn failure(error: AwsOperatorError) -> Failure {
    let message = error_chain(&error);
    let failed = |hint: &str| Failure::new(Exit::Failed, message.clone(), hint);
    let unavailable = |hint: &str| Failure::new(Exit::Unavailable, message.clone(), hint);
    match error {
        AwsOperatorError::NoRegion => {
            Failure::usage(message, "state --region, set AWS_REGION, or write `region` into streamio.toml")
        }
        AwsOperatorError::Caller(_) => failed(
            "check the AWS credentials of the environment: `aws sts get-caller-identity` must answer; with SSO, run `eval \"$(aws configure export-credentials --format env)\"` first",
        ),
        AwsOperatorError::Project(ProjectError::Refused(refusal)) => refused(&refusal, message, " --aws"),
        AwsOperatorError::Project(
            ProjectError::Read(ReadError::Damaged { .. }) | ProjectError::Append(AppendError::Damaged { .. }),
        )
        | AwsOperatorError::Read(ReadError::Damaged { .. })
        | AwsOperatorError::Chain(_) => failed(
            "`streamio events verify --aws` lists all damaged streams; restore the table to a point in time before the damage",
        ),
        AwsOperatorError::Project(ProjectError::Read(_) | ProjectError::Append(_))
        | AwsOperatorError::Read(_)
        | AwsOperatorError::Views(_)
        | AwsOperatorError::Invoke(InvokeError::Unavailable { .. }) => unavailable(CHECK),
        AwsOperatorError::Invoke(InvokeError::Refused { .. }) => failed(
            "check `function_prefix` in streamio.toml or STREAMIO_FUNCTION_PREFIX, and the permission lambda:InvokeFunction",
        ),
        AwsOperatorError::Invoke(InvokeError::Function { .. }) => {
            failed("the log of the function has the details")
        }
        AwsOperatorError::Webhooks(error) => webhooks(&error, message),
        AwsOperatorError::Project(ProjectError::Unreadable(_))
        | AwsOperatorError::Unreadable(_)
        | AwsOperatorError::Answer(_)
        | AwsOperatorError::ThroughApi
        | AwsOperatorError::Json(_)
        | AwsOperatorError::Write(_) => failed(""),
    }
}

/// The failure for an error of a call about webhooks, with the exit code that it has through the API.
fn webhooks(error: &HomeError, message: String) -> Failure {
    match error {
        HomeError::NotFound => Failure::new(
            Exit::NotFound,
            "the project has no such webhook, delivery or replay",
            "list the webhooks with `streamio webhook list --aws --project PROJECT`",
        ),
        HomeError::Conflict { text } => Failure::new(Exit::Refused, text.trim_end_matches('.'), ""),
        HomeError::InvalidCursor => {
            Failure::new(Exit::Refused, message, "use the cursor that the page before has printed")
        }
        HomeError::Invalid { .. } | HomeError::KeyReused => Failure::new(Exit::Refused, message, ""),
        HomeError::Unavailable { .. } => Failure::new(Exit::Unavailable, message, CHECK),
        HomeError::Failed { .. } => {
            Failure::new(Exit::Failed, message, "`streamio events verify --aws` lists all damaged streams")
        }
    }
}
