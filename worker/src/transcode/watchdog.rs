//! Enforces time limits on FFmpeg and detects a stalled encode.

use std::time::{Duration, Instant};

use crate::failure::Failure;

/// Bounds on an encode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Wall-clock time of the whole encode.
    pub wall: Duration,
    /// Time without progress.
    pub stall: Duration,
    /// Media duration. A source without a stated duration can exceed it only during the encode.
    pub media: Duration,
    /// Bytes of finished output on disk. Above this, FFmpeg is paused until half of it is uploaded.
    pub disk: u64,
}

impl Limits {
    /// The limits for a source of `duration` seconds (`None`: unknown) with a duration limit of `longest` seconds.
    ///
    /// The encode may take twenty times the duration of the source; 4K HDR takes about ten times on two cores.
    pub fn of(duration: Option<f64>, longest: u64) -> Self {
        let media = Duration::from_secs(longest);
        let expected =
            duration.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or(media);
        Self {
            wall: Duration::from_mins(10) + expected * 20,
            stall: Duration::from_mins(1),
            media,
            disk: 256 * 1024 * 1024,
        }
    }
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
        Self { limits, started_at: now, last_progress_at: now, out_time: None, finished_segments: 0, paused: false }
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
    fn the_time_limit_grows_with_the_duration() {
        assert_eq!(Limits::of(Some(60.0), 43_200).wall, Duration::from_mins(30));
        assert_eq!(Limits::of(None, 60).wall, Duration::from_mins(30));
    }
}
