//! The steps of a worker: start, prepare, transcode, complete, publish. Each is recorded as an event.

mod reporter;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use streamio_events::intake::Intake;
use streamio_events::job::Job;
use streamio_events::log::EventLog;
use streamio_events::media::{MediaSource, Outputs};
use streamio_events::timestamp::Timestamp;
use streamio_events::video::decide::{Fence, Interruption};
use streamio_events::video::{NULL_VERSION, VideoStoreError};
use tokio::sync::watch;

use self::reporter::Reporter;
use crate::argv::PLAYLIST;
use crate::attempt::{Attempt, StartOutcome};
use crate::capabilities::Capabilities;
use crate::failure::{Failure, MachineError};
use crate::plan::{Plan, plan};
use crate::probe::{Probe, probe};
use crate::publish::{self, MASTER, PublishError};
use crate::relay::{Relay, Source};
use crate::stop::{StopReason, StopSignal};
use crate::storage::{Condition, Content, Location, ObjectHeaders, ObjectInfo, Storage, StorageError};
use crate::tools::Tools;
use crate::transcode::{Limits, PLAYLIST_TYPE, Transcode, TranscodeError, Transcoded, Work};
use crate::upload::Destination;

/// A worker and its dependencies.
pub struct Worker {
    /// The event log.
    pub log: Arc<dyn EventLog>,
    /// Where progress is recorded; `None` means in the log.
    pub intake: Option<Arc<dyn Intake>>,
    /// Object storage.
    pub storage: Arc<dyn Storage>,
    /// The attempt to run.
    pub job: Job,
    /// The worker's unique name, recorded in events.
    pub task: String,
    /// FFmpeg and ffprobe.
    pub tools: Tools,
    /// Directory for temporary files.
    pub scratch: PathBuf,
    /// The clock.
    pub now: fn() -> Timestamp,
}

/// How a worker ended. Everything that others need to know is in the event log.
#[derive(Debug)]
pub enum RunOutcome {
    /// The video is published.
    Published,
    /// The attempt has ended or belongs to another worker; nothing is left to do.
    Fenced(Fence),
    /// The attempt failed; `processing.failed` is recorded.
    Failed(Failure),
    /// The platform could not do the work: storage or this machine. `processing.interrupted` is recorded.
    Unable(Failure),
    /// The worker was stopped by a signal or by the end of its parent.
    Interrupted(&'static str),
    /// The attempt is completed but not published. Another worker will publish it.
    Unpublished(PublishError),
    /// The log was unavailable. The sweep will expire the attempt because it has no heartbeat.
    LogUnavailable(VideoStoreError),
}

impl Worker {
    /// Runs the job, or its remaining steps.
    pub async fn run(&self, stop: &StopSignal) -> RunOutcome {
        let (log, intake) = (Arc::clone(&self.log), self.intake.clone());
        let attempt = Attempt::new(log, intake, self.job.clone(), self.task.clone(), self.now);
        match attempt.start().await {
            Ok(StartOutcome::Process) => self.process(&attempt, stop).await,
            Ok(StartOutcome::Publish) => self.publish(&attempt, stop).await,
            Ok(StartOutcome::Fenced(fence)) => RunOutcome::Fenced(fence),
            Err(error) => RunOutcome::LogUnavailable(error),
        }
    }

    async fn process(&self, attempt: &Attempt, stop: &StopSignal) -> RunOutcome {
        let (percent, receiver) = watch::channel(0);
        let reporter = Reporter::start(attempt.clone(), receiver, stop.clone());
        let result = match self.transcode(&percent, stop).await {
            Err(TranscodeError::Failure(failure)) => Err(end_of(failure, stop, STOP_DELAY).await),
            result => result,
        };
        drop(reporter);
        let recorded = match &result {
            Ok((source, outputs)) => attempt.complete(source, outputs).await,
            Err(TranscodeError::Failure(failure)) => {
                // The only place where the full chain of causes is logged.
                tracing::error!(
                    code = failure.code(),
                    error = failure as &dyn std::error::Error,
                    diagnosis = match failure {
                        Failure::EncoderFailed { diagnosis } => Some(diagnosis),
                        _ => None,
                    },
                    "the attempt failed"
                );
                if failure.is_fault_of_platform() {
                    attempt.interrupt(&Interruption::Unable(failure.to_string())).await
                } else {
                    attempt.fail(&failure.to_video_error()).await
                }
            }
            Err(TranscodeError::Stopped(StopReason::Interrupted(reason))) => {
                let percent = *percent.borrow();
                let reason = format!("{reason} when it was at {percent} %");
                attempt.interrupt(&Interruption::Stopped(reason)).await
            }
            Err(TranscodeError::Stopped(StopReason::Superseded)) => Ok(Err(Fence::Ended)),
        };
        match (recorded, result) {
            (Err(error), _) => RunOutcome::LogUnavailable(error),
            (Ok(Err(fence)), _) => {
                self.discard(attempt).await;
                RunOutcome::Fenced(fence)
            }
            (Ok(Ok(())), Ok(_)) => self.publish(attempt, stop).await,
            (Ok(Ok(())), Err(TranscodeError::Failure(failure))) => {
                self.discard(attempt).await;
                if failure.is_fault_of_platform() {
                    RunOutcome::Unable(failure)
                } else {
                    RunOutcome::Failed(failure)
                }
            }
            // The process may be killed any moment; the next attempt cleans up.
            (Ok(Ok(())), Err(TranscodeError::Stopped(StopReason::Interrupted(reason)))) => {
                RunOutcome::Interrupted(reason)
            }
            (Ok(Ok(())), Err(TranscodeError::Stopped(StopReason::Superseded))) => {
                RunOutcome::Fenced(Fence::Ended)
            }
        }
    }

