//! Launches the worker of an attempt.

use streamio_events::job::Job;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::decide::{Step, step_of_attempt};
use streamio_events::video::{Video, catch_up};

use crate::ports::task_launcher::{LaunchError, Launched};
use crate::reactions::react::{Ports, ReactError};

/// How many workers of one job may have ended before they started their work. Failed attempts are recorded by
/// [`tasks`](crate::reactions::tasks) and are followed by attempts with other tokens.
const MAX_ENDED_WORKERS: u32 = 8;

/// The outcome of [`launch`].
#[derive(PartialEq)]
pub(super) enum Outcome {
    /// The job has a worker.
    Present,
    /// According to the log, the job is no longer the next step.
    Superseded,
}

/// Launches a worker for `wanted`, unless it has one.
///
/// If the response of an earlier launch was lost, its worker may have ended meanwhile. The log, read again, then states whether
/// that worker finished or another one must follow it.
pub(super) async fn launch(
    ports: Ports<'_>,
    now: Timestamp,
    video: &mut Video,
    wanted: Job,
) -> Result<Outcome, ReactError> {
    let mut job = wanted.clone();
    for _ in 0..MAX_ENDED_WORKERS {
        let Launched::Ended { task } = ports.launcher.launch(&job).await? else {
            return Ok(Outcome::Present);
        };
        catch_up(ports.log, video).await?;
        if !matches!(step_of_attempt(video, now, ports.policy), Step::Launch(job) if job == wanted) {
            return Ok(Outcome::Superseded);
        }
        job = job.following(&task);
    }
    Err(LaunchError::Unavailable(
        format!("{MAX_ENDED_WORKERS} workers of this job ended before they started").into(),
    )
    .into())
}
