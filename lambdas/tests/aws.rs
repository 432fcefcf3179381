//! The cloud's adapters, each against a server that answers as the cloud does.

#[path = "aws/ecs.rs"]
mod ecs;
#[path = "aws/s3.rs"]
mod s3;
#[path = "aws/s3_server.rs"]
mod s3_server;
#[path = "aws/scripted.rs"]
mod scripted;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;

/// How the adapters reach the server at `endpoint`.
fn sdk(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new("access", "secret", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}