    /// Probes and encodes the source and stores all outputs under the attempt's prefix.
    async fn transcode(
        &self,
        percent: &watch::Sender<u8>,
        stop: &StopSignal,
    ) -> Result<(MediaSource, Outputs), TranscodeError> {
        let prepared = tokio::select! {
            prepared = self.prepare() => prepared?,
            reason = stop.stopped() => return Err(TranscodeError::Stopped(reason)),
        };
        let scratch = tempfile::Builder::new().prefix("attempt-").tempdir_in(&self.scratch);
        let scratch = scratch.map_err(MachineError::io("creating a scratch directory"))?;
        let destination = self.destination();
        let transcode = Transcode {
            tools: &self.tools,
            probe: &prepared.probe,
            plan: &prepared.plan,
            source: &prepared.source,
            relay: &prepared.relay,
            scratch: scratch.path(),
            destination: &destination,
            limits: Limits::of(prepared.work(), self.job.limits.max_duration_seconds),
            percent,
            stop,
        };
        let transcoded = transcode.run().await?;
        self.put_master(&transcoded, &destination).await?;
        Ok((prepared.probe.to_media_source(transcoded.duration), self.outputs(&transcoded)))
    }

    async fn prepare(&self) -> Result<Prepared, Failure> {
        let location = Location { bucket: self.job.raw_bucket.clone(), key: self.job.s3_key.to_string() };
        let (version_id, info) = self.source_object(&location).await?.ok_or(Failure::SourceMissing)?;
        let limit = self.job.limits.max_bytes;
        if info.bytes == 0 {
            return Err(Failure::EmptyFile);
        }
        if info.bytes > limit {
            return Err(Failure::TooLarge { bytes: info.bytes, limit });
        }
        let source = Source::new(self.storage.clone(), location, info);
        let source = Arc::new(source.of_version(version_id));
        let relay = Relay::start(Arc::clone(&source)).await?;
        let probed =
            tokio::try_join!(Capabilities::detect(&self.tools), probe(&self.tools, &source, relay.input()));
        if let Some(failure) = relay.failure() {
            return Err(failure);
        }
        let (capabilities, probe) = probed?;
        if probe.is_truncated && !self.job.limits.allow_truncated {
            return Err(Failure::Truncated);
        }
        let plan = plan(&probe, &self.job.limits, &capabilities)?;
        probe.log();
        Ok(Prepared { source, relay, probe, plan })
    }

    /// The version to read and its metadata; `None` if the accepted object no longer exists.
    ///
    /// Without a version in the job, the object under the key may have replaced the accepted one. In a bucket that has versions since,
    /// the accepted one may still be there as the version [`NULL_VERSION`].
    async fn source_object(
        &self,
        location: &Location,
    ) -> Result<Option<(Option<String>, ObjectInfo)>, StorageError> {
        let Job { version_id, etag, .. } = &self.job;
        if let Some(version_id) = version_id {
            let info = self.storage.head_version(location, version_id).await?;
            return Ok(info.map(|info| (Some(version_id.clone()), info)));
        }
        let is_accepted =
            |info: &ObjectInfo| etag.as_ref().is_none_or(|etag| info.etag.trim_matches('"') == etag);
        if let Some(info) = self.storage.head(location).await?.filter(is_accepted) {
            return Ok(Some((None, info)));
        }
        let info = self.storage.head_version(location, NULL_VERSION).await?.filter(is_accepted);
        Ok(info.map(|info| (Some(NULL_VERSION.to_owned()), info)))
    }

