//! Posters: which picture, and that none fails a video.

use streamio_worker::run::RunOutcome;
use streamio_worker::stop::StopSignal;

use super::clip::{audio_input, make, video_input};
use super::harness::{PROCESSED, WorkerHarness, tools_with};
use super::inspect;
use super::measure::{self, H264};
use super::published::{PublishedVideo, publish_clip};

fn poster_brightness(video: &PublishedVideo) -> f64 {
    inspect::brightness(&video.path(video.outputs.poster_key.as_ref().unwrap().as_str()))
}

#[tokio::test]
async fn a_picture_that_begins_long_after_the_sound_is_published_with_a_poster() {
    for name in ["late.mkv", "late.ts", "late.mp4"] {
        let args = format!(
            "{} -itsoffset 26 -f lavfi -i color=white:s=160x90:r=10:d=4 {H264} -c:a aac",
            audio_input(300, 30)
        );
        let video = publish_clip(name, &args, 30.0).await;
        assert!(poster_brightness(&video) > 240.0, "{name}");
        // The first picture is shown until it begins.
        assert_eq!(inspect::decode(&video.mp4()), 300, "{name}");
        assert!(measure::pictures(&video.mp4()).iter().all(|(_, brightness)| *brightness > 240), "{name}");
    }
}

#[tokio::test]
async fn a_video_that_is_black_for_long_has_a_poster_from_later() {
    let args = format!(
        "-f lavfi -i color=black:s=160x90:r=5:d=26 {} -filter_complex [0:v][1:v]concat=n=2 {H264} -g 10",
        video_input("160x90", 5, 14)
    );
    let video = publish_clip("black.mp4", &args, 40.0).await;
    assert!(poster_brightness(&video) > 40.0, "{}", poster_brightness(&video));
}

#[tokio::test]
async fn a_beginning_that_is_mostly_black_has_a_poster_from_the_rest_of_it() {
    let args = format!(
        "-f lavfi -i color=black:s=160x90:r=5:d=9 {} -filter_complex [0:v][1:v]concat=n=2 {H264}",
        video_input("160x90", 5, 2)
    );
    let video = publish_clip("mostly.mp4", &args, 11.0).await;
    assert!(poster_brightness(&video) > 40.0, "{}", poster_brightness(&video));
}

#[tokio::test]
async fn a_video_that_is_black_throughout_has_a_black_poster() {
    let args = format!("-f lavfi -i color=black:s=160x90:r=5:d=2 {H264}");
    assert!(poster_brightness(&publish_clip("dark.mp4", &args, 2.0).await) < 20.0);
}

#[tokio::test]
async fn a_poster_that_cannot_be_made_does_not_fail_the_video() {
    use std::os::unix::fs::PermissionsExt;
    let harness = WorkerHarness::new();
    let args = format!("{} {H264}", video_input("160x90", 25, 1));
    let job = harness.upload_file("clip.mp4", &make(&harness.clips(), "clip.mp4", &args)).await;
    let script = harness.clips().join("ffmpeg");
    std::fs::write(&script, "#!/bin/sh\ncase \"$*\" in *poster.jpg) exit 1;; esac\nexec ffmpeg \"$@\"\n")
        .unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut worker = harness.worker(&job, "task");
    worker.tools = tools_with(script.to_str().unwrap().to_owned());
    let outcome = worker.run(&StopSignal::default()).await;
    assert!(matches!(outcome, RunOutcome::Published), "{outcome:?}");
    let outputs = harness.video(&job.video_id).await.outputs.unwrap();
    assert_eq!(outputs.poster_key, None);
    let headers = harness.storage.headers(PROCESSED, outputs.mp4_key.as_str());
    assert_eq!(headers.content_type, "video/mp4", "not audio");
}
