//! Sources that change in mid-stream: size, pixel format, rotation, sound layout and rate.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::clip::make;
use super::harness::WorkerHarness;
use super::inspect;
use super::measure::{self, H264, beeps_source, flashes_source};
use super::published::{PublishedVideo, publish};

/// Joins `files` without encoding, `times` times, with further input and output `args`.
fn joined(folder: &Path, name: &str, files: &[&str], times: usize, args: &str) -> PathBuf {
    let mut list = String::new();
    for file in files.iter().cycle().take(files.len() * times) {
        writeln!(list, "file {file}").unwrap();
    }
    std::fs::write(folder.join("list.txt"), list).unwrap();
    make(folder, name, &format!("-f concat -i list.txt {args}"))
}

async fn published(harness: WorkerHarness, file: &Path, seconds: f64) -> PublishedVideo {
    let job = harness.upload_file("clip.bin", file).await;
    publish(harness, job, seconds).await
}

#[tokio::test]
async fn a_larger_picture_in_mid_stream_neither_lengthens_the_video_nor_shifts_it() {
    let harness = WorkerHarness::new();
    let folder = harness.clips();
    for (name, size) in [("1.webm", "320x180"), ("2.webm", "640x360")] {
        make(&folder, name, &format!("{} -c:v libvpx -deadline realtime -b:v 500k", flashes_source(size, 3)));
    }
    let args = format!("{} -map 0:v -map 1:a -c:v copy -c:a libopus", beeps_source(6));
    let file = joined(&folder, "joined.webm", &["1.webm", "2.webm"], 1, &args);
    let video = published(harness, &file, 6.0).await;
    assert_eq!(video.sizes(), [(320, 180)]);
    assert_eq!(inspect::decode(&video.mp4()), 180);
    measure::assert_in_sync(&video.mp4(), 6, 0.5, 1.0);
}

#[tokio::test]
async fn a_call_that_begins_small_has_the_size_of_most_of_its_pictures() {
    let harness = WorkerHarness::new();
    let folder = harness.clips();
    for (name, size, seconds) in [
        ("1.webm", "160x90", "0.5"),
        ("2.webm", "320x180", "0.5"),
        ("3.webm", "640x360", "4"),
        ("4.webm", "160x160", "1"),
    ] {
        let args =
            format!("-f lavfi -i color=white:s={size}:r=30:d={seconds} -c:v libvpx -deadline realtime");
        make(&folder, name, &args);
    }
    let files = ["1.webm", "2.webm", "3.webm", "4.webm"];
    let file = joined(&folder, "call.webm", &files, 1, "-c copy");
    let video = published(harness, &file, 6.0).await;
    assert_eq!((video.sizes(), video.source.width), (vec![(640, 360), (426, 240)], Some(640)));
    // The small pictures of the same shape are enlarged, the square one has bars beside it.
    for (time, brightness) in measure::cropped(&video.mp4(), "100:360:0:0") {
        if (time - 5.0).abs() > 0.1 {
            assert_eq!(brightness > 240, time < 5.0, "{brightness} at {time}");
        }
    }
}

#[tokio::test]
async fn changes_of_picture_and_sound_in_every_second_leave_the_duration_as_it_is() {
    let harness = WorkerHarness::new();
    let folder = harness.clips();
    // 0.96 s are whole packets of AC-3 at 48 kHz and at 32 kHz.
    for (name, size, format, sound) in
        [("a.ts", "160x90", "yuv420p", "-ac 2"), ("b.ts", "320x180", "yuv422p", "-ac 6 -ar 32000")]
    {
        let args = format!(
            "-f lavfi -i color=black:s={size}:r=25:d=0.96,drawbox=t=fill:c=white:enable='between(t,0.47,0.57)' \
             -f lavfi -i aevalsrc=if(between(t\\,0.48\\,0.58)\\,sin(2*PI*1000*t)\\,0):s=48000:d=0.96 {} -c:a ac3 {sound}",
            H264.replace("yuv420p", format)
        );
        make(&folder, name, &args);
    }
    let file = joined(&folder, "joined.ts", &["a.ts", "b.ts"], 15, "-c copy");
    let part = inspect::duration(&file) / 30.0;
    let video = published(harness, &file, part * 30.0).await;
    assert!(part < 0.98, "{part}");
    for (track, duration) in inspect::durations(&video.mp4()) {
        assert!((duration - part * 30.0).abs() < 0.05, "{track} lasts {duration}");
    }
    measure::assert_in_sync(&video.mp4(), 30, 0.48, part);
}

#[tokio::test]
async fn a_change_from_stereo_to_surround_inserts_no_silence() {
    let harness = WorkerHarness::new();
    let folder = harness.clips();
    let (flashes, beeps) = (flashes_source("160x90", 3), beeps_source(3));
    let one = make(&folder, "1.ts", &format!("{flashes} {beeps} {H264} -c:a ac3 -ac 2"));
    let two = make(&folder, "2.ts", &format!("{flashes} {beeps} {H264} -c:a ac3 -ac 6 -output_ts_offset 3"));
    let bytes = [std::fs::read(one).unwrap(), std::fs::read(two).unwrap()].concat();
    let job = harness.upload("joined.ts", &bytes).await;
    let video = publish(harness, job, 6.0).await;
    assert_eq!(inspect::decode(&video.mp4()), 180);
    let packets = inspect::packets(&video.mp4(), "a");
    assert!((282..=285).contains(&packets), "{packets}");
    measure::assert_in_sync(&video.mp4(), 6, 0.5, 1.0);
}

