//! The worker's exit statuses. The result for the video is always in the event log.
//!
//! The launcher (in the cloud, the function `tasks`) records the end of workers that could not record it themselves: 0 means
//! that there is nothing to record; 4, 75 and 78 do not count as failures of the video; any other status, or death by a
//! signal, is a failed attempt unless the worker has already recorded its end.

use std::process::ExitCode;

use crate::run::RunOutcome;

/// The worker's exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// The video was published, or nothing was left to do for this worker.
    Done = 0,
    /// The attempt failed; the failure is recorded.
    Failed = 3,
    /// The worker was stopped by a signal or by the end of its parent, or the platform could not do the work. An attempt that was not yet
    /// completed is recorded as interrupted.
    Interrupted = 4,
    /// The attempt is completed but not published; launching the job again publishes it.
    Unpublished = 5,
    /// The event log was unavailable; nothing was recorded. `EX_TEMPFAIL` of sysexits.h.
    LogUnavailable = 75,
    /// The environment is incomplete or the log cannot be opened; nothing was done. `EX_CONFIG` of sysexits.h.
    Misconfigured = 78,
}

impl From<&RunOutcome> for Exit {
    fn from(outcome: &RunOutcome) -> Self {
        match outcome {
            RunOutcome::Published | RunOutcome::Fenced(_) => Self::Done,
            RunOutcome::Failed(_) => Self::Failed,
            RunOutcome::Interrupted(_) | RunOutcome::Unable(_) => Self::Interrupted,
            RunOutcome::Unpublished(_) => Self::Unpublished,
            RunOutcome::LogUnavailable(_) => Self::LogUnavailable,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
