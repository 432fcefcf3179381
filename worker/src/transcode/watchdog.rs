//! Enforces time limits on FFmpeg and detects a stalled encode.

use std::time::{Duration, Instant};

use crate::failure::{Failure, Resource};
use crate::process::Bounds;

/// Bounds on an encode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Wall-clock time of the whole encode.
    pub wall: Duration,
    /// Time without progress.
    pub stall: Duration,
    /// Media duration. A source without a stated duration can exceed it only during the encode.
    pub media: Duration,
    /// Duration of the output. Every output has a constant rate and a bit rate that is bounded, so this bounds frames and bytes.
    pub output: Duration,
    /// Processor time and memory.
    pub bounds: Bounds,
    /// Bytes of finished output on disk. Above this, FFmpeg is paused until half of it is uploaded.
    pub disk: u64,
}

impl Limits {
    /// The limits for `work`, with a duration limit of `longest` seconds.
    ///
    /// The encode may take five times the duration of the source, and twenty times for pictures of 4K; 4K HDR takes about ten times on
    /// two cores. A source with fewer than 25 pictures a second takes as much less. Its processor time may be three times that, for
    /// machines with more and slower cores.
    pub fn of(work: Work, longest: u64) -> Self {
        const FOUR_K: f64 = 3840.0 * 2160.0;
        let media = Duration::from_secs(longest);
        let expected =
            work.duration.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or(media);
        let busy = work.frames.map_or(expected, |frames| expected.min(Duration::from_secs(frames / 25)));
        #[allow(clippy::cast_precision_loss, reason = "a ratio")]
        let size = (work.pixels as f64 / FOUR_K).min(1.0);
        let wall = Duration::from_mins(10) + busy.mul_f64(5.0 + 15.0 * size);
        // Encoders and filters round up, and streams may begin and end at different times.
        let output = expected + expected / 10 + Duration::from_secs(10);
        Self {
            wall,
            stall: Duration::from_mins(1),
            media,
            output,
            bounds: Bounds {
                processor_time: wall * 3,
                memory: memory(work.pixels),
                file: FILE_BYTES + output.as_secs() * FILE_BYTES_PER_SECOND,
            },
            disk: 256 * 1024 * 1024,
        }
    }
}

/// How much there is to do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Work {
    /// Seconds; `None` if they are not known.
    pub duration: Option<f64>,
    /// Pixels of a coded picture; 0 without pictures.
    pub pixels: u64,
    /// Pictures to decode and to encode for one rung; `None` if they are not known, or there are none.
    pub frames: Option<u64>,
}

/// Bytes of the largest output file, the progressive MP4: several times what the encoders are allowed, and its index.
const FILE_BYTES: u64 = 256 * 1024 * 1024;
const FILE_BYTES_PER_SECOND: u64 = 4 * 1024 * 1024;

/// Bytes of memory for pictures of `pixels`: those of four encoders at up to 1080p, and the frames of the source in decoder and
/// filters, at 3 bytes (10 bits, 4:2:0) and a few in linear light at 12 bytes per pixel.
pub fn memory(pixels: u64) -> u64 {
    const ENCODERS: u64 = 2 * 1024 * 1024 * 1024;
    const DECODED_FRAMES: u64 = 64;
    const LINEAR_FRAMES: u64 = 8;
    ENCODERS + pixels * (3 * DECODED_FRAMES + 12 * LINEAR_FRAMES)
}

/// Monitors one encode.
pub(super) struct Watchdog {
    limits: Limits,
    started_at: Instant,
    last_progress_at: Instant,
    out_time: Option<Duration>,
    finished_segments: usize,
    paused: bool,
}

impl Watchdog {
    pub(super) fn new(limits: Limits, now: Instant) -> Self {
        Self {
            limits,
            started_at: now,
            last_progress_at: now,
            out_time: None,
            finished_segments: 0,
            paused: false,
        }
    }

    /// Handles a progress report. Fails if the media is too long.
    pub(super) fn on_progress(&mut self, out_time: Option<Duration>, now: Instant) -> Result<(), Failure> {
        if out_time != self.out_time {
            self.out_time = out_time;
            self.last_progress_at = now;
        }
        // Encoders round the duration up to whole frames.
        if out_time.is_some_and(|out_time| out_time > self.limits.media + Duration::from_secs(1)) {
            return Err(Failure::TooLong { limit_seconds: self.limits.media.as_secs() });
        }
        if out_time.is_some_and(|out_time| out_time > self.limits.output) {
            return Err(Failure::TooComplex { resource: Resource::Output });
        }
        Ok(())
    }

    /// Handles the number of segments that are finished. More than ever before are progress, too: FFmpeg reports none while it
    /// repeats a picture for hours.
    pub(super) fn on_segments(&mut self, finished: usize, now: Instant) {
        if finished > self.finished_segments {
            self.finished_segments = finished;
            self.last_progress_at = now;
        }
    }

