//! The ports of `streamio_core` on AWS and Workers KV, and the SDK configuration that they share.
//!
//! Types of the SDKs are used only in this module.

pub mod dynamo;
pub mod ecs;
pub mod kv;
mod pauses;
pub mod s3;
pub mod sqs;

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_dynamodb::config::Builder;
use streamio_events::dynamo::with_retry_policy;

/// The time limit of one attempt of a call, shorter than the timeouts of the functions' callers.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

/// The SDK configuration that all clients share: region, credentials and endpoints from the SDK's environment variables
/// (<https://docs.aws.amazon.com/sdkref/latest/guide/environment-variables.html>).
pub async fn sdk_config() -> SdkConfig {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).build();
    // The futures of the SDK are large.
    Box::pin(aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts).load()).await
}

/// The DynamoDB client of the ledger and the views.
pub fn dynamo_client(config: &SdkConfig) -> aws_sdk_dynamodb::Client {
    aws_sdk_dynamodb::Client::from_conf(with_retry_policy(Builder::from(config)).build())
}
