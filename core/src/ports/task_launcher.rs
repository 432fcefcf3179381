//! The port through which workers are launched.

use async_trait::async_trait;
use streamio_events::error_chain::chain;
use streamio_events::id::VideoId;
use streamio_events::job::Job;
use streamio_events::retryable::Retryable;

use crate::ports::AdapterError;

/// Why no worker was launched.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// There is no capacity or the launcher did not answer; whether a worker was launched may be unknown. Launch again
    /// with the same job.
    #[error("no worker can be launched at present")]
    Unavailable(#[source] AdapterError),
    /// The launcher refuses, and will refuse again until an operator has put something right. The attempt stays
    /// dispatched, and a sweep launches it again.
    #[error("no worker can be launched as things are; {fix}")]
    Refused {
        /// What to put right, for the operator.
        fix: &'static str,
        /// What the launcher said.
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
    /// Tells operators that the video has no worker yet. One that waits for capacity is a warning; an error is for
    /// somebody to look at.
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

/// What stands for a job's token after a launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Launched {
    /// A worker that is queued or running, by this launch or an earlier one.
    Present,
    /// A worker of an earlier launch, which has ended since. Whether another one is wanted is in the log: it may have done
    /// its work, or have ended before it began.
    Ended {
        /// The launcher's name for the task.
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
