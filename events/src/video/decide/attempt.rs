//! Decisions about the current attempt: what its worker may do, and what follows from the worker's end.

use std::fmt;

use super::decision::Decision;
use crate::event::{
    ProcessingCompleted, ProcessingFailed, ProcessingInterrupted, ProcessingStarted, VideoReady,
};
use crate::job::Job;
use crate::media::{MediaSource, Outputs, VideoError};
use crate::video::{Phase, Video};

/// Why a worker must stop: only another worker, or none, may continue with the video.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fence {
    /// Another attempt is the current one.
    #[error("attempt {attempt} of generation {generation} is the current one")]
    NotCurrent {
        /// The current generation.
        generation: u32,
        /// The current attempt.
        attempt: u32,
    },
    /// Another worker holds the attempt.
    #[error("the worker {0} holds the attempt")]
    HeldByOther(String),
    /// The attempt has ended.
    #[error("the attempt has ended")]
    Ended,
}

/// What a worker must do after its launch.
#[derive(Debug, Clone, PartialEq)]
pub enum Start {
    /// Append this decision and, if that succeeds, process the attempt.
    Run(Decision),
    /// The attempt is completed: publish it.
    Publish,
    /// Do nothing.
    Stop(Fence),
}

/// Returns what the worker `task`, launched with `job`, must do.
pub fn start(video: &Video, job: &Job, task: &str) -> Start {
    if video.publishable(job).is_some() {
        return Start::Publish;
    }
    if let Err(fence) = check_current(video, job) {
        return Start::Stop(fence);
    }
    match &video.phase {
        Phase::Started { task: other, .. } if other != task => Start::Stop(Fence::HeldByOther(other.clone())),
        Phase::Dispatched { .. } | Phase::Started { .. } => {
            let event =
                ProcessingStarted { generation: job.generation, attempt: job.attempt, task: task.to_owned() };
            let cause = ["start", &job.generation.to_string(), &job.attempt.to_string(), task];
            Start::Run(Decision::new(video, &cause, event))
        }
        _ => Start::Stop(Fence::Ended),
    }
}

/// Whether this attempt has ended: it is published, failed or was interrupted, or a later one is the current one. An attempt that has
/// ended never runs again, and one that is not known yet has not ended. A worker of an attempt that has ended may still run, until it
/// learns of the end.
pub fn has_ended(video: &Video, generation: u32, attempt: u32) -> bool {
    let current = (video.generation, video.attempt);
    let is_running =
        matches!(video.phase, Phase::Dispatched { .. } | Phase::Started { .. } | Phase::Completed { .. });
    current > (generation, attempt) || (current == (generation, attempt) && !is_running)
}

/// Records that all files of the attempt held by `task` are stored.
pub fn complete(
    video: &Video,
    job: &Job,
    task: &str,
    source: MediaSource,
    outputs: Outputs,
) -> Result<Decision, Fence> {
    check_holds(video, job, task)?;
    let event = ProcessingCompleted { generation: job.generation, attempt: job.attempt, source, outputs };
    Ok(Decision::of_attempt(video, "complete", event))
}

/// Records that the attempt held by `task` failed.
pub fn fail(video: &Video, job: &Job, task: &str, error: VideoError) -> Result<Decision, Fence> {
    check_holds(video, job, task)?;
    let event = ProcessingFailed { generation: job.generation, attempt: job.attempt, error };
    Ok(Decision::of_attempt(video, "fail", event))
}

/// Why an attempt was interrupted, with a reason for people. The video is not at fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interruption {
    /// Its worker was stopped from outside, with the platform or with its machine. The next attempt follows at once.
    Stopped(String),
    /// The platform could not do the work. After the first time, the next attempt follows after a pause that grows.
    Unable(String),
}

/// Records that the attempt held by `task` was interrupted.
pub fn interrupt(
    video: &Video,
    job: &Job,
    task: &str,
    interruption: Interruption,
) -> Result<Decision, Fence> {
    check_holds(video, job, task)?;
    Ok(interrupted(video, job, interruption))
}

fn interrupted(video: &Video, job: &Job, interruption: Interruption) -> Decision {
    let (reason, stopped) = match interruption {
        Interruption::Stopped(reason) => (reason, true),
        Interruption::Unable(reason) => (reason, false),
    };
    let Job { generation, attempt, .. } = *job;
    let event = ProcessingInterrupted { generation, attempt, reason, stopped };
    Decision::of_attempt(video, "interrupt", event)
}

/// Records that the completed attempt is published under all stable keys.
pub fn ready(video: &Video, job: &Job) -> Result<Decision, Fence> {
    let Some((source, outputs)) = video.publishable(job) else {
        return Err(check_current(video, job).err().unwrap_or(Fence::Ended));
    };
    let Job { generation, attempt, .. } = *job;
    let event = VideoReady { generation, attempt, source: source.clone(), outputs: outputs.clone() };
    // It may be an earlier attempt than the current one.
    Ok(Decision::new(video, &["ready", &generation.to_string(), &attempt.to_string()], event))
}

/// How a worker's process ended, as observed by its launcher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerEnd {
    /// It was stopped from outside, or could not be started or go on.
    Interrupted(Interruption),
    /// It ended without reporting the result of its attempt; described for the operator.
    Crashed(String),
}

impl fmt::Display for WorkerEnd {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupted(Interruption::Stopped(reason)) => write!(formatter, "it was stopped: {reason}"),
            Self::Interrupted(Interruption::Unable(reason)) => {
                write!(formatter, "the platform could not do its work: {reason}")
            }
            Self::Crashed(how) => write!(formatter, "it ended by itself: {how}"),
        }
    }
}

/// Returns the decision that follows from the end of a worker launched with `job`; `None` if the attempt's end is
/// recorded or another worker holds the attempt. A completed attempt is left for the next worker to publish.
pub fn worker_ended(video: &Video, job: &Job, task: &str, end: WorkerEnd) -> Option<Decision> {
    match &video.phase {
        Phase::Dispatched { .. } => check_current(video, job).ok()?,
        _ => check_holds(video, job, task).ok()?,
    }
    Some(match end {
        WorkerEnd::Interrupted(interruption) => interrupted(video, job, interruption),
        WorkerEnd::Crashed(how) => {
            let error =
                VideoError::retryable("worker_crashed", format!("the worker ended unexpectedly: {how}"));
            let Job { generation, attempt, .. } = *job;
            Decision::of_attempt(video, "fail", ProcessingFailed { generation, attempt, error })
        }
    })
}

fn check_current(video: &Video, job: &Job) -> Result<(), Fence> {
    if video.is_current(job.generation, job.attempt) {
        Ok(())
    } else {
        Err(Fence::NotCurrent { generation: video.generation, attempt: video.attempt })
    }
}

fn check_holds(video: &Video, job: &Job, task: &str) -> Result<(), Fence> {
    check_current(video, job)?;
    match &video.phase {
        Phase::Started { task: holder, .. } if holder == task => Ok(()),
        Phase::Started { task: holder, .. } => Err(Fence::HeldByOther(holder.clone())),
        _ => Err(Fence::Ended),
    }
}
