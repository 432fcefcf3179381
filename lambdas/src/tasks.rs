//! The ends of workers, turned into events.

use std::convert::Infallible;

use streamio_events::job::Job;
use streamio_events::log::EventLog;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::decide::{WorkerEnd, worker_ended};
use streamio_events::video::{Decided, VideoStoreError, decide_and_append};

/// Records that the worker `task`, launched with `job`, has ended. A worker that told of its attempt's end itself, or
/// lost it to another, leaves nothing to record.
pub async fn ended(
    log: &dyn EventLog,
    now: Timestamp,
    job: &Job,
    task: &str,
    end: &WorkerEnd,
) -> Result<Decided, VideoStoreError> {
    let decided = decide_and_append(log, &job.project_id, &job.video_id, now, |video| {
        Ok::<_, Infallible>(worker_ended(video, job, task, end.clone()))
    })
    .await?;
    let Ok(decided) = decided;
    Ok(decided)
}
