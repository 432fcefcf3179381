//! Files in which the times of single packets are wrong.

use streamio_events::media::MediaWarning;

use super::clip::make;
use super::harness::WorkerHarness;
use super::inspect;
use super::measure::{self, H264, beeps_source, flashes_source};
use super::published::{PublishedVideo, publish};

/// The codes of the warnings.
fn codes(warnings: &[MediaWarning]) -> Vec<&str> {
    warnings.iter().map(|warning| warning.code.as_str()).collect()
}

/// Publishes a clip of 6 s with a flash and a beep in every second, after copying it with `args`.
async fn published(name: &str, args: &str) -> PublishedVideo {
    let harness = WorkerHarness::new();
    let folder = harness.clips();
    let (flashes, beeps) = (flashes_source("160x90", 6), beeps_source(6));
    make(&folder, "plain.mkv", &format!("{flashes} {beeps} {H264} -bf 0 -c:a pcm_s16le"));
    let file = make(&folder, name, &format!("-i plain.mkv {args}"));
    let job = harness.upload_file("clip.bin", &file).await;
    publish(harness, job, 6.0).await
}

#[tokio::test]
async fn one_picture_that_comes_much_too_late_does_not_stretch_the_video() {
    for (name, audio, second) in [
        ("clip.mkv", "copy", 1_000),
        ("clip.mp4", "aac", 16_000),
        ("clip.ts", "aac", 90_000),
        ("clip.flv", "aac -ar 44100", 1_000),
    ] {
        let late = format!("setts=pts=if(eq(N\\,50)\\,PTS+100*{second}\\,PTS)");
        let video = published(name, &format!("-c:v copy -c:a {audio} -bsf:v {late}")).await;
        assert_eq!(codes(&video.source.warnings), ["wrong_times"], "{name}");
        let message = &video.source.warnings[0].message;
        assert!(message.contains("pictures") && message.contains("at 1.7 s by 100.0 s"), "{message}");
        // Sound of AAC in a transport stream is a little longer.
        let pictures = inspect::decode(&video.mp4());
        assert!((180..=181).contains(&pictures), "{name}: {pictures}");
        // After a wrong presentation time, FFmpeg's decoders prefer decoding times, which may be a picture off.
        for (number, flash) in (0u32..).zip(measure::flashes(&video.mp4())) {
            assert!((flash - 0.5 - f64::from(number)).abs() < 0.04, "{name}: flash {number} at {flash} s");
        }
    }
}

#[tokio::test]
async fn a_picture_that_comes_days_too_late_stretches_neither_the_video_nor_the_poster() {
    let late = "setts=pts=if(eq(N\\,50)\\,PTS+1000000000\\,PTS)";
    let video = published("clip.mkv", &format!("-c copy -bsf:v {late}")).await;
    assert_eq!(inspect::decode(&video.mp4()), 180);
    let poster = video.path(video.outputs.poster_key.as_ref().unwrap().as_str());
    assert_eq!(inspect::decode(&poster), 1);
}

#[tokio::test]
async fn sound_that_comes_much_too_late_does_not_stretch_the_video() {
    let args = "-c copy -bsf:a setts=pts=if(eq(N\\,50)\\,PTS+100000\\,PTS)";
    let video = published("clip.mkv", args).await;
    assert_eq!(codes(&video.source.warnings), ["wrong_times"]);
    assert!(video.source.warnings[0].message.contains("the sound"), "{:?}", video.source.warnings);
    measure::assert_in_sync(&video.mp4(), 6, 0.5, 1.0);
}

#[tokio::test]
async fn an_inverted_bit_in_the_time_of_a_cluster_does_not_stretch_the_video() {
    let harness = WorkerHarness::new();
    let (flashes, beeps) = (flashes_source("160x90", 6), beeps_source(6));
    let args = format!("{flashes} {beeps} {H264} -g 30 -c:a pcm_s16le -cluster_time_limit 1000");
    let mut bytes = std::fs::read(make(&harness.clips(), "plain.mkv", &args)).unwrap();
    // A cluster begins with its id, its size and its time in two bytes of milliseconds.
    let places: Vec<_> =
        (0..bytes.len() - 4).filter(|place| bytes[*place..].starts_with(&[0x1f, 0x43, 0xb6, 0x75])).collect();
    assert!(places.len() > 4, "{places:?}");
    let time =
        places[2] + bytes[places[2]..].windows(2).position(|window| window == [0xe7, 0x82]).unwrap() + 2;
    bytes[time] ^= 0x80;
    let job = harness.upload("clip.mkv", &bytes).await;
    let video = publish(harness, job, 6.0).await;
    assert_eq!(codes(&video.source.warnings), ["wrong_times", "wrong_times"], "pictures and sound");
    assert_eq!(inspect::decode(&video.mp4()), 180);
    measure::assert_in_sync(&video.mp4(), 6, 0.5, 1.0);
}

#[tokio::test]
async fn a_last_picture_long_after_everything_else_is_kept_with_a_warning_and_the_length_is_that_of_the_output()
 {
    for (name, second) in [("clip.mkv", 1_000), ("clip.mp4", 16_000), ("clip.ts", 90_000)] {
        let harness = WorkerHarness::new();
        let args = format!("{} {} {H264} -bf 0 -c:a aac", flashes_source("160x90", 3), beeps_source(3));
        make(&harness.clips(), "plain.mkv", &args);
        let late = format!("-i plain.mkv -c copy -bsf:v setts=pts=if(eq(N\\,89)\\,PTS+70*{second}\\,PTS)");
        let file = make(&harness.clips(), name, &late);
        let job = harness.upload_file("clip.bin", &file).await;
        let video = publish(harness, job, 73.0).await;
        assert_eq!(codes(&video.source.warnings), ["late_end"], "{name}");
        let message = &video.source.warnings[0].message;
        assert!(message.contains("picture") && message.contains("70.0 s"), "{message}");
    }
}

#[tokio::test]
async fn a_last_picture_that_ends_together_with_the_sound_is_as_it_should_be() {
    let harness = WorkerHarness::new();
    let still = "-f lavfi -i color=black:s=160x90:r=30:d=3 -f lavfi -i sine=440:r=48000:d=73";
    make(&harness.clips(), "plain.mkv", &format!("{still} {H264} -bf 0 -c:a aac"));
    let late = "-i plain.mkv -c copy -bsf:v setts=pts=if(eq(N\\,89)\\,PTS+70*1000\\,PTS)";
    let file = make(&harness.clips(), "clip.mkv", late);
    let job = harness.upload_file("clip.bin", &file).await;
    let video = publish(harness, job, 73.0).await;
    assert!(video.source.warnings.is_empty(), "{:?}", video.source.warnings);
}
