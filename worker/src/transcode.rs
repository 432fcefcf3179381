//! One FFmpeg over the source, watched; what it finishes goes to storage at once.

mod collect;
mod watchdog;

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

pub use self::watchdog::Limits;
use self::watchdog::Watchdog;
use crate::argv::{POSTER, argv, poster_argv};
use crate::failure::{Failure, MachineError};
use crate::plan::{Plan, VideoPlan};
use crate::playlist::Master;
use crate::probe::{self, Probe};
use crate::process::{CaptureError, Encoder, Invocation};
use crate::progressive::{Progressive, Stored};
use crate::relay::{Relay, Source};
use crate::stop::{Stop, Stopper};
use crate::storage::Presentation;
use crate::upload::{Destination, Folder, SegmentUpload, send_file};

/// The media type of playlists (RFC 8216, section 4).
pub const PLAYLIST_TYPE: &str = "application/vnd.apple.mpegurl";

/// How often finished files are looked for.
const TICK: Duration = Duration::from_millis(250);

/// The programs.
#[derive(Debug, Clone)]
pub struct Tools {
    /// FFmpeg.
    pub ffmpeg: String,
    /// ffprobe.
    pub ffprobe: String,
}

/// An encode to be made.
pub struct Transcode<'a> {
    /// The programs.
    pub tools: &'a Tools,
    /// What the source is.
    pub probe: &'a Probe,
    /// What to make of it.
    pub plan: &'a Plan,
    /// The source.
    pub source: &'a Arc<Source>,
    /// The source as FFmpeg reads it.
    pub relay: &'a Relay,
    /// An empty directory for files on their way to storage.
    pub scratch: &'a Path,
    /// Where they go.
    pub destination: &'a Destination,
    /// How long it may take.
    pub limits: Limits,
    /// Percent done, 0 to 99.
    pub percent: &'a watch::Sender<u8>,
    /// Says when to stop.
    pub stopper: &'a Stopper,
}

/// What was made, all of it stored under the attempt's prefix.
#[derive(Debug)]
pub struct Made {
    /// For the master playlist.
    pub master: Master,
    /// Length of what was made.
    pub duration: Duration,
    /// The progressive MP4.
    pub progressive: Stored,
}

/// Why nothing was made.
#[derive(Debug)]
pub enum Halt {
    /// It failed.
    Failure(Failure),
    /// It was to stop.
    Stopped(Stop),
}

impl<E: Into<Failure>> From<E> for Halt {
    fn from(error: E) -> Self {
        Self::Failure(error.into())
    }
}

