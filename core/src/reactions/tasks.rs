//! Records how worker tasks ended.
//!
//! A worker records the end of its attempt itself; this module records it for workers that could not. A task that was stopped from
//! outside (spot reclaim, operator) interrupts the attempt, which does not count as a failure of the video. A worker that exited
//! without recording anything has failed.

use std::convert::Infallible;

use streamio_events::id::VideoId;
use streamio_events::job::Job;
use streamio_events::log::EventLog;
use streamio_events::retryable::Retryable;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::decide::{Interruption, WorkerEnd, worker_ended};
use streamio_events::video::{Decided, VideoStoreError, decide_and_append};

/// Records that the worker `task`, launched with `job`, has ended. Appends nothing if the worker recorded the end itself, or
/// lost the attempt to another worker.
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

/// A state change of an ECS task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskChange {
    /// The task's ARN, which is also the worker's task name.
    pub task: String,
    /// The cluster's ARN.
    pub cluster: String,
    /// Whether the task has stopped. Earlier states are ignored.
    pub stopped: bool,
    /// ECS's `stopCode`.
    pub stop_code: Option<String>,
    /// ECS's `stoppedReason`. For operators only: it may name internal resources.
    pub stopped_reason: Option<String>,
    /// The job of the task, as JSON.
    pub job: Option<String>,
    /// The containers.
    pub containers: Vec<ContainerEnd>,
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerEnd {
    /// Its name in the task definition.
    pub name: String,
    /// Its exit status; 128 plus the signal number if it was killed.
    pub exit_code: Option<i64>,
    /// ECS's reason, such as `OutOfMemoryError: …`.
    pub reason: Option<String>,
}

/// Exit statuses of a worker that do not count as a failure of the video: it was stopped, it could not reach the log, or its
/// environment is incomplete. Documented in `worker/src/exit_code.rs`.
const INTERRUPTION_STATUSES: [i64; 3] = [4, 75, 78];

/// Stop codes of tasks that were stopped from outside, with a description for people:
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Task.html>
const STOPPED_FROM_OUTSIDE: [(&str, &str); 4] = [
    ("SpotInterruption", "its spot capacity was reclaimed"),
    ("TerminationNotice", "the machine that it ran on was taken out of service"),
    ("UserInitiated", "an operator stopped it"),
    ("ServiceSchedulerInitiated", "the scheduler stopped it"),
];

/// The stop code of a task without capacity, whose image could not be pulled, or whose network could not be attached.
const FAILED_TO_START: &str = "TaskFailedToStart";

/// How a worker ended that exited with this status; `None` for 0, after which there is nothing to record.
pub fn end_with_status(status: i64) -> Option<WorkerEnd> {
    match status {
        0 => None,
        _ if INTERRUPTION_STATUSES.contains(&status) => {
            let reason = format!("it could not continue (exit status {status})");
            Some(WorkerEnd::Interrupted(Interruption::Unable(reason)))
        }
        _ => Some(WorkerEnd::Crashed(format!("exit status {status}"))),
    }
}

/// How the worker in the container `container` ended; `None` if it exited with status 0.
pub fn end_of(change: &TaskChange, container: &str) -> Option<WorkerEnd> {
    let worker = change.containers.iter().find(|one| one.name == container);
    let exit_code = worker.and_then(|worker| worker.exit_code);
    // The worker had finished before the task was stopped.
    if exit_code == Some(0) {
        return None;
    }
    let code = change.stop_code.as_deref();
    if let Some((_, words)) = STOPPED_FROM_OUTSIDE.iter().find(|(known, _)| Some(*known) == code) {
        return Some(WorkerEnd::Interrupted(Interruption::Stopped((*words).to_owned())));
    }
    if code == Some(FAILED_TO_START) {
        return Some(WorkerEnd::Interrupted(Interruption::Unable("it could not be started".to_owned())));
    }
    let out_of_memory = worker
        .and_then(|worker| worker.reason.as_deref())
        .is_some_and(|reason| reason.starts_with("OutOfMemory"));
    match exit_code {
        Some(code) if out_of_memory && !INTERRUPTION_STATUSES.contains(&code) => {
            Some(WorkerEnd::Crashed(format!("it ran out of memory (exit status {code})")))
        }
        Some(code) => end_with_status(code),
        None if out_of_memory => Some(WorkerEnd::Crashed("it ran out of memory".to_owned())),
        None => Some(WorkerEnd::Crashed("no exit status is known".to_owned())),
    }
}

/// The result of recording a state change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordOutcome {
    /// The end of the worker is recorded.
    Recorded(VideoId),
    /// The worker or an earlier delivery had recorded the end already.
    Duplicate(VideoId),
    /// There is nothing to record.
    NothingToRecord,
    /// The task does not belong to this deployment.
    Foreign,
}

/// Why a state change was not recorded.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// The video's stream cannot be read, understood or appended to.
    #[error(transparent)]
    Video(#[from] VideoStoreError),
    /// The task's job cannot be parsed: it comes from a different build, or is not a job.
    #[error("the task's job cannot be read")]
    Job(#[source] serde_json::Error),
}

impl Retryable for TaskError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Video(error) => error.is_retryable(),
            Self::Job(_) => false,
        }
    }
}

/// Where workers run.
#[derive(Debug, Clone, Copy)]
pub struct WorkerDeployment<'a> {
    /// The cluster's name or ARN.
    pub cluster: &'a str,
    /// The worker's container.
    pub container: &'a str,
}

