//! The worker's side of an attempt's events. Decisions are fenced by the log; what is refused here must stop.

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
use streamio_events::video::decide::{self, Decision, Fence, Start};
use streamio_events::video::{Phase, Video, VideoStoreError, catch_up, decide_and_append, load};

/// One attempt, as one worker sees it.
#[derive(Clone)]
pub struct Attempt {
    log: Arc<dyn EventLog>,
    intake: Option<Arc<dyn Intake>>,
    job: Job,
    task: String,
    now: fn() -> Timestamp,
}

/// What the worker is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Started {
    /// Make the attempt; no other worker may.
    Make,
    /// The attempt is made: publish it.
    Publish,
    /// Nothing.
    Stop(Fence),
}

/// A log that does not answer is asked this often, at growing intervals: about 13 s in all.
const TRIES: u32 = 7;
const FIRST_PAUSE: Duration = Duration::from_millis(200);

impl Attempt {
    /// The attempt of `job`, worked on by `task`. Decisions go to `log`, and so do facts without an
    /// `intake`.
    pub fn new(
        log: Arc<dyn EventLog>,
        intake: Option<Arc<dyn Intake>>,
        job: Job,
        task: String,
        now: fn() -> Timestamp,
    ) -> Self {
        Self { log, intake, job, task, now }
    }

    /// Its job.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// Takes the attempt: the worker's first act.
    pub async fn start(&self) -> Result<Started, VideoStoreError> {
        let started = self
            .decide(|video| match decide::start(video, &self.job, &self.task) {
                Start::Run(decision) => Ok(decision),
                Start::Publish => Err(Started::Publish),
                Start::Stop(fence) => Err(Started::Stop(fence)),
            })
            .await?;
        Ok(started.err().unwrap_or(Started::Make))
    }

    /// All is stored under the attempt's prefix.
    pub async fn complete(
        &self,
        source: &MediaSource,
        outputs: &Outputs,
    ) -> Result<Result<(), Fence>, VideoStoreError> {
        self.decide(|video| decide::complete(video, &self.job, &self.task, source.clone(), outputs.clone()))
            .await
    }

    /// It failed.
    pub async fn fail(&self, error: &VideoError) -> Result<Result<(), Fence>, VideoStoreError> {
        self.decide(|video| decide::fail(video, &self.job, &self.task, error.clone())).await
    }

    /// It is stopped from outside.
    pub async fn interrupt(&self, reason: &str) -> Result<Result<(), Fence>, VideoStoreError> {
        self.decide(|video| decide::interrupt(video, &self.job, &self.task, reason)).await
    }

    /// All pointers are written.
    pub async fn ready(&self) -> Result<Result<(), Fence>, VideoStoreError> {
        self.decide(|video| decide::ready(video, &self.job)).await
    }

    /// What is to be published, if this attempt still is to be: the fence of each write to a stable key.
    pub async fn publishable(&self) -> Result<Result<Outputs, Fence>, VideoStoreError> {
        let video = self.video().await?;
        Ok(match (decide::ready(&video, &self.job), video.phase) {
            (Ok(_), Phase::Completed { outputs, .. }) => Ok(outputs),
            (Ok(_), _) => Err(Fence::Over),
            (Err(fence), _) => Err(fence),
        })
    }

    /// The video as the log has it.
    pub async fn video(&self) -> Result<Video, VideoStoreError> {
        retried(|| load(&*self.log, &self.job.project_id, &self.job.video_id)).await
    }

    /// Whether `video`, brought up to date, still wants this attempt from this worker.
    pub async fn is_wanted(&self, video: &mut Video) -> Result<bool, VideoStoreError> {
        catch_up(&*self.log, video).await?;
        let current = video.is_current(self.job.generation, self.job.attempt);
        Ok(current && video.worker() == Some(&self.task))
    }

    /// States that the worker is alive and how far it is. `number` tells this statement from all others of the worker. What
    /// the intake does not take is told the log itself, lest a worker lose its attempt because it was not heard; when only
    /// the intake's answer was lost, the log may come to have the statement twice, which says nothing new.
    pub async fn progressed(&self, percent: u8, number: u64) -> Result<(), AppendError> {
        if let Some(intake) = &self.intake {
            let fact = Fact::new(self.job.stream(), self.progress(percent, number));
            let fact = fact.expect("a percentage is a small event of a video");
            let Err(error) = intake.put(vec![fact]).await else { return Ok(()) };
            tracing::warn!(error = &error as &dyn std::error::Error, "the log itself is told of progress");
        }
        self.progressed_aloud(percent, number).await
    }

    /// The same, to the log itself: for a worker that the log has not heard of for long, although it speaks.
    pub async fn progressed_aloud(&self, percent: u8, number: u64) -> Result<(), AppendError> {
        self.log.append(&self.job.stream(), Expected::Any, self.progress(percent, number)).await?;
        Ok(())
    }

    /// For how long the log, of which `video` is the latest that this worker has read, has not heard of it.
    pub fn unheard_for(&self, video: &Video) -> Option<Duration> {
        match &video.phase {
            Phase::Started { heard_at, .. } => Some((self.now)().since(*heard_at)),
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
        let decided = retried(|| {
            decide_and_append(&*self.log, &self.job.project_id, &self.job.video_id, (self.now)(), |video| {
                decide(video).map(Some)
            })
        })
        .await?;
        Ok(decided.map(|_| ()))
    }
}

/// Decisions and reads may be repeated: a repeated decision meets its own commit.
async fn retried<T, F>(mut call: impl FnMut() -> F) -> Result<T, VideoStoreError>
where
    F: Future<Output = Result<T, VideoStoreError>>,
{
    let mut pause = FIRST_PAUSE;
    for _ in 1..TRIES {
        match call().await {
            Err(error) if error.is_retryable() => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the log did not answer and is asked again"
                );
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            result => return result,
        }
    }
    call().await
}
