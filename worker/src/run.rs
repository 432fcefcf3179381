//! The steps of a worker, each of them an event.

mod reporter;

use std::path::PathBuf;
use std::sync::Arc;

use streamio_events::intake::Intake;
use streamio_events::job::Job;
use streamio_events::log::EventLog;
use streamio_events::media::{MediaSource, Outputs};
use streamio_events::timestamp::Timestamp;
use streamio_events::video::decide::Fence;
use streamio_events::video::{Phase, VideoStoreError};
use tokio::sync::watch;

use self::reporter::Reporter;
use crate::argv::PLAYLIST;
use crate::attempt::{Attempt, Started};
use crate::capabilities::Capabilities;
use crate::failure::{Failure, MachineError};
use crate::plan::{Plan, plan};
use crate::probe::{Probe, probe};
use crate::publish::{self, MASTER, PublishError};
use crate::relay::{Relay, Source};
use crate::stop::{Stop, Stopper};
use crate::storage::{Condition, Content, Location, Presentation, Storage};
use crate::transcode::{Halt, Limits, Made, PLAYLIST_TYPE, Tools, Transcode};
use crate::upload::Destination;

/// A worker with all that it needs.
pub struct Worker {
    /// The event log.
    pub log: Arc<dyn EventLog>,
    /// Where it states its progress; without one, in the log.
    pub intake: Option<Arc<dyn Intake>>,
    /// Object storage.
    pub storage: Arc<dyn Storage>,
    /// What to do.
    pub job: Job,
    /// The worker's name in events.
    pub task: String,
    /// FFmpeg and ffprobe.
    pub tools: Tools,
    /// Where it may put files.
    pub scratch: PathBuf,
    /// The clock.
    pub now: fn() -> Timestamp,
}

/// How a worker's work ended. Whatever is to be known of it by others is in the log.
#[derive(Debug)]
pub enum Ended {
    /// The video can be played.
    Published,
    /// There was nothing to do, or no more: another attempt or another worker goes on.
    Fenced(Fence),
    /// The attempt failed; `processing.failed` says so.
    Failed(Failure),
    /// The worker was stopped from outside.
    Interrupted(&'static str),
    /// The attempt is made but not published. Another worker will.
    Unpublished(PublishError),
    /// The log could not be told. The sweep will find the attempt silent.
    LogUnavailable(VideoStoreError),
}

impl Worker {
    /// Does the job, or what is left of it.
    pub async fn run(&self, stopper: &Stopper) -> Ended {
        let (log, intake) = (Arc::clone(&self.log), self.intake.clone());
        let attempt = Attempt::new(log, intake, self.job.clone(), self.task.clone(), self.now);
        match attempt.start().await {
            Ok(Started::Make) => self.make(&attempt, stopper).await,
            Ok(Started::Publish) => self.publish(&attempt, stopper).await,
            Ok(Started::Stop(fence)) => Ended::Fenced(fence),
            Err(error) => Ended::LogUnavailable(error),
        }
    }

    async fn make(&self, attempt: &Attempt, stopper: &Stopper) -> Ended {
        let (percent, receiver) = watch::channel(0);
        let reporter = Reporter::start(attempt.clone(), receiver, stopper.clone());
        let result = self.produce(&percent, stopper).await;
        drop(reporter);
        let told = match &result {
            Ok((source, outputs)) => attempt.complete(source, outputs).await,
            Err(Halt::Failure(failure)) => {
                // The one place where the whole chain of causes is written down.
                tracing::error!(
                    code = failure.code(),
                    error = failure as &dyn std::error::Error,
                    diagnosis = match failure {
                        Failure::EncoderFailed { diagnosis } => Some(diagnosis),
                        _ => None,
                    },
                    "the attempt failed"
                );
                attempt.fail(&failure.to_video_error()).await
            }
            Err(Halt::Stopped(Stop::Interrupted(reason))) => {
                let percent = *percent.borrow();
                attempt.interrupt(&format!("{reason} when it was at {percent} %")).await
            }
            Err(Halt::Stopped(Stop::Superseded)) => Ok(Err(Fence::Over)),
        };
        match (told, result) {
            (Err(error), _) => Ended::LogUnavailable(error),
            (Ok(Err(fence)), _) => {
                self.discard(attempt).await;
                Ended::Fenced(fence)
            }
            (Ok(Ok(())), Ok(_)) => self.publish(attempt, stopper).await,
            (Ok(Ok(())), Err(Halt::Failure(failure))) => {
                self.discard(attempt).await;
                Ended::Failed(failure)
            }
            // Whoever stops us does not wait: the next attempt cleans up.
            (Ok(Ok(())), Err(Halt::Stopped(Stop::Interrupted(reason)))) => Ended::Interrupted(reason),
            (Ok(Ok(())), Err(Halt::Stopped(Stop::Superseded))) => Ended::Fenced(Fence::Over),
        }
    }

