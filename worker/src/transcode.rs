//! Runs and monitors FFmpeg, and uploads finished files while it runs.

mod collect;
mod last_segment;
mod watchdog;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use self::watchdog::Watchdog;
pub use self::watchdog::{Limits, Work, memory};
use crate::argv::{POSTER, argv, poster_argv};
use crate::diagnosis::{Fault, fault};
use crate::failure::{Failure, MachineError};
use crate::plan::{Plan, VideoPlan};
use crate::playlist::Master;
use crate::probe::{self, Probe};
use crate::process::{Bounds, CaptureError, ChildEnd, Encoder, Invocation};
use crate::progressive::{Progressive, Stored};
use crate::relay::{Relay, Source};
use crate::stop::{StopReason, StopSignal};
use crate::storage::ObjectHeaders;
use crate::tools::Tools;
use crate::upload::{Destination, RenditionFolder, SegmentUpload, upload_file};

/// The media type of playlists (RFC 8216, section 4).
pub const PLAYLIST_TYPE: &str = "application/vnd.apple.mpegurl";

/// Time to make a poster from one part of the source: decoding half a minute of 8K takes about a minute on two cores.
const POSTER_TIMEOUT: Duration = Duration::from_mins(5);
/// The same, of all processors.
const POSTER_PROCESSOR_TIME: Duration = Duration::from_mins(15);

/// How often to check for finished files and limits.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// The parameters of an encode.
pub struct Transcode<'a> {
    /// The FFmpeg programs.
    pub tools: &'a Tools,
    /// The probed source.
    pub probe: &'a Probe,
    /// What to encode.
    pub plan: &'a Plan,
    /// The source.
    pub source: &'a Arc<Source>,
    /// The relay from which FFmpeg reads the source.
    pub relay: &'a Relay,
    /// An empty directory for files until they are uploaded.
    pub scratch: &'a Path,
    /// Where to upload them.
    pub destination: &'a Destination,
    /// Time and disk limits.
    pub limits: Limits,
    /// Progress in percent, 0 to 99.
    pub percent: &'a watch::Sender<u8>,
    /// Stops the encode.
    pub stop: &'a StopSignal,
}

/// The result of an encode. All files are stored under the attempt's prefix.
#[derive(Debug)]
pub struct Transcoded {
    /// Content of the master playlist.
    pub master: Master,
    /// Duration of the longest rendition.
    pub duration: Duration,
    /// The progressive MP4.
    pub progressive: Stored,
    /// Whether there is a poster.
    pub has_poster: bool,
}

/// Why an encode did not complete.
#[derive(Debug)]
pub enum TranscodeError {
    /// The attempt failed.
    Failure(Failure),
    /// The worker was stopped.
    Stopped(StopReason),
}

impl<E: Into<Failure>> From<E> for TranscodeError {
    fn from(error: E) -> Self {
        Self::Failure(error.into())
    }
}

