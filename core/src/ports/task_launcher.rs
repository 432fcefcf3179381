//! The port that launches workers.

use async_trait::async_trait;
use streamio_events::error_chain::chain;
use streamio_events::id::VideoId;
use streamio_events::job::Job;
use streamio_events::retryable::Retryable;

use crate::ports::AdapterError;

/// Why a worker was not launched.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// There is no capacity, or the launcher is unavailable. A worker may have been launched. Retry with the same job.
    #[error("no worker can be launched at present")]
    Unavailable(#[source] AdapterError),
    /// The launcher rejects the request and will reject it until an operator has repaired something. The attempt stays
    /// dispatched, and the sweep launches it again.
    #[error("no worker can be launched; {fix}")]
    Refused {
        /// What the operator has to repair.
        fix: &'static str,
        /// The launcher's error.
        #[source]
        source: AdapterError,
    },
}

impl Retryable for LaunchError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

impl LaunchError {
    /// Logs that the video has no worker yet: a warning if it waits for capacity, an error if an operator has to act.
    pub fn report(&self, video_id: &VideoId) {
        let error = chain(self);
        match self {
            Self::Unavailable(_) => {
                tracing::warn!(video.id = %video_id, error, "a worker could not be launched; the sweep launches it");
            }
            Self::Refused { .. } => {
                tracing::error!(video.id = %video_id, error, "a worker is not launched until this is put right");
            }
        }
    }
}

/// The state of a job's task after a launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Launched {
    /// A worker is queued or running, started by this launch or an earlier one.
    Present,
    /// The worker of an earlier launch has ended. The log states whether another one is needed: that worker may have finished,
    /// or have ended before it started.
    Ended {
        /// The launcher's identifier of the task.
        task: String,
    },
}

/// Launches workers.
#[async_trait]
pub trait TaskLauncher: Send + Sync {
    /// Launches a worker for `job`, or queues it. Idempotent by [`Job::client_token`]: launching the same job while its
    /// worker is queued or running does nothing.
    async fn launch(&self, job: &Job) -> Result<Launched, LaunchError>;
}