    /// Everything up to the last file under the attempt's prefix.
    async fn produce(
        &self,
        percent: &watch::Sender<u8>,
        stopper: &Stopper,
    ) -> Result<(MediaSource, Outputs), Halt> {
        let prepared = tokio::select! {
            prepared = self.prepare() => prepared?,
            why = stopper.stopped() => return Err(Halt::Stopped(why)),
        };
        let scratch = tempfile::Builder::new().prefix("attempt-").tempdir_in(&self.scratch);
        let scratch = scratch.map_err(MachineError::io("making a scratch directory"))?;
        let destination = self.destination();
        let transcode = Transcode {
            tools: &self.tools,
            probe: &prepared.probe,
            plan: &prepared.plan,
            source: &prepared.source,
            relay: &prepared.relay,
            scratch: scratch.path(),
            destination: &destination,
            limits: Limits::of(prepared.probe.duration, self.job.limits.max_duration_seconds),
            percent,
            stopper,
        };
        let made = transcode.run().await?;
        self.put_master(&made, &destination).await?;
        Ok((prepared.probe.to_media_source(made.duration), self.outputs(&made)))
    }

    async fn prepare(&self) -> Result<Prepared, Failure> {
        let location = Location { bucket: self.job.raw_bucket.clone(), key: self.job.s3_key.to_string() };
        let info = self.storage.head(&location).await?.ok_or(Failure::SourceMissing)?;
        let limit = self.job.limits.max_bytes;
        if info.bytes == 0 {
            return Err(Failure::EmptyFile);
        }
        if info.bytes > limit {
            return Err(Failure::TooLarge { bytes: info.bytes, limit });
        }
        let bytes = info.bytes;
        let source = Arc::new(Source::new(self.storage.clone(), location, info));
        let relay = Relay::start(Arc::clone(&source)).await?;
        let head = source.piece(0).await.map_err(Failure::of_source)?;
        let probed = tokio::try_join!(
            Capabilities::of(&self.tools.ffmpeg),
            probe(&self.tools.ffprobe, relay.url(), bytes, &head[..head.len().min(64 * 1024)])
        );
        if let Some(error) = source.failure() {
            return Err(Failure::of_source(error));
        }
        let (capabilities, probe) = probed?;
        let plan = plan(&probe, &self.job.limits, &capabilities)?;
        tracing::info!(?probe, "the source is probed");
        Ok(Prepared { source, relay, probe, plan })
    }

    fn destination(&self) -> Destination {
        let Job { generation, attempt, .. } = self.job;
        Destination {
            storage: Arc::clone(&self.storage),
            bucket: self.job.processed_bucket.clone(),
            prefix: self.job.s3_key.processed().attempt_prefix(generation, attempt),
        }
    }

    /// The master playlist as it will stand at its stable key, beside the attempt's folder.
    async fn put_master(&self, made: &Made, destination: &Destination) -> Result<(), Failure> {
        let processed = self.job.s3_key.processed();
        let folder = destination.prefix.strip_prefix(&processed.hls_prefix()).unwrap_or(&destination.prefix);
        let text = made.master.to_text(folder, PLAYLIST);
        let presentation = Presentation::immutable(PLAYLIST_TYPE);
        let location = destination.location(MASTER);
        Ok(self.storage.put(&location, Content::Bytes(text.into()), presentation, Condition::None).await?)
    }

    fn outputs(&self, made: &Made) -> Outputs {
        let processed = self.job.s3_key.processed();
        Outputs {
            hls_key: processed.hls_master(),
            poster_key: (!made.master.video.is_empty()).then(|| processed.poster()),
            renditions: made.master.renditions(),
            mp4_key: processed,
        }
    }

    async fn publish(&self, attempt: &Attempt, stopper: &Stopper) -> Ended {
        let published = tokio::select! {
            published = publish::publish(attempt, &*self.storage) => published,
            Stop::Interrupted(reason) = stopper.stopped() => return Ended::Interrupted(reason),
        };
        match published {
            Ok(()) => {
                if let Err(error) = publish::clean_up(&self.job, &*self.storage).await {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "earlier attempts were not cleaned up"
                    );
                }
                Ended::Published
            }
            Err(PublishError::Fenced(fence)) => {
                if let Err(error) = publish::retract(attempt, &*self.storage).await {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "what was published of a deleted video was not taken back"
                    );
                }
                Ended::Fenced(fence)
            }
            Err(error) => Ended::Unpublished(error),
        }
    }

    /// Deletes what the attempt wrote, unless it is published or another worker has it.
    async fn discard(&self, attempt: &Attempt) {
        let Job { generation, attempt: number, .. } = self.job;
        let dead = attempt.video().await.is_ok_and(|video| {
            video.published != Some((generation, number))
                && !(video.is_current(generation, number)
                    && matches!(video.phase, Phase::Started { .. } | Phase::Completed { .. } | Phase::Ready))
        });
        if dead && let Err(error) = publish::discard(&self.job, &*self.storage).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "a failed attempt was not cleaned up");
        }
    }
}

struct Prepared {
    source: Arc<Source>,
    relay: Relay,
    probe: Probe,
    plan: Plan,
}