impl Transcode<'_> {
    /// Makes it. When this returns, no process is left.
    pub async fn run(&self) -> Result<Made, Halt> {
        self.make_folders().await?;
        let mut segments =
            SegmentUpload::new(self.destination.clone(), self.scratch.to_owned(), self.folders());
        let sort = if self.plan.video.is_some() { "video/mp4" } else { "audio/mp4" };
        let mut progressive =
            Progressive::new(self.destination.clone(), self.scratch, Presentation::immutable(sort));
        let invocation = Invocation {
            program: self.tools.ffmpeg.clone(),
            args: argv(self.plan, self.relay.url()),
            directory: self.scratch.to_owned(),
        };
        let result = self.encode(&invocation, &mut segments, &mut progressive).await;
        let result = match result {
            Ok(()) => tokio::select! {
                made = self.collect(segments, &mut progressive) => made.map_err(Halt::from),
                why = self.stopper.stopped() => Err(Halt::Stopped(why)),
            },
            Err(halt) => Err(halt),
        };
        if result.is_err() {
            progressive.abort().await;
        }
        result
    }

    async fn make_folders(&self) -> Result<(), MachineError> {
        for folder in self.folders() {
            let path = self.scratch.join(folder.name);
            tokio::fs::create_dir_all(path).await.map_err(MachineError::io("making a scratch directory"))?;
        }
        Ok(())
    }

    fn folders(&self) -> Vec<Folder> {
        let rungs =
            self.plan.video.iter().flat_map(|video| &video.rungs).map(|rung| (rung.name(), "video/mp4"));
        let tracks = self.plan.audio.iter().map(|track| (track.name.clone(), "audio/mp4"));
        rungs
            .chain(tracks)
            .map(|(name, sort)| Folder { name, presentation: Presentation::immutable(sort) })
            .collect()
    }

    async fn encode(
        &self,
        invocation: &Invocation,
        segments: &mut SegmentUpload,
        progressive: &mut Progressive,
    ) -> Result<(), Halt> {
        let mut encoder = invocation.start()?;
        let status = self.watch(&mut encoder, segments, progressive).await;
        encoder.stop().await;
        let stderr = encoder.into_stderr().await.replace(self.relay.url(), "source");
        // Whatever FFmpeg made of a source that could not be read: it did not see all of it.
        if let Some(error) = self.source.failure() {
            return Err(Failure::of_source(error).into());
        }
        let status = status?;
        if !stderr.is_empty() {
            tracing::info!(stderr, "FFmpeg complained");
        }
        if status.success() {
            return Ok(());
        }
        Err(self.diagnose(status, &stderr).await.into())
    }

    /// Follows FFmpeg to its end.
    async fn watch(
        &self,
        encoder: &mut Encoder,
        segments: &mut SegmentUpload,
        progressive: &mut Progressive,
    ) -> Result<ExitStatus, Halt> {
        let mut progress = encoder.progress();
        let mut watchdog = Watchdog::new(self.limits, Instant::now());
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                status = encoder.wait() => return Ok(status?),
                why = self.stopper.stopped() => return Err(Halt::Stopped(why)),
                Ok(()) = progress.changed() => {
                    let out_time = progress.borrow_and_update().out_time;
                    watchdog.saw(out_time, Instant::now())?;
                    self.report(out_time);
                }
                _ = ticks.tick() => {
                    let waiting = segments.step().await? + progressive.step().await?;
                    if watchdog.holds() && waiting <= self.limits.disk / 2 {
                        encoder.resume();
                        watchdog.resume(Instant::now());
                    } else if !watchdog.holds() && waiting > self.limits.disk {
                        tracing::debug!(waiting, "FFmpeg is held until storage has caught up");
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

    /// Tells a source that cannot be decoded from an encoder that failed.
    async fn diagnose(&self, status: ExitStatus, stderr: &str) -> Failure {
        let video = self.plan.video.iter().map(|video| video.index);
        for index in video.chain(self.plan.audio.iter().map(|audio| audio.index)) {
            if !probe::decodes(&self.tools.ffprobe, self.relay.url(), index).await {
                return Failure::Corrupt { reason: "nothing of one of its streams can be decoded" };
            }
        }
        Failure::EncoderFailed { diagnosis: format!("FFmpeg ended with {status}: {stderr}") }
    }

    async fn collect(&self, segments: SegmentUpload, progressive: &mut Progressive) -> Result<Made, Failure> {
        let sizes = segments.finish().await?;
        let collected = collect::renditions(self.plan, self.scratch, self.destination, &sizes).await?;
        if self.probe.is_cut_off(collected.duration) {
            return Err(Failure::Corrupt {
                reason: "it ends long before its index says, as when it is cut off",
            });
        }
        let progressive = progressive.finish().await?;
        if let Some(video) = &self.plan.video {
            self.make_poster(video).await?;
        }
        Ok(Made { master: collected.master, duration: collected.duration, progressive })
    }

    async fn make_poster(&self, video: &VideoPlan) -> Result<(), Failure> {
        let invocation = Invocation {
            program: self.tools.ffmpeg.clone(),
            args: poster_argv(video, self.relay.url()),
            directory: self.scratch.to_owned(),
        };
        let finished = invocation.capture(self.limits.wall, 0).await.map_err(|error| match error {
            CaptureError::Machine(error) => error.into(),
            CaptureError::Timeout { limit, .. } => Failure::Timeout(limit),
            CaptureError::TooMuchOutput { .. } => Failure::EncoderFailed { diagnosis: error.to_string() },
        })?;
        let path: PathBuf = self.scratch.join(POSTER);
        if !finished.status.success() || !path.exists() {
            let stderr = finished.stderr.replace(self.relay.url(), "source");
            let diagnosis = format!("FFmpeg ended the poster with {}: {stderr}", finished.status);
            return Err(Failure::EncoderFailed { diagnosis });
        }
        send_file(self.destination, POSTER, path, Presentation::immutable("image/jpeg")).await
    }
}
