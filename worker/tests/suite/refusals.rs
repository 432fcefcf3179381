//! Inputs that must end in a typed failure that is not tried again.

use streamio_events::event::EventBody;
use streamio_events::media::VideoError;
use streamio_worker::run::Ended;

use super::clip::{make, picture, tone};
use super::platform::{PROCESSED, Platform};

/// The error that the attempt at `bytes` ends with.
async fn refused(platform: &Platform, filename: &str, bytes: &[u8]) -> VideoError {
    let job = platform.upload(filename, bytes).await;
    let ended = platform.run(&job).await;
    assert!(matches!(ended, Ended::Failed(_)), "{ended:?}");
    assert_eq!(platform.storage.keys(PROCESSED), Vec::<String>::new(), "nothing is left behind");
    match platform.bodies(&job).await.pop() {
        Some(EventBody::ProcessingFailed(failed)) => failed.error,
        other => panic!("{other:?}"),
    }
}

async fn code(filename: &str, bytes: &[u8]) -> String {
    let error = refused(&Platform::new(), filename, bytes).await;
    assert!(!error.retryable, "{error:?}");
    error.code
}

fn clip(name: &str, args: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::read(make(directory.path(), name, args)).unwrap()
}

#[tokio::test]
async fn what_is_no_media_is_refused_by_name() {
    assert_eq!(code("empty.mp4", b"").await, "empty_file");
    assert_eq!(
        code("text.mp4", "Only words, one after the other. ".repeat(200).as_bytes()).await,
        "not_media"
    );
    assert_eq!(code("zeros.mp4", &vec![0; 20_000]).await, "not_media");
}

#[tokio::test]
async fn noise_is_refused_whatever_it_looks_like_to_a_demuxer() {
    // A fixed linear congruential sequence.
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
async fn a_file_that_is_cut_off_is_corrupt() {
    let args =
        format!("{} {} -c:v libx264 -preset ultrafast -c:a aac", picture("320x240", 25, 3), tone(300, 3));
    let index_last = clip("last.mp4", &args);
    assert_eq!(code("last.mp4", &index_last[..index_last.len() / 2]).await, "corrupt");
    let index_first = clip("first.mp4", &format!("{args} -movflags +faststart"));
    assert_eq!(code("first.mp4", &index_first[..index_first.len() / 3]).await, "corrupt");
    let matroska = clip("m.mkv", &args);
    assert_eq!(code("m.mkv", &matroska[..matroska.len() / 3]).await, "corrupt");
    assert_eq!(code("m.mkv", &matroska[..40]).await, "corrupt");
}

#[tokio::test]
async fn pictures_are_refused_as_pictures() {
    for (name, encoder) in [("p.png", "png"), ("p.jpg", "mjpeg"), ("p.gif", "gif"), ("p.webp", "libwebp")] {
        let image = clip(name, &format!("-f lavfi -i testsrc2=size=64x64 -frames:v 1 -c:v {encoder}"));
        assert_eq!(code("image.mp4", &image).await, "image_not_supported", "{name}");
    }
}

#[tokio::test]
async fn subtitles_alone_are_neither_picture_nor_sound() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("words.srt"), "1\n00:00:00,000 --> 00:00:02,000\nWords\n").unwrap();
    let file = make(directory.path(), "words.mkv", "-i words.srt -c:s subrip");
    assert_eq!(code("words.mkv", &std::fs::read(file).unwrap()).await, "no_streams");
}

#[tokio::test]
async fn a_codec_that_nobody_knows_is_named_as_such() {
    let mut film = clip("film.mp4", &format!("{} -c:v libx264 -preset ultrafast", picture("160x120", 25, 1)));
    let mut replaced = 0;
    for position in 0..film.len() - 4 {
        if &film[position..position + 4] == b"avc1" {
            film[position..position + 4].copy_from_slice(b"zzzz");
            replaced += 1;
        }
    }
    assert!(replaced > 0);
    assert_eq!(code("film.mp4", &film).await, "unsupported_codec");
}

#[tokio::test]
async fn limits_are_enforced_before_and_during_the_encode() {
    let film = clip("film.mp4", &format!("{} -c:v libx264 -preset ultrafast", picture("160x120", 25, 3)));
    let mut platform = Platform::new();
    platform.policy.limits.max_bytes = film.len() as u64 - 1;
    assert_eq!(refused(&platform, "film.mp4", &film).await.code, "too_large");

    let mut platform = Platform::new();
    platform.policy.limits.max_duration_seconds = 2;
    assert_eq!(refused(&platform, "film.mp4", &film).await.code, "too_long");

    // Raw H.264 does not say how long it is.
    let raw =
        clip("film.h264", &format!("{} -c:v libx264 -preset ultrafast -f h264", picture("160x120", 25, 30)));
    let mut platform = Platform::new();
    platform.policy.limits.max_duration_seconds = 2;
    assert_eq!(refused(&platform, "film.mp4", &raw).await.code, "too_long");
}
