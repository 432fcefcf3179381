//! One worker's run.

use std::sync::Arc;
use std::time::Duration;

use streamio_core::ports::object_store::ObjectStore as _;
use streamio_events::commit::NewCommit;
use streamio_events::event::ProcessingProgressed;
use streamio_events::fact::Fact;
use streamio_events::id::CommitId;
use streamio_events::job::Job;
use streamio_events::log::{EventLog as _, Expected};
use streamio_events::media::{MediaSource, Outputs, VideoError};
use streamio_events::retryable::Retryable as _;
use streamio_events::video::decide::{self, Decision, Interruption, Start};
use streamio_events::video::{Phase, Video, VideoStoreError, catch_up, decide_and_append, load};

use super::publish;
use crate::engine::{Actor, MINUTE, Millis, SECOND};
use crate::faults::Fault;
use crate::plan::Quality;
use crate::world::{Condition, Content, LogClient, ObjectClient, World, put_facts};

/// How a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// With this status.
    Exit(i64),
    /// Its capacity was reclaimed; with its status, if it ended in time.
    Spot(Option<i64>),
    /// Its machine is gone.
    Silent,
}

/// The exit statuses of `worker/src/exit_code.rs`.
const DONE: i64 = 0;
const FAILED: i64 = 3;
const INTERRUPTED: i64 = 4;
const UNPUBLISHED: i64 = 5;
const LOG_UNAVAILABLE: i64 = 75;

/// The time between heartbeats.
const HEARTBEAT: Millis = 15 * SECOND;

/// After how long without a recorded heartbeat the worker appends to the log directly.
const MAX_INTAKE_DELAY: Duration = Duration::from_secs(30);

/// Calls to the log before giving up, and the first pause between them, which doubles.
const TRIES: u32 = 7;
const FIRST_PAUSE: Millis = 200;

/// A worker with its connections.
pub(super) struct Worker {
    pub(super) world: Arc<World>,
    pub(super) actor: Arc<Actor>,
    pub(super) log: LogClient,
    pub(super) objects: ObjectClient,
    pub(super) job: Job,
    pub(super) task: String,
}

/// Why work ended early.
enum Ended {
    Superseded,
    Interrupted,
    Failed(VideoError),
    Platform(&'static str),
    Vanished(End),
}

/// Runs the task `name` with `job`.
pub(super) async fn run(world: &Arc<World>, actor: &Arc<Actor>, name: &str, job: &Job) -> End {
    let actor = Arc::clone(actor);
    let log = LogClient { world: Arc::clone(world), actor: Arc::clone(&actor), is_worker: true };
    let objects = ObjectClient { world: Arc::clone(world), actor: Arc::clone(&actor) };
    let world = Arc::clone(world);
    Worker { world, actor, log, objects, job: job.clone(), task: name.to_owned() }.run().await
}

impl Worker {
    async fn run(&self) -> End {
        let started = self
            .decide(|video| match decide::start(video, &self.job, &self.task) {
                Start::Run(decision) => Ok(decision),
                Start::Publish => Err(true),
                Start::Stop(_) => Err(false),
            })
            .await;
        match started {
            Ok(Ok(())) => self.process().await,
            Ok(Err(true)) => self.publish().await,
            Ok(Err(false)) => End::Exit(DONE),
            Err(_) => End::Exit(LOG_UNAVAILABLE),
        }
    }

