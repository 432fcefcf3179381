//! The ends of workers, turned into events.
//!
//! A worker tells of its attempt's end itself; this speaks for one that could not. Who stops a worker from outside
//! interrupts its attempt, which costs the video nothing; a worker that ends by itself without a word has failed.

use std::convert::Infallible;

use streamio_events::id::VideoId;
use streamio_events::job::Job;
use streamio_events::log::EventLog;
use streamio_events::retryable::Retryable;
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

/// A state that a task in a cluster has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskChange {
    /// The task's ARN: the name that its worker goes by.
    pub task: String,
    /// The cluster's ARN.
    pub cluster: String,
    /// Whether it has come to its end. Before that, nothing of it is of interest.
    pub stopped: bool,
    /// Which kind of cause stopped it, as ECS names them.
    pub stop_code: Option<String>,
    /// What stopped it, in ECS's words, which may name what is none of a tenant's business.
    pub stopped_reason: Option<String>,
    /// The job that it was launched with, JSON.
    pub job: Option<String>,
    /// The containers.
    pub containers: Vec<ContainerEnd>,
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerEnd {
    /// Its name in the task definition.
    pub name: String,
    /// Its exit status; 128 and the signal's number for one that was killed.
    pub exit_code: Option<i64>,
    /// What ECS says of its end, such as `OutOfMemoryError: …`.
    pub reason: Option<String>,
}

/// Statuses with which a worker says that its end is no fault of the video's: it was stopped, it could not reach the log,
/// its environment is not complete. They are documented with the worker.
const NOT_THE_VIDEOS: [i64; 3] = [4, 75, 78];

/// Stop codes of what comes from outside
/// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Task.html>), in words for people.
const FROM_OUTSIDE: [(&str, &str); 5] = [
    ("SpotInterruption", "its spot capacity was reclaimed"),
    ("TerminationNotice", "the machine that it ran on was taken out of service"),
    ("UserInitiated", "an operator stopped it"),
    ("ServiceSchedulerInitiated", "the scheduler stopped it"),
    // The machine could not be had, the image not be pulled, the network not be joined.
    ("TaskFailedToStart", "it could not be started"),
];

/// What the end of a task says of its worker, in the container `container`; `None` when it ended as it should.
pub fn end_of(change: &TaskChange, container: &str) -> Option<WorkerEnd> {
    let worker = change.containers.iter().find(|one| one.name == container);
    let exit_code = worker.and_then(|worker| worker.exit_code);
    // Whatever stopped the task, its worker was done before.
    if exit_code == Some(0) {
        return None;
    }
    let code = change.stop_code.as_deref();
    if let Some((_, words)) = FROM_OUTSIDE.iter().find(|(known, _)| Some(*known) == code) {
        return Some(WorkerEnd::Stopped((*words).to_owned()));
    }
    let out_of_memory = worker
        .and_then(|worker| worker.reason.as_deref())
        .is_some_and(|reason| reason.starts_with("OutOfMemory"));
    Some(match exit_code {
        Some(code) if NOT_THE_VIDEOS.contains(&code) => {
            WorkerEnd::Stopped(format!("it could not go on (exit status {code})"))
        }
        Some(code) if out_of_memory => {
            WorkerEnd::Crashed(format!("it ran out of memory (exit status {code})"))
        }
        Some(code) => WorkerEnd::Crashed(format!("exit status {code}")),
        None if out_of_memory => WorkerEnd::Crashed("it ran out of memory".to_owned()),
        None => WorkerEnd::Crashed("no exit status is known".to_owned()),
    })
}

/// What came of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Noted {
    /// The end of its worker is recorded.
    Recorded(VideoId),
    /// The worker itself, or an earlier delivery, had told of its end.
    Known(VideoId),
    /// There is nothing to tell of.
    Nothing,
    /// A task that is none of ours.
    Foreign,
}

/// Why a change was not noted.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// The video's stream.
    #[error(transparent)]
    Video(#[from] VideoStoreError),
    /// It carries a job that cannot be read: another build's, or not ours.
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

/// Where our workers run.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The cluster's name or ARN.
    pub cluster: &'a str,
    /// The worker's container.
    pub container: &'a str,
}

impl Place<'_> {
    /// Whether `arn` is the cluster's.
    fn is_in(self, arn: &str) -> bool {
        arn == self.cluster || arn.rsplit_once(":cluster/").is_some_and(|(_, name)| name == self.cluster)
    }
}

/// Notes a change. Changes come at least once and in any order: only the last state is of interest, and its second
/// delivery finds the first one's event.
pub async fn note(
    log: &dyn EventLog,
    now: Timestamp,
    place: Place<'_>,
    change: &TaskChange,
) -> Result<Noted, TaskError> {
    let Some(job) = change.job.as_deref().filter(|_| place.is_in(&change.cluster)) else {
        tracing::info!(task = change.task, cluster = change.cluster, "a task that is none of ours");
        return Ok(Noted::Foreign);
    };
    if !change.stopped {
        return Ok(Noted::Nothing);
    }
    let job: Job = serde_json::from_str(job).map_err(TaskError::Job)?;
    let Some(end) = end_of(change, place.container) else { return Ok(Noted::Nothing) };
    let decided = ended(log, now, &job, &change.task, &end).await?;
    if !decided.appended {
        return Ok(Noted::Known(job.video_id));
    }
    let (code, reason) = (change.stop_code.as_deref(), change.stopped_reason.as_deref());
    let (video, attempt, task) = (&job.video_id, job.attempt, &change.task);
    if code == Some("TaskFailedToStart") {
        tracing::error!(video.id = %video, attempt, task, ecs.reason = reason, "a worker could not be started");
    } else {
        tracing::warn!(video.id = %video, attempt, task, end = ?end, ecs.stop_code = code, ecs.reason = reason, "a worker ended before its attempt did");
    }
    Ok(Noted::Recorded(job.video_id))
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

    #[test]
    fn what_comes_from_outside_is_no_failure_of_the_video() {
        for (code, words) in FROM_OUTSIDE {
            for exit_code in [None, Some(4), Some(137), Some(143)] {
                assert_eq!(end(code, exit_code), Some(WorkerEnd::Stopped(words.to_owned())), "{code}");
            }
            assert_eq!(end(code, Some(0)), None, "{code}: it was done before");
        }
    }

    #[test]
    fn a_worker_that_ends_by_itself_has_failed_unless_it_says_otherwise() {
        let essential = |exit_code| end("EssentialContainerExited", exit_code);
        assert_eq!(essential(Some(0)), None);
        for code in [1, 3, 5, 101, 134, 139] {
            assert_eq!(essential(Some(code)), Some(WorkerEnd::Crashed(format!("exit status {code}"))));
        }
        for code in NOT_THE_VIDEOS {
            assert!(matches!(essential(Some(code)), Some(WorkerEnd::Stopped(_))), "{code}");
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
    fn a_code_that_is_not_known_is_judged_by_the_exit_status() {
        for code in [None, Some("SomethingNew")] {
            assert_eq!(end_of(&stopped(code, Some(0), None), "worker"), None);
            assert!(matches!(end_of(&stopped(code, Some(9), None), "worker"), Some(WorkerEnd::Crashed(_))));
        }
    }

    #[test]
    fn a_cluster_is_known_by_its_name_and_by_its_arn() {
        let arn = "arn:aws:ecs:eu-central-1:111122223333:cluster/streamio";
        for (cluster, ours) in [("streamio", true), (arn, true), ("stream", false), ("io", false)] {
            assert_eq!(Place { cluster, container: "worker" }.is_in(arn), ours, "{cluster}");
        }
    }
}
