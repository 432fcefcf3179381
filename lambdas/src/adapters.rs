//! The ports of `streamio_core` on AWS and Workers KV, what an operator calls besides, and the SDK configuration that they share.
//!
//! Types of the SDKs are used only in this module.

pub mod dynamo;
#[cfg(feature = "functions")]
pub mod ecs;
pub mod invoke;
#[cfg(feature = "functions")]
pub mod kv;
mod pauses;
#[cfg(feature = "functions")]
pub mod s3;
#[cfg(feature = "functions")]
pub mod sqs;
pub mod sts;

use std::time::Duration;

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::Builder;
use streamio_events::dynamo::with_retry_policy;

/// The time limit of one attempt of a call, shorter than the timeouts of the functions' callers.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

/// The SDK configuration that all clients share: region, credentials and endpoints from the SDK's environment variables
/// (<https://docs.aws.amazon.com/sdkref/latest/guide/environment-variables.html>).
pub async fn sdk_config() -> SdkConfig {
    sdk_config_of(None, None).await
}

/// [`sdk_config`] with a region and with a profile in place of those of the environment.
pub(crate) async fn sdk_config_of(region: Option<String>, profile: Option<String>) -> SdkConfig {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts);
    let region = region.map(Region::new);
    if let Some(region) = &region {
        loader = loader.region(region.clone());
    }
    if let Some(profile) = profile {
        // By default the keys of the environment precede those of a profile, also of one that is stated.
        let providers = ProviderConfig::with_default_region().await;
        let providers = match &region {
            Some(region) => providers.with_region(Some(region.clone())),
            None => providers,
        };
        let credentials =
            ProfileFileCredentialsProvider::builder().configure(&providers).profile_name(&profile).build();
        loader = loader.profile_name(profile).credentials_provider(credentials);
    }
    // The futures of the SDK are large.
    Box::pin(loader.load()).await
}

/// The DynamoDB client of the ledger and the views.
pub fn dynamo_client(config: &SdkConfig) -> aws_sdk_dynamodb::Client {
    aws_sdk_dynamodb::Client::from_conf(with_retry_policy(Builder::from(config)).build())
}