    async fn process(&self) -> End {
        let (job, task) = (&self.job, self.task.as_str());
        let transcoded = self.transcode().await;
        if transcoded.is_err() {
            self.world.state().oracle.task_ends(task);
        }
        let recorded = match transcoded {
            Ok(()) => {
                let completed =
                    self.decide(|video| decide::complete(video, job, task, source(), self.outputs())).await;
                match completed {
                    Ok(Ok(())) => return self.publish().await,
                    other => other.map(|_| DONE),
                }
            }
            Err(Ended::Vanished(end)) => return end,
            Err(Ended::Superseded) => Ok(DONE),
            Err(Ended::Interrupted) => {
                let recorded = self.decide(|video| decide::interrupt(video, job, task, signalled())).await;
                return End::Spot(Some(if recorded.is_ok() { INTERRUPTED } else { LOG_UNAVAILABLE }));
            }
            Err(Ended::Failed(error)) => {
                let recorded = self.decide(|video| decide::fail(video, job, task, error.clone())).await;
                recorded.map(|_| FAILED)
            }
            Err(Ended::Platform(reason)) => {
                let unable = Interruption::Unable(reason.to_owned());
                let recorded = self.decide(|video| decide::interrupt(video, job, task, unable.clone())).await;
                recorded.map(|_| INTERRUPTED)
            }
        };
        if recorded.is_ok() {
            self.discard().await;
        }
        End::Exit(recorded.unwrap_or(LOG_UNAVAILABLE))
    }

    /// Does the work, with heartbeats, and stores the results under the attempt's prefix.
    async fn transcode(&self) -> Result<(), Ended> {
        let (world, actor, job) = (&self.world, &self.actor, &self.job);
        let head = self.objects.head(&job.raw_bucket, job.s3_key.as_str(), job.version_id.as_deref()).await;
        let found = head.map_err(|_| Ended::Platform("storage was not available"))?;
        let is_accepted = |etag: &str| job.etag.as_deref().is_none_or(|accepted| accepted == etag);
        if !found.is_some_and(|info| is_accepted(&info.etag)) {
            return Err(Ended::Failed(VideoError::permanent("source_missing", "the file no longer exists")));
        }
        let quality = world.state().oracle.quality_of(job);
        let mut remaining = 5 * SECOND + actor.below(80 * SECOND);
        if actor.meets(Fault::SlowWorker) {
            remaining *= 1 + actor.below(20);
        }
        let mut video = Video::new(job.project_id.clone(), job.video_id.clone());
        for number in 0_u64.. {
            let step = remaining.min(HEARTBEAT);
            actor.sleep(step).await;
            remaining -= step;
            self.unplanned_end().await?;
            if remaining == 0 {
                break;
            }
            self.report_progress(number, &video).await;
            // The next heartbeat makes up for a log that does not respond.
            if catch_up(&self.log, &mut video).await.is_ok() {
                let is_current = video.is_current(job.generation, job.attempt);
                if !is_current || video.worker() != Some(&self.task) {
                    return Err(Ended::Superseded);
                }
            }
        }
        match quality {
            Quality::Good | Quality::Sound => {}
            Quality::Bad => return Err(Ended::Failed(VideoError::permanent("not_media", "it is no video"))),
            Quality::CrashesWorker => return Err(Ended::Vanished(End::Exit(139))),
        }
        if actor.meets(Fault::DiskFull) {
            return Err(Ended::Platform("the disk is full"));
        }
        self.store_results().await
    }

    /// Faults of the worker's machine.
    async fn unplanned_end(&self) -> Result<(), Ended> {
        let actor = &self.actor;
        if actor.meets(Fault::SpotInterruption) {
            return Err(Ended::Interrupted);
        }
        if !self.world.state().oracle.may_lose_attempt(&self.job, self.world.faults.expiring_periods()) {
            return Ok(());
        }
        let lost = if actor.meets(Fault::SilentWorker) {
            Some(End::Silent)
        } else if actor.meets(Fault::WorkerCrash) {
            Some(End::Exit(134))
        } else {
            None
        };
        if let Some(end) = lost {
            self.world.state().oracle.attempt_lost(&self.job);
            return Err(Ended::Vanished(end));
        }
        if actor.meets(Fault::PausedWorker) {
            self.world.state().oracle.attempt_lost(&self.job);
            actor.sleep(2 * MINUTE + actor.below(10 * MINUTE)).await;
        }
        Ok(())
    }

    async fn store_results(&self) -> Result<(), Ended> {
        let job = &self.job;
        let prefix = job.s3_key.processed().attempt_prefix(job.generation, job.attempt);
        for file in publish::files(self) {
            let key = format!("{prefix}{}", file.name);
            let written = self.objects.write(&key, &file.etag, self.content(), Condition::None).await;
            written.map_err(|_| Ended::Platform("storage was not available"))?;
        }
        Ok(())
    }

