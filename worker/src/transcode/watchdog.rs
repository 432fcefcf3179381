//! How long FFmpeg may take, and what it may not do meanwhile: stand still.

use std::time::{Duration, Instant};

use crate::failure::Failure;

/// Bounds on an encode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The whole.
    pub wall: Duration,
    /// Without progress.
    pub stall: Duration,
    /// Of media: a source that did not say how long it is may turn out too long.
    pub media: Duration,
    /// Bytes of finished output on the disk: above, FFmpeg is held until half of it is sent.
    pub disk: u64,
}

impl Limits {
    /// The bounds for a source of `duration` seconds (`None`: unknown) that may have `longest` seconds.
    ///
    /// A machine that needs more than twenty times the length of a film is not fit for it; 4K in high dynamic range takes
    /// about ten times on two cores.
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

/// Watches one encode.
pub(super) struct Watchdog {
    limits: Limits,
    started: Instant,
    moved: Instant,
    out_time: Option<Duration>,
    held: bool,
}

impl Watchdog {
    pub(super) fn new(limits: Limits, now: Instant) -> Self {
        Self { limits, started: now, moved: now, out_time: None, held: false }
    }

    /// FFmpeg reported.
    pub(super) fn saw(&mut self, out_time: Option<Duration>, now: Instant) -> Result<(), Failure> {
        if out_time != self.out_time {
            self.out_time = out_time;
            self.moved = now;
        }
        // Encoders round a film up to whole frames.
        if out_time.is_some_and(|out_time| out_time > self.limits.media + Duration::from_secs(1)) {
            return Err(Failure::TooLong { limit_seconds: self.limits.media.as_secs() });
        }
        Ok(())
    }

    pub(super) fn check(&self, now: Instant) -> Result<(), Failure> {
        if now.duration_since(self.started) > self.limits.wall {
            return Err(Failure::Timeout(self.limits.wall));
        }
        if !self.held && now.duration_since(self.moved) > self.limits.stall {
            return Err(Failure::Stalled(self.limits.stall));
        }
        Ok(())
    }

    /// Whether FFmpeg is held on purpose.
    pub(super) fn holds(&self) -> bool {
        self.held
    }

    pub(super) fn pause(&mut self) {
        self.held = true;
    }

    pub(super) fn resume(&mut self, now: Instant) {
        self.held = false;
        self.moved = now;
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

    struct Test {
        watchdog: Watchdog,
        now: Instant,
    }

    impl Test {
        fn start() -> Self {
            let now = Instant::now();
            Self { watchdog: Watchdog::new(limits(), now), now }
        }

        fn pass(&mut self, seconds: u64) {
            self.now += Duration::from_secs(seconds);
        }

        fn saw(&mut self, seconds: u64) -> Result<(), Failure> {
            self.watchdog.saw(Some(Duration::from_secs(seconds)), self.now)
        }

        fn check(&self) -> Result<(), Failure> {
            self.watchdog.check(self.now)
        }
    }

    #[test]
    fn only_media_that_moves_counts_as_progress() {
        let mut test = Test::start();
        for second in 1..=3 {
            test.pass(9);
            test.saw(second).unwrap();
            test.check().unwrap();
        }
        test.pass(9);
        test.saw(3).unwrap();
        test.check().unwrap();
        test.pass(2);
        assert!(matches!(test.check(), Err(Failure::Stalled(_))));
    }

    #[test]
    fn an_encoder_that_is_held_does_not_stall_but_runs_out_of_time() {
        let mut test = Test::start();
        test.watchdog.pause();
        test.pass(50);
        test.check().unwrap();
        test.watchdog.resume(test.now);
        test.pass(9);
        test.check().unwrap();
        test.watchdog.pause();
        test.pass(50);
        assert!(matches!(test.check(), Err(Failure::Timeout(_))));
    }

    #[test]
    fn a_source_that_turns_out_too_long_is_stopped() {
        let mut test = Test::start();
        test.saw(61).unwrap();
        assert!(matches!(test.saw(62), Err(Failure::TooLong { limit_seconds: 60 })));
    }

    #[test]
    fn the_limit_grows_with_the_film() {
        assert_eq!(Limits::of(Some(60.0), 43_200).wall, Duration::from_mins(30));
        assert_eq!(Limits::of(None, 60).wall, Duration::from_mins(30));
    }
}
