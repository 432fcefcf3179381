use std::time::Duration;

use crate::sign::sigv4::{Credentials, SigningError};

/// The address of the home region and how calls to it are signed.
#[derive(Debug, Clone)]
pub struct HomeConfig {
    /// The URL to which the calls' path is appended, such as `https://abc.lambda-url.eu-west-1.on.aws` or
    /// `https://abc.execute-api.eu-west-1.amazonaws.com/prod`.
    pub base_url: String,
    /// The region that signatures name.
    pub region: String,
    /// The AWS service that verifies the signatures.
    pub service: Service,
    /// Credentials whose signatures the home region accepts: they need `lambda:InvokeFunctionUrl` or `execute-api:Invoke`.
    pub credentials: Credentials,
    /// How long the status of a video is cached, counted from when it was requested.
    pub statuses_for: Duration,
    /// The most cached statuses. Each takes about 2 KB, more with long metadata.
    pub most_statuses: usize,
}

/// The AWS service that verifies the signatures of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Service {
    /// A Lambda function URL with the authorisation `AWS_IAM`.
    #[default]
    Lambda,
    /// An API Gateway with the authorisation `AWS_IAM`.
    ExecuteApi,
}

impl Service {
    /// The name in the signature's scope.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lambda => "lambda",
            Self::ExecuteApi => "execute-api",
        }
    }
}

impl HomeConfig {
    /// A home region at `base_url`, a function URL, with defaults for the rest: 1,000 statuses are cached for
    /// 2 seconds.
    pub fn new(base_url: impl Into<String>, region: impl Into<String>, credentials: Credentials) -> Self {
        Self {
            base_url: base_url.into(),
            region: region.into(),
            service: Service::default(),
            credentials,
            statuses_for: Duration::from_secs(2),
            most_statuses: 1_000,
        }
    }
}

/// A configuration with which no call can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHomeConfig {
    /// Not a URL to which a path can be appended. The error does not quote it: it may contain a secret.
    #[error(
        "the home region's URL must be http:// or https:// with a host, without user, query or fragment, such as https://abc.lambda-url.eu-west-1.on.aws"
    )]
    BaseUrl,
    /// Nothing can be signed for this region.
    #[error("calls to the home region cannot be signed")]
    Signing(#[from] SigningError),
    /// The cache has no capacity.
    #[error("the number of cached statuses must be at least 1; to cache none, set the time to 0")]
    MostStatuses,
}
