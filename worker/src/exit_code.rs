//! What the worker's exit status means. What became of the video is in the log, whatever the status.
//!
//! Whoever runs workers records the ends of those that could not (in the cloud the function `tasks`): 0 says that there is
//! nothing to record; 4, 75 and 78 are no fault of the video's; every other status, and a signal, is a failed attempt unless
//! the worker has told of its end itself.

use std::process::ExitCode;

use crate::run::Ended;

/// The worker's exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// The video was published, or there was nothing (more) to do for this worker.
    Done = 0,
    /// The attempt failed, and that is recorded.
    Failed = 3,
    /// The worker was stopped from outside. An attempt that was not yet completed is recorded as interrupted.
    Interrupted = 4,
    /// The attempt is completed and not published; launching the job again publishes it.
    Unpublished = 5,
    /// The event log did not answer: nothing was recorded. (`EX_TEMPFAIL` of sysexits.h.)
    LogUnavailable = 75,
    /// The environment is not complete or the log cannot be opened: nothing was done. (`EX_CONFIG` of sysexits.h.)
    Misconfigured = 78,
}

impl From<&Ended> for Exit {
    fn from(ended: &Ended) -> Self {
        match ended {
            Ended::Published | Ended::Fenced(_) => Self::Done,
            Ended::Failed(_) => Self::Failed,
            Ended::Interrupted(_) => Self::Interrupted,
            Ended::Unpublished(_) => Self::Unpublished,
            Ended::LogUnavailable(_) => Self::LogUnavailable,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
