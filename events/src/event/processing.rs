//! Events of attempts.

use serde::{Deserialize, Serialize};

use crate::job::Job;
use crate::media::{MediaSource, Outputs, VideoError};

event_body! {
    /// The tenant requested to process the same source again: a new generation with the same bytes.
    ProcessingRequested {
        /// The new generation.
        generation: u32,
    }
}

event_body! {
    /// An attempt was decided. Until a worker has started, it is launched with exactly this job.
    ProcessingDispatched {
        /// The attempt's work.
        job: Job,
    }
}

event_body! {
    /// A worker took the attempt. No other worker may start it.
    ProcessingStarted {
        /// The upload.
        generation: u32,
        /// The attempt.
        attempt: u32,
        /// The worker's identity, such as a task's ARN.
        task: String,
    }
}

event_body! {
    /// A worker's heartbeat with its progress.
    ProcessingProgressed {
        /// The upload.
        generation: u32,
        /// The attempt.
        attempt: u32,
        /// The progress, 0 to 100.
        percent: u8,
    }
}

event_body! {
    /// All files of the attempt are stored under its own prefix. Publication follows.
    ProcessingCompleted {
        /// The upload.
        generation: u32,
        /// The attempt.
        attempt: u32,
        /// The source as probed.
        source: MediaSource,
        /// The results, with the keys under which they will be published.
        outputs: Outputs,
    }
}

event_body! {
    /// The attempt failed.
    ProcessingFailed {
        /// The upload.
        generation: u32,
        /// The attempt.
        attempt: u32,
        /// Why.
        error: VideoError,
    }
}

event_body! {
    /// The attempt was ended by the platform: a spot interruption, a restart, storage that was not available, FFmpeg that was killed, a
    /// full disk, no capacity, no publication in time. It is retried, however often, and does not count as a failure.
    ProcessingInterrupted {
        /// The upload.
        generation: u32,
        /// The attempt.
        attempt: u32,
        /// The cause, for people.
        reason: String,
        /// Whether the worker was stopped from outside, with the platform or with its machine: the next attempt follows at once. `false`
        /// for faults of the platform, after which pauses grow, and in events of earlier releases.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        stopped: bool,
    }
}

event_body! {
    /// The attempt's worker sent no heartbeat; in earlier releases also if it did not start or publish in time. It may no longer publish.
    ProcessingExpired {
        /// The upload.
        generation: u32,
        /// The attempt.
        attempt: u32,
        /// Which limit was exceeded, for people.
        reason: String,
    }
}
