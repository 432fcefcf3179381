//! Opening a deployment.

use std::sync::Arc;

use streamio_events::dynamo::DynamoLog;

use super::error::AwsOperatorError;
use crate::adapters::dynamo::DynamoViews;
use crate::adapters::invoke::Invoker;
use crate::adapters::sts::{Caller, caller};
use crate::adapters::{dynamo_client, sdk_config_of};

/// Where a deployment is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// The region; `None`: that of the SDK's own settings.
    pub region: Option<String>,
    /// The profile in the SDK's own files; `None`: that of the SDK's own settings.
    pub profile: Option<String>,
    /// The table of the log.
    pub ledger_table: String,
    /// The table of the views.
    pub views_table: String,
    /// What the names of the functions begin with.
    pub function_prefix: String,
    /// The address of Lambda; `None`: the public one of the region.
    pub lambda_endpoint: Option<String>,
}

/// An open deployment.
pub struct AwsOperator {
    pub(super) deployment: Deployment,
    pub(super) log: DynamoLog,
    pub(super) views: DynamoViews,
    pub(super) invoker: Invoker,
    pub(super) warn: fn(&str),
    region: String,
    caller: Caller,
}

impl AwsOperator {
    /// Opens a deployment: asks whose credentials these are, and reads no table. Actions call `warn` with what went wrong without making
    /// them fail.
    pub async fn open(deployment: Deployment, warn: fn(&str)) -> Result<Self, AwsOperatorError> {
        let sdk = sdk_config_of(deployment.region.clone(), deployment.profile.clone()).await;
        let region = sdk.region().ok_or(AwsOperatorError::NoRegion)?.to_string();
        let caller = caller(&sdk).await.map_err(AwsOperatorError::Caller)?;
        let invoker = Invoker::new(&sdk, deployment.lambda_endpoint.clone());
        let invoker = invoker.map_err(AwsOperatorError::Caller)?;
        let client = dynamo_client(&sdk);
        let log = DynamoLog::new(client.clone(), &deployment.ledger_table);
        let views = DynamoViews::new(client, deployment.views_table.as_str(), Arc::new(log.clone()));
        Ok(Self { deployment, log, views, invoker, warn, region, caller })
    }

    /// The account and the identity of the operator.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The region.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Where the deployment is.
    pub fn deployment(&self) -> &Deployment {
        &self.deployment
    }
}
