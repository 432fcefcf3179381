//! The platform whose webhooks a command reads or changes: through the API, or on AWS also as its operator.

use clap::Args;
#[cfg(feature = "aws")]
use streamio_events::id::ProjectId;

use super::service::Service;
#[cfg(feature = "aws")]
use crate::args::AWS_HEADING;
use crate::args::{Approval, Connection};
#[cfg(feature = "aws")]
use crate::aws_settings::AwsPlace;
#[cfg(feature = "aws")]
use crate::commands::aws;
use crate::commands::confirm::Change;
use crate::commands::video::client;
use crate::exit::Failure;
use crate::output::Output;

/// How a command reaches the webhooks of a project.
#[derive(Debug, Args)]
pub(super) struct Target {
    #[command(flatten)]
    connection: Connection,
    #[cfg(feature = "aws")]
    #[command(flatten)]
    aws: AwsProject,
}

/// A project of a deployment on AWS.
#[cfg(feature = "aws")]
#[derive(Debug, Args)]
#[command(next_help_heading = AWS_HEADING)]
struct AwsProject {
    /// Use the tables of the deployment on AWS instead of the API, as its operator, with the AWS credentials of the environment
    #[arg(long, requires = "project", conflicts_with_all = ["api_key", "api_key_file"])]
    aws: bool,
    /// The project, with --aws
    #[arg(long, value_name = "PROJECT", requires = "aws")]
    project: Option<ProjectId>,
    #[command(flatten)]
    place: AwsPlace,
}

impl Target {
    /// Opens it.
    pub(super) async fn open(&self, output: Output) -> Result<Service, Failure> {
        #[cfg(feature = "aws")]
        if let (true, Some(project_id)) = (self.aws.aws, &self.aws.project) {
            let operator = Box::new(aws::open(&self.aws.place).await?);
            return Ok(Service::Aws { operator, project_id: project_id.clone() });
        }
        Ok(Service::Api(Box::new(client(&self.connection, output)?)))
    }

    /// Whether it is a deployment on AWS, used by its operator.
    pub(super) fn is_aws(&self) -> bool {
        #[cfg(feature = "aws")]
        let is_aws = self.aws.aws;
        #[cfg(not(feature = "aws"))]
        let is_aws = false;
        is_aws
    }

    /// Opens it to make a change. As the operator on AWS, states what is about to be changed where, and asks unless `approval` is given.
    pub(super) async fn open_to_change(
        &self,
        approval: &Approval,
        change: &Change<'_>,
        output: Output,
    ) -> Result<Service, Failure> {
        let service = self.open(output).await?;
        service.approve(approval.yes, change, output)?;
        Ok(service)
    }
}
