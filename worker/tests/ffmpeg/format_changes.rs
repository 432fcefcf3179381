//! Transport streams whose format changes in mid-stream: what is missing is named in `warnings`.

use streamio_events::media::MediaWarning;

use super::clip::make;
use super::harness::WorkerHarness;
use super::measure::H264;
use super::published::{PublishedVideo, publish};

const HEVC: &str = "-c:v libx265 -preset ultrafast -x265-params log-level=error -pix_fmt yuv420p";

/// A part of 3 s with pictures of `video` and sound of `audio`.
fn part(harness: &WorkerHarness, video: &str, audio: &str) -> Vec<u8> {
    let input = "-f lavfi -i testsrc2=s=160x90:r=25:d=3 -f lavfi -i sine=440:r=48000:d=3";
    std::fs::read(make(&harness.clips(), "part.ts", &format!("{input} {video} {audio}"))).unwrap()
}

async fn published(harness: WorkerHarness, bytes: &[u8]) -> PublishedVideo {
    let job = harness.upload("joined.ts", bytes).await;
    publish(harness, job, 6.0).await
}

/// Asserts that there is one warning for each of `expected`, which its message contains.
fn assert_warnings(warnings: &[MediaWarning], expected: &[&str]) {
    assert_eq!(warnings.len(), expected.len(), "{warnings:?}");
    for (warning, text) in warnings.iter().zip(expected) {
        assert_eq!(warning.code, "format_change");
        assert!(warning.message.contains(text), "{text}: {}", warning.message);
    }
}

#[tokio::test]
async fn a_change_of_format_in_the_same_streams_is_named_with_its_time() {
    let harness = WorkerHarness::new();
    let (first, second) =
        (part(&harness, &format!("{H264} -bf 0"), "-c:a mp2"), part(&harness, HEVC, "-c:a aac"));
    let video = published(harness, &[first, second].concat()).await;
    let expected = [
        "the pictures from about 3.0 s on cannot be decoded",
        "the sound from about 3.0 s on cannot be decoded",
    ];
    assert_warnings(&video.source.warnings, &expected);
}

#[tokio::test]
async fn formats_that_one_decoder_decodes_are_no_change() {
    let harness = WorkerHarness::new();
    let mp2 = part(&harness, "-c:v mpeg2video", "-c:a mp2");
    let other = part(&harness, "-c:v mpeg1video", "-c:a mp2");
    let video = published(harness, &[mp2, other].concat()).await;
    assert_warnings(&video.source.warnings, &[]);
}

#[tokio::test]
async fn pictures_that_go_on_in_another_stream_are_named() {
    let harness = WorkerHarness::new();
    let first = part(&harness, &format!("{H264} -bf 0"), "-c:a mp2");
    let second = part(&harness, HEVC, "-c:a mp2 -streamid 0:512");
    let video = published(harness, &[first, second].concat()).await;
    assert_warnings(&video.source.warnings, &["the pictures from about 3.0 s on cannot be used"]);
}

#[tokio::test]
async fn sound_that_goes_on_in_another_track_is_named() {
    let harness = WorkerHarness::new();
    let first = part(&harness, &format!("{H264} -bf 0"), "-c:a mp2");
    let second = part(&harness, &format!("{H264} -bf 0"), "-c:a aac -streamid 1:513");
    let video = published(harness, &[first, second].concat()).await;
    assert_warnings(
        &video.source.warnings,
        &["the sound from about 3.0 s on can be heard in another track only"],
    );
}

#[tokio::test]
async fn tracks_that_follow_one_another_in_other_containers_are_named() {
    let harness = WorkerHarness::new();
    let picture = |offset: u32| format!("-itsoffset {offset} -f lavfi -i testsrc2=s=160x90:r=25:d=3");
    let sound = |offset: u32| format!("-itsoffset {offset} -f lavfi -i sine=440:r=48000:d=3");
    let inputs = [picture(0), picture(3), sound(0), sound(3)].join(" ");
    let maps = "-map 0 -map 1 -map 2 -map 3 -c:a aac";
    let file = make(&harness.clips(), "clip.mkv", &format!("{inputs} {maps} {H264} -bf 0"));
    let video = published(harness, &std::fs::read(file).unwrap()).await;
    let expected = [
        "the pictures from 3.0 s to 6.0 s cannot be used",
        "the sound from 3.0 s on can be heard in another track only",
    ];
    assert_warnings(&video.source.warnings, &expected);
}

#[tokio::test]
async fn a_stream_that_begins_later_than_ffmpeg_looks_is_found() {
    let harness = WorkerHarness::new();
    let input = "-f lavfi -i testsrc2=s=160x90:r=25:d=17 -f lavfi -i sine=440:r=48000:d=17";
    let args = format!("{input} {H264} -bf 0 -c:a mp2");
    let first = std::fs::read(make(&harness.clips(), "first.ts", &args)).unwrap();
    let second = part(&harness, &format!("{H264} -bf 0"), "-c:a aac -streamid 1:513");
    let job = harness.upload("joined.ts", &[first, second].concat()).await;
    let video = publish(harness, job, 20.0).await;
    assert_warnings(
        &video.source.warnings,
        &["the sound from about 17.0 s on can be heard in another track only"],
    );
}
