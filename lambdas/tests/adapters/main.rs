//! The AWS adapters, each against a server that imitates the service.

mod ecs;
mod s3;
mod s3_server;
mod scripted;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;

/// An SDK configuration for the server at `endpoint`.
fn sdk(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new("access", "secret", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}