impl WorkerDeployment<'_> {
    /// Whether `arn` is the ARN of the workers' cluster.
    fn is_in(self, arn: &str) -> bool {
        arn == self.cluster || arn.rsplit_once(":cluster/").is_some_and(|(_, name)| name == self.cluster)
    }
}

/// Records a state change. State changes are delivered at least once and in any order: only the stopped state is recorded, and a
/// second delivery of it finds the event of the first.
pub async fn record_change(
    log: &dyn EventLog,
    now: Timestamp,
    deployment: WorkerDeployment<'_>,
    change: &TaskChange,
) -> Result<RecordOutcome, TaskError> {
    let Some(job) = change.job.as_deref().filter(|_| deployment.is_in(&change.cluster)) else {
        tracing::info!(
            task = change.task,
            cluster = change.cluster,
            "a task of another application is ignored"
        );
        return Ok(RecordOutcome::Foreign);
    };
    if !change.stopped {
        return Ok(RecordOutcome::NothingToRecord);
    }
    let job: Job = serde_json::from_str(job).map_err(TaskError::Job)?;
    let Some(end) = end_of(change, deployment.container) else { return Ok(RecordOutcome::NothingToRecord) };
    let decided = ended(log, now, &job, &change.task, &end).await?;
    if !decided.appended {
        return Ok(RecordOutcome::Duplicate(job.video_id));
    }
    let (code, reason) = (change.stop_code.as_deref(), change.stopped_reason.as_deref());
    let (video, attempt, task) = (&job.video_id, job.attempt, &change.task);
    if code == Some(FAILED_TO_START) {
        tracing::error!(video.id = %video, attempt, task, ecs.reason = reason, "a worker could not be started");
    } else {
        tracing::warn!(video.id = %video, attempt, task, end = %end, ecs.stop_code = code, ecs.reason = reason, "a worker ended without recording the end of its attempt");
    }
    Ok(RecordOutcome::Recorded(job.video_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stopped(code: Option<&str>, exit_code: Option<i64>, reason: Option<&str>) -> TaskChange {
        let container =
            ContainerEnd { name: "worker".to_owned(), exit_code, reason: reason.map(str::to_owned) };
        let sidecar = ContainerEnd { name: "sidecar".to_owned(), exit_code: Some(0), reason: None };
        TaskChange {
            task: "arn:aws:ecs:eu-central-1:111122223333:task/streamio/1".to_owned(),
            cluster: "arn:aws:ecs:eu-central-1:111122223333:cluster/streamio".to_owned(),
            stopped: true,
            stop_code: code.map(str::to_owned),
            stopped_reason: None,
            job: None,
            containers: vec![sidecar, container],
        }
    }

    fn end(code: &str, exit_code: Option<i64>) -> Option<WorkerEnd> {
        end_of(&stopped(Some(code), exit_code, None), "worker")
    }

    fn is_unable(end: Option<&WorkerEnd>) -> bool {
        matches!(end, Some(WorkerEnd::Interrupted(Interruption::Unable(_))))
    }

    #[test]
    fn a_task_that_was_stopped_from_outside_is_not_a_failure_of_the_video() {
        for (code, words) in STOPPED_FROM_OUTSIDE {
            for exit_code in [None, Some(4), Some(137), Some(143)] {
                let stopped = WorkerEnd::Interrupted(Interruption::Stopped(words.to_owned()));
                assert_eq!(end(code, exit_code), Some(stopped), "{code}");
            }
            assert_eq!(end(code, Some(0)), None, "{code}: it had finished before");
        }
        assert!(is_unable(end(FAILED_TO_START, None).as_ref()), "another attempt may not start either");
    }

    #[test]
    fn a_worker_that_exits_on_its_own_has_failed_unless_its_status_is_an_interruption() {
        let essential = |exit_code| end("EssentialContainerExited", exit_code);
        assert_eq!(essential(Some(0)), None);
        for code in [1, 3, 5, 101, 134, 139] {
            assert_eq!(essential(Some(code)), Some(WorkerEnd::Crashed(format!("exit status {code}"))));
        }
        for code in INTERRUPTION_STATUSES {
            assert!(is_unable(essential(Some(code)).as_ref()), "{code}");
        }
        assert!(matches!(essential(None), Some(WorkerEnd::Crashed(_))));
        let reason = "OutOfMemoryError: Container killed due to memory usage";
        let killed = stopped(Some("EssentialContainerExited"), Some(137), Some(reason));
        assert_eq!(
            end_of(&killed, "worker"),
            Some(WorkerEnd::Crashed("it ran out of memory (exit status 137)".to_owned()))
        );
    }

    #[test]
    fn an_unknown_stop_code_is_classified_by_the_exit_status() {
        for code in [None, Some("SomethingNew")] {
            assert_eq!(end_of(&stopped(code, Some(0), None), "worker"), None);
            assert!(matches!(end_of(&stopped(code, Some(9), None), "worker"), Some(WorkerEnd::Crashed(_))));
        }
    }

    #[test]
    fn a_cluster_matches_by_name_and_by_arn() {
        let arn = "arn:aws:ecs:eu-central-1:111122223333:cluster/streamio";
        for (cluster, matches) in [("streamio", true), (arn, true), ("stream", false), ("io", false)] {
            assert_eq!(WorkerDeployment { cluster, container: "worker" }.is_in(arn), matches, "{cluster}");
        }
    }
}