#[tokio::test]
async fn a_phone_that_is_turned_while_it_records_gets_bars_beside_the_upright_picture() {
    let harness = WorkerHarness::new();
    let folder = harness.clips();
    let white = |size: &str| format!("-f lavfi -i color=white:s={size}:r=30:d=2 {H264}");
    // Upright for most of the time.
    make(&folder, "1.ts", &white("320x180").replace("d=2", "d=5"));
    // With key frames only, every frame states its rotation.
    let rotation = "-g 1 -bsf:v h264_metadata=display_orientation=insert:rotate=90";
    make(&folder, "2.ts", &format!("{} {rotation}", white("320x180")));
    make(&folder, "3.ts", &white("180x320"));
    let file = joined(&folder, "joined.ts", &["1.ts", "2.ts", "3.ts"], 1, "-c copy");
    let video = published(harness, &file, 9.0).await;
    assert_eq!((video.sizes(), inspect::decode(&video.mp4())), (vec![(320, 180)], 270));
    let middle = measure::cropped(&video.mp4(), "90:170:114:5");
    assert!(middle.iter().all(|(_, brightness)| *brightness > 240), "{middle:?}");
    for (time, brightness) in measure::cropped(&video.mp4(), "100:180:0:0") {
        // One picture may be lost at a change, and another repeated for it.
        let is_turned = time > 5.04;
        if ![5.0, 7.0].iter().any(|change: &f64| (change - time).abs() < 0.07) {
            assert_eq!(brightness < 20, is_turned, "{brightness} at {time}");
        }
    }
}

#[tokio::test]
async fn a_rotation_that_only_the_codec_states_is_applied_to_every_picture() {
    let harness = WorkerHarness::new();
    let args = "-f lavfi -i color=black:s=320x180:r=30:d=1,drawbox=w=160:t=fill:c=white";
    // Half a turn, stated at key frames only, and a quarter turn, stated in every frame.
    for (rotate, group, size, bright) in
        [("180", 250, (320, 180), "160:180:160:0"), ("90", 1, (180, 320), "180:160:0:160")]
    {
        let args = format!(
            "{args} {H264} -g {group} -bsf:v h264_metadata=display_orientation=insert:rotate={rotate}"
        );
        let file = make(&harness.clips(), "turned.ts", &args);
        let video = published(WorkerHarness::new(), &file, 1.0).await;
        assert_eq!((video.sizes(), video.source.width), (vec![size], Some(size.0)));
        let half = measure::cropped(&video.mp4(), bright);
        assert!(half.iter().all(|(_, brightness)| *brightness > 240), "{rotate}: {half:?}");
    }
}

/// Asserts that the sound of `video` has a beep half a second after each of `seconds` full seconds, or up to `delay` seconds later.
fn assert_beeps_every_second(video: &PublishedVideo, name: &str, seconds: u32, delay: f64) {
    let beeps = measure::beeps(&video.mp4());
    assert_eq!(beeps.len(), seconds as usize, "{name}: {beeps:?}");
    for (number, beep) in (0..).zip(beeps) {
        let late = beep - 0.5 - f64::from(number);
        assert!((-0.03..delay + 0.03).contains(&late), "{name}: beep {number} comes at {beep}");
    }
}

#[tokio::test]
async fn mpeg_audio_whose_sample_rate_changes_stays_in_time() {
    for (name, encoder, rates) in [
        ("up.mp3", "-c:a libmp3lame -write_xing 0", [32_000, 44_100, 32_000]),
        ("down.mp3", "-c:a libmp3lame -write_xing 0", [48_000, 32_000, 48_000]),
        ("up.mp2", "-c:a mp2", [32_000, 48_000, 44_100]),
    ] {
        let harness = WorkerHarness::new();
        let folder = harness.clips();
        let parts = rates.map(|rate| {
            let args = format!("{} {encoder} -ar {rate} -id3v2_version 0", beeps_source(3));
            std::fs::read(make(&folder, &format!("{rate}.{name}"), &args)).unwrap()
        });
        let job = harness.upload(name, &parts.concat()).await;
        let video = publish(harness, job, 9.0).await;
        // Each part begins with the encoder's delay, and ends with a whole frame.
        assert_beeps_every_second(&video, name, 9, 0.3);
    }
}

#[tokio::test]
async fn a_frame_of_mpeg_audio_with_a_damaged_header_does_not_move_the_sound_after_it() {
    let harness = WorkerHarness::new();
    let args = format!("{} -c:a mp2 -b:a 64k -ar 44100", beeps_source(8));
    let mut bytes = std::fs::read(make(&harness.clips(), "whole.mp2", &args)).unwrap();
    // The bits of the rate (ISO/IEC 11172-3, 2.4.2.3): 44.1 kHz becomes 32 kHz, in a frame in the sixth second.
    let middle = bytes.len() * 11 / 16;
    let header = middle + bytes[middle..].windows(2).position(|pair| pair == [0xff, 0xfd]).unwrap();
    bytes[header + 2] |= 0b1000;
    let job = harness.upload("damaged.mp2", &bytes).await;
    let video = publish(harness, job, 8.0).await;
    assert_beeps_every_second(&video, "damaged.mp2", 8, 0.03);
}

#[tokio::test]
async fn mpeg_audio_whose_times_are_off_by_milliseconds_has_no_holes() {
    let harness = WorkerHarness::new();
    let folder = harness.clips();
    make(&folder, "exact.mkv", "-f lavfi -i sine=440:r=44100:d=6 -c:a libmp3lame");
    let args = "-i exact.mkv -c copy -bsf:a setts=pts=PTS+8*mod(N\\,3):dts=DTS+8*mod(N\\,3)";
    let file = make(&folder, "jitter.mkv", args);
    let job = harness.upload_file("jitter.mkv", &file).await;
    let video = publish(harness, job, 6.0).await;
    assert_eq!(measure::holes(&video.mp4()), Vec::<String>::new());
}
