//! Sources that must end in a permanent failure with a specific code.

use streamio_events::event::EventBody;
use streamio_events::media::VideoError;
use streamio_worker::run::RunOutcome;

use super::clip::{audio_input, make, video_input};
use super::harness::{PROCESSED, WorkerHarness};

/// Runs an attempt with `bytes` as the source and returns its recorded error.
pub(super) async fn refused(harness: &WorkerHarness, filename: &str, bytes: &[u8]) -> VideoError {
    let job = harness.upload(filename, bytes).await;
    let outcome = harness.run(&job).await;
    assert!(matches!(outcome, RunOutcome::Failed(_)), "{outcome:?}");
    assert_eq!(harness.storage.keys(PROCESSED), Vec::<String>::new(), "the attempt's files are deleted");
    match harness.bodies(&job).await.pop() {
        Some(EventBody::ProcessingFailed(failed)) => failed.error,
        other => panic!("{other:?}"),
    }
}

pub(super) async fn code(filename: &str, bytes: &[u8]) -> String {
    let error = refused(&WorkerHarness::new(), filename, bytes).await;
    assert!(!error.retryable, "{error:?}");
    error.code
}

fn clip(name: &str, args: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::read(make(directory.path(), name, args)).unwrap()
}

#[tokio::test]
async fn bytes_that_are_not_media_are_refused() {
    assert_eq!(code("empty.mp4", b"").await, "empty_file");
    assert_eq!(
        code("text.mp4", "Only words, one after the other. ".repeat(200).as_bytes()).await,
        "not_media"
    );
    assert_eq!(code("zeros.mp4", &vec![0; 20_000]).await, "not_media");
}

#[tokio::test]
async fn random_bytes_are_refused_even_if_a_demuxer_accepts_them() {
    // A linear congruential generator with a fixed seed.
    let mut state = 1u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(100_000)
    .collect();
    assert_eq!(code("noise.mp4", &noise).await, "not_media");
}

#[tokio::test]
async fn a_truncated_file_is_named_as_such_even_if_little_of_it_is_left() {
    let args = format!(
        "{} {} -c:v libx264 -preset ultrafast -c:a aac",
        video_input("320x240", 25, 3),
        audio_input(300, 3)
    );
    let index_last = clip("last.mp4", &args);
    assert_eq!(code("last.mp4", &index_last[..index_last.len() / 2]).await, "truncated");
    let index_first = clip("first.mp4", &format!("{args} -movflags +faststart"));
    assert_eq!(code("first.mp4", &index_first[..index_first.len() / 3]).await, "truncated");
    let matroska = clip("m.mkv", &args);
    assert_eq!(code("m.mkv", &matroska[..matroska.len() / 3]).await, "truncated");
    assert_eq!(code("m.mkv", &matroska[..40]).await, "truncated");
}

/// ffprobe ends within its report.
#[tokio::test]
async fn a_file_whose_decoder_refuses_the_headers_is_corrupt() {
    let args = format!(
        "{} {} -c:v libx264 -preset ultrafast -c:a libvorbis",
        video_input("160x120", 25, 1),
        audio_input(300, 1)
    );
    let mut bytes = clip("vorbis.mkv", &args);
    let setup = b"\x05vorbis";
    let header = bytes.windows(setup.len()).position(|window| window == setup).unwrap() + setup.len();
    bytes[header..header + 400].iter_mut().for_each(|byte| *byte ^= 0x5a);
    assert_eq!(code("vorbis.mkv", &bytes).await, "corrupt");
}

#[tokio::test]
async fn images_are_refused_as_images() {
    for (name, encoder) in [("p.png", "png"), ("p.jpg", "mjpeg"), ("p.gif", "gif"), ("p.webp", "libwebp")] {
        let image = clip(name, &format!("-f lavfi -i testsrc2=size=64x64 -frames:v 1 -c:v {encoder}"));
        assert_eq!(code("image.mp4", &image).await, "image_not_supported", "{name}");
    }
}

#[tokio::test]
async fn a_file_with_only_subtitles_has_no_streams() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("words.srt"), "1\n00:00:00,000 --> 00:00:02,000\nWords\n").unwrap();
    let file = make(directory.path(), "words.mkv", "-i words.srt -c:s subrip");
    assert_eq!(code("words.mkv", &std::fs::read(file).unwrap()).await, "no_streams");
}

#[tokio::test]
async fn a_picture_that_is_too_large_is_named_as_such_even_if_only_the_picture_states_its_size() {
    for (name, encoder) in [("p.mov", "mjpeg -q:v 31"), ("p.mkv", "png"), ("p.avi", "mjpeg -q:v 31")] {
        let large = clip(name, &format!("-f lavfi -i color=red:s=9000x9000:r=1:d=1 -c:v {encoder}"));
        assert_eq!(code(name, &large).await, "frame_too_large", "{name}");
    }
}

#[tokio::test]
async fn an_unknown_codec_is_unsupported() {
    let mut video =
        clip("clip.mp4", &format!("{} -c:v libx264 -preset ultrafast", video_input("160x120", 25, 1)));
    let mut replaced = 0;
    for position in 0..video.len() - 4 {
        if &video[position..position + 4] == b"avc1" {
            video[position..position + 4].copy_from_slice(b"zzzz");
            replaced += 1;
        }
    }
    assert!(replaced > 0);
    assert_eq!(code("clip.mp4", &video).await, "unsupported_codec");
}

#[tokio::test]
async fn limits_are_enforced_before_and_during_the_encode() {
    let video =
        clip("clip.mp4", &format!("{} -c:v libx264 -preset ultrafast", video_input("160x120", 25, 3)));
    let mut harness = WorkerHarness::new();
    harness.policy.limits.max_bytes = video.len() as u64 - 1;
    assert_eq!(refused(&harness, "clip.mp4", &video).await.code, "too_large");

    let mut harness = WorkerHarness::new();
    harness.policy.limits.max_duration_seconds = 2;
    assert_eq!(refused(&harness, "clip.mp4", &video).await.code, "too_long");

    // Raw H.264 does not state its duration.
    let raw = clip(
        "clip.h264",
        &format!("{} -c:v libx264 -preset ultrafast -f h264", video_input("160x120", 25, 30)),
    );
    let mut harness = WorkerHarness::new();
    harness.policy.limits.max_duration_seconds = 2;
    assert_eq!(refused(&harness, "clip.mp4", &raw).await.code, "too_long");
}
