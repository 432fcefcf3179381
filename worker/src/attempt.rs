//! Events that the worker records about its attempt. Decisions are fenced by conditional appends: a worker that gets a
//! [`Fence`] must stop.

use std::sync::Arc;
use std::time::Duration;

use streamio_events::commit::NewCommit;
use streamio_events::event::ProcessingProgressed;
use streamio_events::fact::Fact;
use streamio_events::id::CommitId;
use streamio_events::intake::Intake;
use streamio_events::job::Job;
use streamio_events::log::{AppendError, EventLog, Expected};
use streamio_events::media::{MediaSource, Outputs, VideoError};
use streamio_events::retryable::Retryable as _;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::decide::{self, Decision, Fence, Interruption, Start};
use streamio_events::video::{Phase, Video, VideoStoreError, catch_up, decide_and_append, load};

/// One attempt, on behalf of one worker.
#[derive(Clone)]
pub struct Attempt {
    log: Arc<dyn EventLog>,
    intake: Option<Arc<dyn Intake>>,
    job: Job,
    task: String,
    now: fn() -> Timestamp,
}

/// What the worker has to do after [`Attempt::start`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartOutcome {
    /// Process the source; the attempt belongs to this worker alone.
    Process,
    /// All outputs are stored: publish them.
    Publish,
    /// Nothing: the attempt belongs to another worker or has ended.
    Fenced(Fence),
}

/// Calls to the log before giving up. The pauses between them double, about 13 s in total.
const MAX_TRIES: u32 = 7;
const FIRST_PAUSE: Duration = Duration::from_millis(200);

impl Attempt {
    /// The attempt of `job` by the worker named `task`. Decisions go to `log`; facts go to `intake`, or to `log` without one.
    pub fn new(
        log: Arc<dyn EventLog>,
        intake: Option<Arc<dyn Intake>>,
        job: Job,
        task: String,
        now: fn() -> Timestamp,
    ) -> Self {
        Self { log, intake, job, task, now }
    }

    /// The job to do.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// Records `processing.started` for this worker. Must be the worker's first step.
    pub async fn start(&self) -> Result<StartOutcome, VideoStoreError> {
        let started = self
            .decide(|video| match decide::start(video, &self.job, &self.task) {
                Start::Run(decision) => Ok(decision),
                Start::Publish => Err(StartOutcome::Publish),
                Start::Stop(fence) => Err(StartOutcome::Fenced(fence)),
            })
            .await?;
        Ok(started.err().unwrap_or(StartOutcome::Process))
    }

    /// Records `processing.completed`: all outputs are stored under the attempt's prefix.
    pub async fn complete(
        &self,
        source: &MediaSource,
        outputs: &Outputs,
    ) -> Result<Result<(), Fence>, VideoStoreError> {
        self.decide(|video| decide::complete(video, &self.job, &self.task, source.clone(), outputs.clone()))
            .await
    }

    /// Records `processing.failed`.
    pub async fn fail(&self, error: &VideoError) -> Result<Result<(), Fence>, VideoStoreError> {
        self.decide(|video| decide::fail(video, &self.job, &self.task, error.clone())).await
    }

    /// Records `processing.interrupted`: the worker was stopped, or the platform could not do the work.
    pub async fn interrupt(&self, interruption: &Interruption) -> Result<Result<(), Fence>, VideoStoreError> {
        self.decide(|video| decide::interrupt(video, &self.job, &self.task, interruption.clone())).await
    }

    /// Records `video.ready`: all stable keys are written.
    pub async fn ready(&self) -> Result<Result<(), Fence>, VideoStoreError> {
        self.decide(|video| decide::ready(video, &self.job)).await
    }

    /// Returns the outputs to publish if this attempt may still be published. Checked before each write to a stable key.
    pub async fn publishable(&self) -> Result<Result<Outputs, Fence>, VideoStoreError> {
        let video = self.video().await?;
        // The fence is that of the decision which follows the writes.
        Ok(match video.publishable(&self.job) {
            Some((_, outputs)) => Ok(outputs.clone()),
            None => Err(decide::ready(&video, &self.job).err().unwrap_or(Fence::Ended)),
        })
    }

    /// Reads the video from the log.
    pub async fn video(&self) -> Result<Video, VideoStoreError> {
        with_retries(|| load(&*self.log, &self.job.project_id, &self.job.video_id)).await
    }

    /// Catches `video` up with the log and returns whether this attempt is still current and belongs to this worker.
    pub async fn is_current(&self, video: &mut Video) -> Result<bool, VideoStoreError> {
        catch_up(&*self.log, video).await?;
        let current = video.is_current(self.job.generation, self.job.attempt);
        Ok(current && video.worker() == Some(&self.task))
    }

    /// Heartbeat with the progress in percent. `number` is unique among the worker's heartbeats and makes repeats idempotent.
    /// Falls back to [`append_progress`](Self::append_progress) if the intake fails: without a heartbeat the worker would
    /// lose its attempt. Duplicates are harmless.
    pub async fn report_progress(&self, percent: u8, number: u64) -> Result<(), AppendError> {
        if let Some(intake) = &self.intake {
            let fact = Fact::new(self.job.stream(), self.progress(percent, number));
            let fact = fact.expect("a percentage is a small event of a video");
            let Err(error) = intake.put(vec![fact]).await else { return Ok(()) };
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the intake did not accept the progress; appending it to the log"
            );
        }
        self.append_progress(percent, number).await
    }

    /// Heartbeat appended directly to the log, for when earlier ones through the intake were not recorded in time.
    pub async fn append_progress(&self, percent: u8, number: u64) -> Result<(), AppendError> {
        self.log.append(&self.job.stream(), Expected::Any, self.progress(percent, number)).await?;
        Ok(())
    }

    /// Time since the worker's last recorded heartbeat according to `video`; `None` unless the attempt is started.
    pub fn since_last_recorded(&self, video: &Video) -> Option<Duration> {
        match &video.phase {
            Phase::Started { last_heartbeat_at, .. } => Some((self.now)().since(*last_heartbeat_at)),
            _ => None,
        }
    }

    fn progress(&self, percent: u8, number: u64) -> NewCommit {
        let Job { generation, attempt, .. } = self.job;
        let cause =
            ["progress", &self.task, &generation.to_string(), &attempt.to_string(), &number.to_string()];
        let event = ProcessingProgressed { generation, attempt, percent };
        NewCommit::new(CommitId::derived_from(&cause), (self.now)(), [event.into()])
    }

    async fn decide<R: Send>(
        &self,
        decide: impl Fn(&Video) -> Result<Decision, R> + Send + Sync,
    ) -> Result<Result<(), R>, VideoStoreError> {
        let decided = with_retries(|| {
            decide_and_append(&*self.log, &self.job.project_id, &self.job.video_id, (self.now)(), |video| {
                decide(video).map(Some)
            })
        })
        .await?;
        Ok(decided.map(|_| ()))
    }
}

/// Retries `call` while its error is retryable. Safe for decisions too: a repeated append finds its own commit.
async fn with_retries<T, F>(mut call: impl FnMut() -> F) -> Result<T, VideoStoreError>
where
    F: Future<Output = Result<T, VideoStoreError>>,
{
    let mut pause = FIRST_PAUSE;
    for _ in 1..MAX_TRIES {
        match call().await {
            Err(error) if error.is_retryable() => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the event log is unavailable; trying again"
                );
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            result => return result,
        }
    }
    call().await
}
