//! The port through which workers are launched.

use async_trait::async_trait;
use streamio_events::job::Job;

use crate::AdapterError;

/// Why no worker was launched.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// There is no capacity or the launcher did not answer; whether a worker was launched may be unknown. Launch again
    /// with the same job.
    #[error("no worker can be launched at present")]
    Unavailable(#[source] AdapterError),
}

/// Launches workers.
#[async_trait]
pub trait TaskLauncher: Send + Sync {
    /// Launches a worker for `job`, or queues it. Idempotent by [`Job::client_token`]: launching the same job while its
    /// worker is queued or running does nothing.
    async fn launch(&self, job: &Job) -> Result<(), LaunchError>;
}