    /// What the attempt makes: a poster only of pictures.
    pub(super) fn outputs(&self) -> Outputs {
        let processed = self.job.s3_key.processed();
        let has_pictures = self.world.state().oracle.quality_of(&self.job) != Quality::Sound;
        Outputs {
            hls_key: processed.hls_master(),
            poster_key: has_pictures.then(|| processed.poster()),
            mp4_key: processed,
            renditions: vec![],
        }
    }

    pub(super) fn content(&self) -> Content {
        let Job { generation, attempt, .. } = self.job;
        Content::Result { generation, attempt, source: self.job.etag.clone().unwrap_or_default() }
    }

    async fn report_progress(&self, number: u64, video: &Video) {
        let job = &self.job;
        let event = ProcessingProgressed { generation: job.generation, attempt: job.attempt, percent: 50 };
        let cause = ["progress", &self.task, &number.to_string()];
        let now = self.actor.now();
        let commit = NewCommit::new(CommitId::derived_from(&cause), now, [event.into()]);
        let is_late = matches!(&video.phase, Phase::Started { last_heartbeat_at, .. }
            if now.since(*last_heartbeat_at) >= MAX_INTAKE_DELAY);
        if !is_late && !self.world.plan.has_one_clock {
            let fact = Fact::new(job.stream(), commit.clone()).expect("progress is a fact");
            if put_facts(&self.world, &self.actor, &[fact]).await.is_ok() {
                return;
            }
        }
        // The next heartbeat makes up for this one.
        let _ = self.log.append(&job.stream(), Expected::Any, commit).await;
    }

    async fn publish(&self) -> End {
        match publish::publish(self).await {
            Ok(()) => {
                publish::clean_up(self).await;
                End::Exit(DONE)
            }
            Err(publish::PublishError::Fenced) => {
                publish::retract(self).await;
                End::Exit(DONE)
            }
            Err(publish::PublishError::Unavailable) => End::Exit(UNPUBLISHED),
        }
    }

    /// Deletes the attempt's files, unless it is published, may be published, or another worker is running it.
    async fn discard(&self) {
        let Ok(video) = self.video().await else { return };
        if !video.needs_files_of(self.job.generation, self.job.attempt) {
            publish::discard(self).await;
        }
    }

    /// Reads the video from the log.
    pub(super) async fn video(&self) -> Result<Video, VideoStoreError> {
        self.with_retries(|| load(&self.log, &self.job.project_id, &self.job.video_id)).await
    }

    pub(super) async fn decide<R: Send>(
        &self,
        decide: impl Fn(&Video) -> Result<Decision, R> + Send + Sync,
    ) -> Result<Result<(), R>, VideoStoreError> {
        let Job { project_id, video_id, .. } = &self.job;
        let decided = self
            .with_retries(|| {
                decide_and_append(&self.log, project_id, video_id, self.actor.now(), |video| {
                    decide(video).map(Some)
                })
            })
            .await?;
        Ok(decided.map(|_| ()))
    }

    async fn with_retries<T, F>(&self, mut call: impl FnMut() -> F) -> Result<T, VideoStoreError>
    where
        F: Future<Output = Result<T, VideoStoreError>>,
    {
        for attempt in 1..TRIES {
            match call().await {
                Err(error) if error.is_retryable() => self.actor.sleep(FIRST_PAUSE << (attempt - 1)).await,
                result => return result,
            }
        }
        call().await
    }
}

fn signalled() -> Interruption {
    Interruption::Stopped("a signal".to_owned())
}

fn source() -> MediaSource {
    MediaSource {
        duration_seconds: 2.0,
        width: None,
        height: None,
        rotation: 0,
        frame_rate: None,
        video_codec: None,
        audio_codec: Some("aac".to_owned()),
        bytes: 10,
        warnings: Vec::new(),
    }
}