    fn destination(&self) -> Destination {
        let Job { generation, attempt, .. } = self.job;
        Destination {
            storage: Arc::clone(&self.storage),
            bucket: self.job.processed_bucket.clone(),
            prefix: self.job.s3_key.processed().attempt_prefix(generation, attempt),
        }
    }

    /// Stores the master playlist under the attempt's prefix, with URIs relative to its later stable key.
    async fn put_master(&self, transcoded: &Transcoded, destination: &Destination) -> Result<(), Failure> {
        let processed = self.job.s3_key.processed();
        let folder = destination.prefix.strip_prefix(&processed.hls_prefix()).unwrap_or(&destination.prefix);
        let text = transcoded.master.to_text(folder, PLAYLIST);
        let headers = ObjectHeaders::immutable(PLAYLIST_TYPE);
        let location = destination.location(MASTER);
        Ok(self.storage.put(&location, Content::Bytes(text.into()), headers, Condition::None).await?)
    }

    fn outputs(&self, transcoded: &Transcoded) -> Outputs {
        let processed = self.job.s3_key.processed();
        Outputs {
            hls_key: processed.hls_master(),
            poster_key: transcoded.has_poster.then(|| processed.poster()),
            renditions: transcoded.master.renditions(),
            mp4_key: processed,
        }
    }

    async fn publish(&self, attempt: &Attempt, stop: &StopSignal) -> RunOutcome {
        let published = tokio::select! {
            published = publish::publish(attempt, &*self.storage) => published,
            StopReason::Interrupted(reason) = stop.stopped() => return RunOutcome::Interrupted(reason),
        };
        match published {
            Ok(()) => {
                if let Err(error) = publish::clean_up(&self.job, &*self.storage).await {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "cannot delete the files of earlier attempts"
                    );
                }
                RunOutcome::Published
            }
            Err(PublishError::Fenced(fence)) => {
                if let Err(error) = publish::retract(attempt, &*self.storage).await {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "cannot delete the published files of a deleted or replaced video"
                    );
                }
                RunOutcome::Fenced(fence)
            }
            Err(error) => RunOutcome::Unpublished(error),
        }
    }

    /// Deletes the attempt's files, unless it is published, may be published, or another worker is running it.
    async fn discard(&self, attempt: &Attempt) {
        let Job { generation, attempt: number, .. } = self.job;
        let is_obsolete = attempt.video().await.is_ok_and(|video| !video.needs_files_of(generation, number));
        if is_obsolete && let Err(error) = publish::discard(&self.job, &*self.storage).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot delete the files of a failed attempt"
            );
        }
    }
}

/// How long after FFmpeg or the storage is stopped the signal for this worker may arrive. A service manager stops all processes of a
/// service, and in any order.
const STOP_DELAY: Duration = Duration::from_secs(1);

/// The end of a transcode that failed: a fault of the platform is a part of the stop that follows it within `delay`.
async fn end_of(failure: Failure, stop: &StopSignal, delay: Duration) -> TranscodeError {
    if failure.is_fault_of_platform()
        && let Ok(reason) = tokio::time::timeout(delay, stop.stopped()).await
    {
        return TranscodeError::Stopped(reason);
    }
    TranscodeError::Failure(failure)
}

struct Prepared {
    source: Arc<Source>,
    relay: Relay,
    probe: Probe,
    plan: Plan,
}

impl Prepared {
    fn work(&self) -> Work {
        let decoded = |video: u32| self.probe.packets.get(&video).map(|packets| packets.packets);
        let frames = self.plan.video.as_ref().and_then(|video| Some(video.frames? + decoded(video.index)?));
        Work { duration: self.probe.duration, pixels: self.probe.pixels(), frames }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_ffmpeg_that_is_killed_with_its_worker_is_a_part_of_the_stop() {
        let killed =
            || Failure::Machine(MachineError::Ended { program: "ffmpeg".into(), how: "SIGTERM".into() });
        let stop = StopSignal::default();
        let end = end_of(killed(), &stop, Duration::ZERO).await;
        assert!(matches!(end, TranscodeError::Failure(Failure::Machine(_))), "{end:?}");
        let (end, ()) = tokio::join!(end_of(killed(), &stop, Duration::from_mins(1)), async {
            stop.trigger(StopReason::Interrupted("SIGTERM"));
        });
        assert!(matches!(end, TranscodeError::Stopped(StopReason::Interrupted("SIGTERM"))), "{end:?}");
        let end = end_of(Failure::NotMedia, &stop, Duration::from_mins(1)).await;
        assert!(matches!(end, TranscodeError::Failure(Failure::NotMedia)), "{end:?}");
    }
}