impl Transcode<'_> {
    /// Runs the encode. No child process is left when it returns.
    pub async fn run(&self) -> Result<Transcoded, TranscodeError> {
        self.make_folders().await?;
        let mut segments =
            SegmentUpload::new(self.destination.clone(), self.scratch.to_owned(), self.folders());
        let content_type = if self.plan.video.is_some() { "video/mp4" } else { "audio/mp4" };
        let mut progressive =
            Progressive::new(self.destination.clone(), self.scratch, ObjectHeaders::immutable(content_type));
        let invocation = Invocation {
            directory: Some(self.scratch.to_owned()),
            ..self.tools.ffmpeg(
                argv(self.plan, self.relay.input().url()),
                self.relay.input(),
                self.limits.bounds,
            )
        };
        let result = self.encode(&invocation, &mut segments, &mut progressive).await;
        let result = match result {
            Ok(()) => tokio::select! {
                transcoded = self.collect(segments, &mut progressive) => transcoded.map_err(TranscodeError::from),
                reason = self.stop.stopped() => Err(TranscodeError::Stopped(reason)),
            },
            Err(error) => Err(error),
        };
        if result.is_err() {
            progressive.abort().await;
        }
        result
    }

    async fn make_folders(&self) -> Result<(), MachineError> {
        self.tools.sandbox.share_directory(self.scratch)?;
        for folder in self.folders() {
            let path = self.scratch.join(folder.name);
            tokio::fs::create_dir_all(&path)
                .await
                .map_err(MachineError::io("creating a scratch directory"))?;
            self.tools.sandbox.share_directory(&path)?;
        }
        Ok(())
    }

    fn folders(&self) -> Vec<RenditionFolder> {
        let rungs =
            self.plan.video.iter().flat_map(|video| &video.rungs).map(|rung| (rung.name(), "video/mp4"));
        let tracks = self.plan.audio.iter().map(|track| (track.name.clone(), "audio/mp4"));
        rungs
            .chain(tracks)
            .map(|(name, content_type)| RenditionFolder {
                name,
                headers: ObjectHeaders::immutable(content_type),
            })
            .collect()
    }

    async fn encode(
        &self,
        invocation: &Invocation,
        segments: &mut SegmentUpload,
        progressive: &mut Progressive,
    ) -> Result<(), TranscodeError> {
        let started_at = Instant::now();
        let mut encoder = invocation.start()?;
        let end = self.watch(&mut encoder, segments, progressive).await;
        encoder.stop().await;
        let stderr = encoder.into_stderr().await.replace(self.relay.input().url(), "source");
        // If storage failed, FFmpeg's output is unusable even if FFmpeg succeeded: it did not read the whole source.
        if let Some(failure) = self.relay.failure() {
            return Err(failure.into());
        }
        let end = end?;
        invocation.check_end(end, &stderr, started_at.elapsed())?;
        if !stderr.is_empty() {
            tracing::info!(stderr, "FFmpeg wrote to standard error");
        }
        if end.status.success() {
            return Ok(());
        }
        Err(self.diagnose(end, &stderr).await.into())
    }

    /// Uploads finished files, reports progress and enforces the limits until FFmpeg ends.
    async fn watch(
        &self,
        encoder: &mut Encoder,
        segments: &mut SegmentUpload,
        progressive: &mut Progressive,
    ) -> Result<ChildEnd, TranscodeError> {
        let mut progress = encoder.progress();
        let mut watchdog = Watchdog::new(self.limits, Instant::now());
        let mut ticks = tokio::time::interval(POLL_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                end = encoder.wait() => return Ok(end?),
                reason = self.stop.stopped() => return Err(TranscodeError::Stopped(reason)),
                Ok(()) = progress.changed() => {
                    let out_time = progress.borrow_and_update().out_time;
                    watchdog.on_progress(out_time, Instant::now())?;
                    self.report(out_time);
                }
                _ = ticks.tick() => {
                    let pending = segments.step().await? + progressive.step().await?;
                    watchdog.on_segments(segments.finished(), Instant::now());
                    if watchdog.is_paused() && pending <= self.limits.disk / 2 {
                        encoder.resume();
                        watchdog.resume(Instant::now());
                    } else if !watchdog.is_paused() && pending > self.limits.disk {
                        tracing::debug!(pending, "FFmpeg is paused until uploads have caught up");
                        encoder.pause();
                        watchdog.pause();
                    }
                    watchdog.check(Instant::now())?;
                }
            }
        }
    }

    fn report(&self, out_time: Option<Duration>) {
        if let (Some(out_time), Some(duration)) = (out_time, self.plan.duration) {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=99")]
            let percent = (out_time.as_secs_f64() / duration * 100.0).clamp(0.0, 99.0) as u8;
            self.percent.send_if_modified(|last| percent > std::mem::replace(last, percent.max(*last)));
        }
    }

    /// Returns why FFmpeg failed, which this machine did not end: because of the source, or for an unknown reason.
    async fn diagnose(&self, end: ChildEnd, stderr: &str) -> Failure {
        let encoder_failed =
            || Failure::EncoderFailed { diagnosis: format!("FFmpeg ended with {end}: {stderr}") };
        match fault(end, stderr) {
            Fault::File(failure) => {
                tracing::info!(status = %end, stderr, "FFmpeg could not process the source");
                return failure;
            }
            Fault::Unknown => {}
        }
        let video = self.plan.video.iter().map(|video| video.index);
        for index in video.chain(self.plan.audio.iter().map(|audio| audio.index)) {
            match probe::is_decodable(self.tools, self.relay.input(), index).await {
                Ok(true) => {}
                Ok(false) => return Failure::Corrupt { reason: "one of its streams cannot be decoded" },
                Err(error) => return error.into(),
            }
        }
        encoder_failed()
    }

    async fn collect(
        &self,
        segments: SegmentUpload,
        progressive: &mut Progressive,
    ) -> Result<Transcoded, Failure> {
        let folders: Vec<_> = self.folders().into_iter().map(|folder| folder.name).collect();
        last_segment::join(self.scratch, &folders).await?;
        let sizes = segments.finish().await?;
        let collected = collect::renditions(self.plan, self.scratch, self.destination, &sizes).await?;
        if self.probe.is_shortened(collected.duration) {
            return Err(Failure::Corrupt { reason: "a large part of it cannot be decoded" });
        }
        let progressive = progressive.finish().await?;
        let has_poster = match &self.plan.video {
            Some(video) => self.make_poster(video).await?,
            None => false,
        };
        Ok(Transcoded { master: collected.master, duration: collected.duration, progressive, has_poster })
    }

    /// Makes the poster from the first window that gives one. A video without a usable picture for it has none; only storage and this
    /// machine can fail it.
    async fn make_poster(&self, video: &VideoPlan) -> Result<bool, Failure> {
        let path = self.scratch.join(POSTER);
        for window in &video.poster {
            let args = poster_argv(self.plan, video, window, self.relay.input().url());
            let bounds = Bounds { processor_time: POSTER_PROCESSOR_TIME, ..self.limits.bounds };
            let invocation = Invocation {
                directory: Some(self.scratch.to_owned()),
                ..self.tools.ffmpeg(args, self.relay.input(), bounds)
            };
            let problem = match invocation.capture(POSTER_TIMEOUT, 0).await {
                Ok(_) if path.exists() => {
                    upload_file(self.destination, POSTER, path, ObjectHeaders::immutable("image/jpeg"))
                        .await?;
                    return Ok(true);
                }
                Ok(output) => format!("FFmpeg ended with {}: {}", output.end, output.stderr),
                // Storage may be what failed.
                Err(CaptureError::Machine(error)) => {
                    return Err(self.relay.failure().unwrap_or(error.into()));
                }
                Err(error) => error.to_string(),
            };
            if let Some(failure) = self.relay.failure() {
                return Err(failure);
            }
            let problem = problem.replace(self.relay.input().url(), "source");
            tracing::debug!(
                poster.seek_seconds = window.seek,
                poster.first_seconds = window.first,
                problem,
                "there is no picture for the poster here"
            );
        }
        tracing::warn!("the video has no poster, because none of its pictures could be used");
        Ok(false)
    }
}
