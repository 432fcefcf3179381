use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::Builder;

use super::put::PendingFacts;
use crate::aws_client_config;
use crate::fact::Fact;
use crate::intake::{Intake, IntakeError};

/// The default time limit of [`Intake::put`].
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// The intake as a stream of Kinesis. See the [module](super).
#[derive(Clone)]
pub struct KinesisIntake {
    client: Client,
    stream_name: String,
    timeout: Duration,
}

impl KinesisIntake {
    /// An intake that puts facts into the stream `stream_name`. Sends no request.
    pub fn new(client: Client, stream_name: impl Into<String>) -> Self {
        Self { client, stream_name: stream_name.into(), timeout: DEFAULT_TIMEOUT }
    }

    /// The same intake with the time limit `timeout` for each call of [`Intake::put`], all retries included.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }
}

#[async_trait]
impl Intake for KinesisIntake {
    async fn put(&self, facts: Vec<Fact>) -> Result<(), IntakeError> {
        let mut pending = PendingFacts::new(facts);
        // Facts of a request that is in flight at the time limit are not known to be accepted.
        let ended = tokio::time::timeout(self.timeout, pending.send(&self.client, &self.stream_name)).await;
        pending.outcome(ended.is_err().then_some(self.timeout))
    }
}

impl fmt::Debug for KinesisIntake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("KinesisIntake")
            .field("stream_name", &self.stream_name)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// `config` with the retry and timeout policy of the intake: 3 seconds per attempt, four attempts with exponential, jittered
/// backoff, 12 seconds for all of them.
#[must_use]
pub fn with_retry_policy(config: Builder) -> Builder {
    config.retry_config(aws_client_config::retries()).timeout_config(aws_client_config::timeouts())
}