    /// Fails if a time limit is exceeded. A pause counts towards the total, but not as a stall.
    pub(super) fn check(&self, now: Instant) -> Result<(), Failure> {
        if now.duration_since(self.started_at) > self.limits.wall {
            return Err(Failure::Timeout(self.limits.wall));
        }
        if !self.paused && now.duration_since(self.last_progress_at) > self.limits.stall {
            return Err(Failure::Stalled(self.limits.stall));
        }
        Ok(())
    }

    /// Whether FFmpeg is paused.
    pub(super) fn is_paused(&self) -> bool {
        self.paused
    }

    pub(super) fn pause(&mut self) {
        self.paused = true;
    }

    pub(super) fn resume(&mut self, now: Instant) {
        self.paused = false;
        self.last_progress_at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            wall: Duration::from_secs(100),
            stall: Duration::from_secs(10),
            media: Duration::from_mins(1),
            output: Duration::from_mins(2),
            bounds: Bounds { processor_time: Duration::from_mins(1), memory: 1 << 30, file: 1 << 30 },
            disk: 0,
        }
    }

    struct SimulatedEncode {
        watchdog: Watchdog,
        now: Instant,
    }

    impl SimulatedEncode {
        fn start() -> Self {
            let now = Instant::now();
            Self { watchdog: Watchdog::new(limits(), now), now }
        }

        fn advance(&mut self, seconds: u64) {
            self.now += Duration::from_secs(seconds);
        }

        fn progress(&mut self, seconds: u64) -> Result<(), Failure> {
            self.watchdog.on_progress(Some(Duration::from_secs(seconds)), self.now)
        }

        fn check(&self) -> Result<(), Failure> {
            self.watchdog.check(self.now)
        }
    }

    #[test]
    fn only_new_media_time_counts_as_progress() {
        let mut encode = SimulatedEncode::start();
        for second in 1..=3 {
            encode.advance(9);
            encode.progress(second).unwrap();
            encode.check().unwrap();
        }
        encode.advance(9);
        encode.progress(3).unwrap();
        encode.check().unwrap();
        encode.advance(2);
        assert!(matches!(encode.check(), Err(Failure::Stalled(_))));
    }

    #[test]
    fn a_new_segment_counts_as_progress() {
        let mut encode = SimulatedEncode::start();
        for segments in 1..=3 {
            encode.advance(9);
            encode.watchdog.on_segments(segments, encode.now);
            encode.check().unwrap();
        }
        encode.advance(11);
        encode.watchdog.on_segments(3, encode.now);
        assert!(matches!(encode.check(), Err(Failure::Stalled(_))));
    }

    #[test]
    fn a_paused_encoder_does_not_stall_but_can_time_out() {
        let mut encode = SimulatedEncode::start();
        encode.watchdog.pause();
        encode.advance(50);
        encode.check().unwrap();
        encode.watchdog.resume(encode.now);
        encode.advance(9);
        encode.check().unwrap();
        encode.watchdog.pause();
        encode.advance(50);
        assert!(matches!(encode.check(), Err(Failure::Timeout(_))));
    }

    #[test]
    fn a_source_that_turns_out_too_long_is_stopped() {
        let mut encode = SimulatedEncode::start();
        encode.progress(61).unwrap();
        assert!(matches!(encode.progress(62), Err(Failure::TooLong { limit_seconds: 60 })));
    }

    #[test]
    fn an_output_that_outgrows_its_source_is_stopped() {
        let mut encode = SimulatedEncode::start();
        encode.watchdog.limits.output = Duration::from_secs(20);
        encode.progress(20).unwrap();
        let failure = encode.progress(21).unwrap_err();
        assert_eq!(
            (failure.code(), failure.to_string().contains("space for its output")),
            ("too_complex", true)
        );
    }

    #[test]
    fn the_limits_grow_with_the_duration_and_the_pictures() {
        let work = Work { duration: Some(60.0), pixels: 3840 * 2160, frames: Some(3000) };
        let limits = Limits::of(work, 43_200);
        assert_eq!((limits.wall, limits.output), (Duration::from_mins(30), Duration::from_secs(76)));
        assert_eq!(Limits::of(Work { pixels: 0, frames: None, ..work }, 60).wall, Duration::from_mins(15));
        assert_eq!(Limits::of(Work { duration: None, ..work }, 60).wall, Duration::from_mins(30));
        let large = Limits::of(Work { pixels: 8192 * 8192, ..work }, 60).bounds;
        assert!(large.memory > 4 * limits.bounds.memory);
    }

    #[test]
    fn hours_with_few_pictures_may_not_take_as_long_as_hours_of_pictures() {
        let sparse = Work { duration: Some(43_000.0), pixels: 64 * 36, frames: Some(43_030) };
        let wall = Limits::of(sparse, 43_200).wall;
        assert!(wall < Duration::from_hours(3), "{wall:?}");
        let usual = Work { frames: Some(43_000 * 50), ..sparse };
        assert!(Limits::of(usual, 43_200).wall > Duration::from_hours(48));
    }
}
