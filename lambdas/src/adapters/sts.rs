//! Who the caller is, asked of STS.

use aws_config::SdkConfig;
use streamio_core::ports::AdapterError;

/// The AWS account and identity of some credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account, 12 digits.
    pub account: String,
    /// The ARN of the identity.
    pub arn: String,
}

/// Returns the account and identity of the credentials in `config` (`sts:GetCallerIdentity`, which needs no permission).
pub async fn caller(config: &SdkConfig) -> Result<Caller, AdapterError> {
    let identity = Box::pin(aws_sdk_sts::Client::new(config).get_caller_identity().send()).await?;
    let account = identity.account.ok_or("STS returned no account")?;
    Ok(Caller { account, arn: identity.arn.unwrap_or_default() })
}
