//! Files made to take the machine: each ends with a typed error in one attempt.

use std::time::{Duration, Instant};

use super::clip::make;
use super::refusals::code;

fn clip(name: &str, args: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::read(make(directory.path(), name, args)).unwrap()
}

#[tokio::test]
async fn a_file_with_thousands_of_pictures_in_a_moment_is_too_complex() {
    let pictures = "-f lavfi -i testsrc2=s=64x36:r=100:d=30 -vf settb=1/100000,setpts=N -vsync passthrough -enc_time_base 1/100000";
    for name in ["dense.mov", "dense.nut"] {
        let dense = clip(name, &format!("{pictures} -video_track_timescale 100000 -c:v mjpeg -q:v 31"));
        assert_eq!(code(name, &dense).await, "too_complex", "{name}");
    }
}

#[tokio::test]
async fn a_file_with_hundreds_of_streams_is_refused() {
    let maps = "-map 0 ".repeat(300);
    let many = clip("many.mov", &format!("-f lavfi -i sine=440:r=8000:d=0.1 {maps} -c:a pcm_s16le"));
    assert_eq!(code("many.mov", &many).await, "too_many_streams");
}

#[tokio::test]
async fn pictures_that_grow_beyond_the_limit_in_mid_stream_are_not_decoded() {
    let small = clip("small.mjpeg", "-f lavfi -i color=s=64x64:r=5:d=1 -c:v mjpeg");
    // Sizes are in the start of frame: 16 bits each.
    let large = small.clone();
    let mut large = large;
    for position in 0..large.len() - 9 {
        if large[position..position + 2] == [0xff, 0xc0] {
            large[position + 5..position + 9].copy_from_slice(&[0x40, 0, 0x40, 0]);
        }
    }
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("grow.mjpeg"), [small, large.repeat(4)].concat()).unwrap();
    let growing = make(directory.path(), "grow.avi", "-f mjpeg -r 5 -i grow.mjpeg -c copy");
    let started_at = Instant::now();
    let code = code("grow.avi", &std::fs::read(growing).unwrap()).await;
    assert!(["frame_too_large", "corrupt"].contains(&&*code), "{code}");
    assert!(started_at.elapsed() < Duration::from_mins(2));
}

#[tokio::test]
async fn an_index_that_declares_billions_of_samples_does_not_take_the_memory() {
    let mut video = clip("video.mov", "-f lavfi -i testsrc2=s=64x36:r=25:d=1 -c:v mjpeg");
    // 170 million pictures of one byte each, in one chunk and one run: FFmpeg keeps 24 bytes for each.
    let count = 170_000_000u32.to_be_bytes();
    let mut patch = |kind: &[u8; 4], offset: usize, bytes: &[u8]| {
        let position = video.windows(4).position(|window| window == kind).unwrap() + offset;
        video[position..position + bytes.len()].copy_from_slice(bytes);
    };
    patch(b"stsz", 8, &[&[0, 0, 0, 1], &count[..]].concat());
    patch(b"stts", 12, &count);
    patch(b"stsc", 16, &count);
    let started_at = Instant::now();
    let code = code("video.mov", &video).await;
    assert!(["no_streams", "corrupt", "too_complex", "too_long"].contains(&&*code), "{code}");
    assert!(started_at.elapsed() < Duration::from_mins(1));
}

#[tokio::test]
async fn a_picture_that_is_too_large_to_be_probed_is_a_fault_of_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let clip = make(directory.path(), "large.mkv", "-f lavfi -i color=black:s=9000x9000:r=1:d=1 -c:v ffv1");
    assert_eq!(code("large.mkv", &std::fs::read(clip).unwrap()).await, "frame_too_large");
}
