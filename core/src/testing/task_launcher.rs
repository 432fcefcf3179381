//! A task launcher that records launches.

use std::collections::VecDeque;
use std::sync::Mutex;

use async_trait::async_trait;
use streamio_events::job::Job;
use streamio_events::memory::MemoryLog;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::decide::{self, Start};
use streamio_events::video::decide_and_append;

use super::fixtures::{outputs, source};
use crate::ports::task_launcher::{LaunchError, Launched, TaskLauncher};

/// Records launches, and fails or reports ended workers on request.
#[derive(Default)]
pub struct RecordingLauncher {
    launched: Mutex<Vec<Job>>,
    fails: Mutex<Option<Fails>>,
    /// Workers of launches whose responses were lost. Each has ended when the job is launched again.
    ended: Mutex<VecDeque<EndedWorker>>,
    log: MemoryLog,
}

/// When a worker ended.
#[derive(Clone, Copy)]
pub enum EndedWorker {
    /// Before it started its attempt.
    BeforeStart,
    /// After it completed its attempt.
    AfterCompletion,
}

enum Fails {
    Once,
    UntilRepaired,
}

impl RecordingLauncher {
    pub(super) fn new(log: MemoryLog) -> Self {
        Self { log, ..Self::default() }
    }

    /// Returns the launched jobs.
    pub fn launched(&self) -> Vec<Job> {
        self.launched.lock().unwrap().clone()
    }

    /// Makes the next launch fail for lack of capacity.
    pub fn fail_next(&self) {
        *self.fails.lock().unwrap() = Some(Fails::Once);
    }

    /// Makes the next launches report that an earlier worker of the job has ended.
    pub fn report_ended(&self, ended: impl IntoIterator<Item = EndedWorker>) {
        self.ended.lock().unwrap().extend(ended);
    }

    /// Records what a worker records: start and completion.
    async fn work(&self, job: &Job, task: &str) {
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        let started = decide_and_append(&self.log, &job.project_id, &job.video_id, now, |video| {
            match decide::start(video, job, task) {
                Start::Run(decision) => Ok::<_, std::convert::Infallible>(Some(decision)),
                other => panic!("{other:?}"),
            }
        });
        let Ok(_) = started.await.unwrap();
        let completed = decide_and_append(&self.log, &job.project_id, &job.video_id, now, |video| {
            decide::complete(video, job, task, source(), outputs(job.s3_key.rest())).map(Some)
        });
        completed.await.unwrap().unwrap();
    }

    /// Makes the next launch fail until an operator acts.
    pub fn refuse_next(&self) {
        *self.fails.lock().unwrap() = Some(Fails::UntilRepaired);
    }
}

#[async_trait]
impl TaskLauncher for RecordingLauncher {
    async fn launch(&self, job: &Job) -> Result<Launched, LaunchError> {
        match self.fails.lock().unwrap().take() {
            Some(Fails::Once) => return Err(LaunchError::Unavailable("no capacity".into())),
            Some(Fails::UntilRepaired) => {
                let source = "AccessDeniedException".into();
                return Err(LaunchError::Refused { fix: "grant the function the permission", source });
            }
            None => {}
        }
        self.launched.lock().unwrap().push(job.clone());
        let ended = self.ended.lock().unwrap().pop_front();
        let Some(ended) = ended else { return Ok(Launched::Present) };
        let task = format!("ended under {}", job.client_token);
        if let EndedWorker::AfterCompletion = ended {
            self.work(job, &task).await;
        }
        Ok(Launched::Ended { task })
    }
}
