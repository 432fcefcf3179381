//! A clock that is set back or forward ends no video and refuses no key.

use std::path::{Path, PathBuf};
use std::time::Duration;

use streamio_events::timestamp::Timestamp;

use crate::clip;
use crate::harness::TestPlatform;
use crate::play::play;

/// The clock of the platform and its workers, which reads a file. The time that passes is not affected.
/// <https://github.com/wolfcw/libfaketime>
struct Clock {
    directory: tempfile::TempDir,
}

impl Clock {
    /// A clock with the right time.
    fn new() -> Self {
        let clock = Self { directory: tempfile::tempdir().unwrap() };
        clock.set("+0");
        clock
    }

    /// Sets the clock to a difference from the right time, in seconds.
    fn set(&self, difference: &str) {
        // A clock that is read while the file is written would be right for a moment.
        let new = self.directory.path().join("new");
        std::fs::write(&new, difference).unwrap();
        std::fs::rename(new, self.file()).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("difference")
    }

    /// The environment of programs with this clock.
    fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        let library = std::env::var_os("STREAMIO_FAKETIME").unwrap_or_else(|| {
            panic!("STREAMIO_FAKETIME is not set; run the tests with `cargo xtask test`, or `eval \"$(cargo xtask tools --print-env)\"`")
        });
        vec![
            ("LD_PRELOAD", library.into()),
            ("FAKETIME_TIMESTAMP_FILE", self.file()),
            ("FAKETIME_NO_CACHE", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
            // Older releases know only this name.
            ("DONT_FAKE_MONOTONIC", "1".into()),
            // Each process reads the file for itself.
            ("FAKETIME_DISABLE_SHM", "1".into()),
        ]
    }
}

/// Sets the clock while a video is encoded. The video becomes ready and plays, and so does one that is uploaded afterwards.
async fn set_during_an_encode(difference: &str) {
    let clock = Clock::new();
    let platform = TestPlatform::start_in(&[], clock.environment()).await;
    let video_id = platform.upload("before.mp4", clip::video_with_audio(20, "640x360").await).await;
    platform.wait_for(&video_id, |status| status["progress"].as_u64() > Some(5)).await;
    clock.set(difference);
    let before = platform.wait_for_end(&video_id, 1).await;
    let video_id = platform.upload("after.mp4", clip::video_with_audio(2, "320x180").await).await;
    let after = platform.wait_for_end(&video_id, 1).await;
    for status in [before, after] {
        assert_eq!(status["state"], "ready", "{status}");
        let events = platform.events(status["videoId"].as_str().unwrap()).await;
        assert!(!events.iter().any(|kind| kind == "processing.failed"), "{events:?}");
        play(&platform, &status).await;
    }
    assert_was_set(&platform.data(), difference);
}

/// Checks that the clock was in use: the log has times that are further apart than the test takes.
fn assert_was_set(data: &Path, difference: &str) {
    let log = crate::harness::log(data);
    let time = |line: &str| line.split_whitespace().next()?.parse::<Timestamp>().ok();
    let times: Vec<Timestamp> = log.lines().filter_map(time).collect();
    let (earliest, latest) = (times.iter().min().unwrap(), times.iter().max().unwrap());
    assert!(
        latest.since(*earliest) > Duration::from_hours(1),
        "the clock was not set to {difference}: {log}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_back_ends_no_video_and_refuses_no_key() {
    set_during_an_encode("-7200").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_forward_ends_no_video_and_refuses_no_key() {
    set_during_an_encode("+7200").await;
}
