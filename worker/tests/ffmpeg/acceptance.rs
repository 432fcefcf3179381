//! Sources that must end in `video.ready`.

use std::path::PathBuf;

use streamio_worker::storage::ObjectHeaders;

use super::clip::{audio_input, make, run, video_input};
use super::harness::{PROCESSED, WorkerHarness};
use super::inspect;
use super::published::{publish, publish_clip};

#[tokio::test]
async fn a_video_with_audio_gets_all_rungs_audio_a_poster_and_an_mp4() {
    let args = format!(
        "{} {} -c:v libx264 -preset ultrafast -c:a aac -shortest -metadata location=+48.8584+002.2945/ -metadata title=secret-title",
        video_input("854x480", 25, 5),
        audio_input(440, 5)
    );
    let video = publish_clip("clip.mp4", &args, 5.0).await;
    assert_eq!(video.sizes(), [(854, 480), (640, 360), (428, 240)]);
    let source = &video.source;
    assert_eq!(
        (source.width, source.height, source.rotation, source.frame_rate),
        (Some(854), Some(480), 0, Some(25.0))
    );
    assert_eq!((source.video_codec.as_deref(), source.audio_codec.as_deref()), (Some("h264"), Some("aac")));

    // Two segments in each rendition, the second beginning with a key frame at 4 s.
    let (_, best) = &inspect::variants(&video.master())[0];
    assert_eq!(inspect::key_frames(best), [0.0, 4.0]);
    let kinds = video.harness.kinds(&video.job).await;
    let steps: Vec<_> = kinds.iter().filter(|kind| *kind != "processing.progressed").collect();
    assert_eq!(
        steps,
        [
            "upload.completed",
            "processing.dispatched",
            "processing.started",
            "processing.completed",
            "video.ready"
        ]
    );

    // Location and title from the source's metadata are not in any output.
    let output = video.harness.all_output(&video.job).await;
    assert!(!output.contains("48.8584") && !output.contains("secret-title"));

    let headers = |key: &str| video.harness.storage.headers(PROCESSED, key);
    assert_eq!(headers(video.outputs.mp4_key.as_str()), ObjectHeaders::stable("video/mp4"));
    assert_eq!(
        headers(video.outputs.hls_key.as_str()),
        ObjectHeaders::stable("application/vnd.apple.mpegurl")
    );
    assert_eq!(
        headers(video.outputs.poster_key.as_ref().unwrap().as_str()),
        ObjectHeaders::stable("image/jpeg")
    );
    let prefix = video.job.s3_key.processed().attempt_prefix(1, 1);
    assert_eq!(headers(&format!("{prefix}480p/00001.m4s")), ObjectHeaders::immutable("video/mp4"));
    assert_eq!(headers(&format!("{prefix}audio-1/00001.m4s")), ObjectHeaders::immutable("audio/mp4"));
    assert!(!video.harness.storage.keys(PROCESSED).contains(&format!("{prefix}progressive.mp4")));
}

#[tokio::test]
async fn a_video_without_audio_is_published() {
    let video = publish_clip(
        "silent.mp4",
        &format!("{} -c:v libx264 -preset ultrafast", video_input("320x240", 25, 2)),
        2.0,
    )
    .await;
    assert_eq!((video.sizes(), video.source.audio_codec), (vec![(320, 240)], None));
}

#[tokio::test]
async fn audio_without_video_is_published() {
    let video = publish_clip("audio.mp3", &format!("{} -c:a libmp3lame", audio_input(440, 5)), 5.0).await;
    assert_eq!((video.outputs.renditions.len(), video.source.width, video.source.rotation), (1, None, 0));
    assert_eq!(
        video.harness.storage.headers(PROCESSED, video.outputs.mp4_key.as_str()).content_type,
        "audio/mp4"
    );
}

#[tokio::test]
async fn audio_with_cover_art_is_published_as_audio() {
    let harness = WorkerHarness::new();
    let cover = make(&harness.clips(), "cover.png", "-f lavfi -i testsrc2=size=600x600 -frames:v 1");
    let args = format!(
        "{} -i {} -map 0 -map 1 -c:a libmp3lame -c:v copy -disposition:v attached_pic",
        audio_input(440, 2),
        cover.display()
    );
    let clip = make(&harness.clips(), "song.mp3", &args);
    let job = harness.upload_file("song.mp3", &clip).await;
    let video = publish(harness, job, 2.0).await;
    assert_eq!((video.source.width, video.outputs.poster_key), (None, None));
}

#[tokio::test]
async fn rotation_metadata_is_applied() {
    let harness = WorkerHarness::new();
    let unrotated = make(
        &harness.clips(),
        "unrotated.mp4",
        "-f lavfi -i color=red:size=320x180:rate=25:duration=2 -vf drawbox=x=0:y=0:w=160:h=180:color=white:t=fill \
         -c:v libx264 -preset ultrafast",
    );
    // The display matrix of a phone held upright: a quarter turn clockwise (ISO/IEC 14496-12, 8.3.2.3; 36 bytes at offset 44).
    let mut bytes = std::fs::read(unrotated).unwrap();
    let header = bytes.windows(4).position(|window| window == b"tkhd").unwrap();
    let matrix: [i32; 9] = [0, 1 << 16, 0, -1 << 16, 0, 0, 180 << 16, 0, 1 << 30];
    for (position, value) in matrix.into_iter().enumerate() {
        bytes[header + 44 + position * 4..][..4].copy_from_slice(&value.to_be_bytes());
    }
    let job = harness.upload("CLIP.MOV", &bytes).await;
    let video = publish(harness, job, 2.0).await;
    assert_eq!((video.source.width, video.source.height, video.source.rotation), (Some(180), Some(320), 90));
    assert_eq!(video.sizes(), [(180, 320)]);
    // After the clockwise rotation the left half is at the top.
    let poster = video.path(video.outputs.poster_key.as_ref().unwrap().as_str());
    let half = |y: u32| {
        make(
            &video.harness.clips(),
            &format!("half-{y}.png"),
            &format!("-i {} -vf crop=180:160:0:{y}", poster.display()),
        )
    };
    let (upper, lower) = (inspect::brightness(&half(0)), inspect::brightness(&half(160)));
    assert!(upper > 200.0 && lower < 120.0, "upper {upper}, lower {lower}");
    assert_eq!(video.outputs.mp4_key.as_str(), "processed/acme/CLIP.MOV");
    // The pixels are rotated, so the output must not have a display matrix.
    assert!(inspect::stream(&video.mp4(), "v").unwrap()["side_data_list"].is_null());
}

#[tokio::test]
async fn odd_sizes_are_rounded_down_to_even_ones() {
    let args = format!(
        "{} {} -vf format=yuv444p,crop=331:247 -c:v ffv1 -c:a flac",
        video_input("332x248", 25, 2),
        audio_input(300, 2)
    );
    let video = publish_clip("odd.mkv", &args, 2.0).await;
    assert_eq!((video.source.width, video.source.height), (Some(331), Some(247)));
    assert_eq!(video.sizes(), [(330, 246)]);
}

#[tokio::test]
async fn a_video_smaller_than_the_lowest_rung_is_not_enlarged() {
    let args = format!(
        "{} {} -c:v libx264 -preset ultrafast -c:a aac",
        video_input("96x64", 10, 2),
        audio_input(300, 2)
    );
    let video = publish_clip("small.mp4", &args, 2.0).await;
    assert_eq!((video.sizes(), video.source.frame_rate), (vec![(96, 64)], Some(10.0)));
}

#[tokio::test]
async fn a_variable_frame_rate_becomes_constant_and_the_duration_is_kept() {
    // Frames 0, 1, 3, 4, 6, 7, … at 30 fps, and one second without a frame in the middle.
    let args = format!(
        "{} {} -vf select=(not(eq(mod(n\\,3)\\,2)))*(not(between(n\\,30\\,59))) -fps_mode vfr -c:v libx264 -preset ultrafast -c:a aac",
        video_input("320x240", 30, 3),
        audio_input(300, 3)
    );
    let video = publish_clip("vfr.mp4", &args, 3.0).await;
    let stream = inspect::stream(&video.mp4(), "v").unwrap();
    assert_eq!(
        (stream["r_frame_rate"].as_str(), stream["avg_frame_rate"].as_str()),
        (Some("30/1"), Some("30/1"))
    );
    assert!(video.source.frame_rate.unwrap() < 25.0);
}

#[tokio::test]
async fn ten_bit_video_is_converted_to_eight_bits() {
    let args = format!(
        "{} {} -pix_fmt yuv420p10le -c:v libx265 -preset ultrafast -x265-params log-level=none -c:a aac",
        video_input("320x240", 25, 2),
        audio_input(300, 2)
    );
    let video = publish_clip("ten.mp4", &args, 2.0).await;
    assert_eq!(video.source.video_codec.as_deref(), Some("hevc"));
}

#[tokio::test]
async fn hdr_is_tone_mapped_to_sdr() {
    // A grey of 100 nits in PQ: about half of the code range, and the white level of a standard display.
    let args = "-f lavfi -i color=0x828282:size=320x240:rate=25:duration=2,format=yuv420p10le -c:v libx265 -preset ultrafast \
        -x265-params log-level=none:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc -color_primaries bt2020 \
        -color_trc smpte2084 -colorspace bt2020nc";
    let video = publish_clip("hdr.mp4", args, 2.0).await;
    let stream = inspect::stream(&video.mp4(), "v").unwrap();
    assert_eq!(
        (
            stream["color_transfer"].as_str(),
            stream["color_primaries"].as_str(),
            stream["color_space"].as_str()
        ),
        (Some("bt709"), Some("bt709"), Some("bt709"))
    );
    let poster = video.path(video.outputs.poster_key.as_ref().unwrap().as_str());
    let brightness = inspect::brightness(&poster);
    assert!((150.0..250.0).contains(&brightness), "without tone mapping it would be 130: {brightness}");
}

#[tokio::test]
async fn interlaced_video_is_deinterlaced() {
    let args = format!(
        "{} -vf interlace -flags +ilme+ildct -c:v mpeg2video -b:v 2M -aspect 16:9",
        video_input("352x288", 50, 2)
    );
    let video = publish_clip("fields.ts", &args, 2.0).await;
    // Non-square pixels are converted to square ones.
    assert_eq!(video.sizes(), [(512, 288)]);
    let stream = inspect::stream(&video.mp4(), "v").unwrap();
    assert_eq!(
        (stream["avg_frame_rate"].as_str(), stream["field_order"].as_str()),
        (Some("25/1"), Some("progressive"))
    );
}

#[tokio::test]
async fn the_frame_rate_is_limited_to_60() {
    let video = publish_clip(
        "fast.mp4",
        &format!("{} -c:v libx264 -preset ultrafast", video_input("160x120", 120, 1)),
        1.0,
    )
    .await;
    let stream = inspect::stream(&video.mp4(), "v").unwrap();
    assert_eq!((stream["avg_frame_rate"].as_str(), video.source.frame_rate), (Some("60/1"), Some(120.0)));
}

#[tokio::test]
async fn a_stream_without_timestamps_or_duration_is_published() {
    let video = publish_clip(
        "raw.h264",
        &format!("{} -c:v libx264 -preset ultrafast -f h264", video_input("160x120", 25, 2)),
        2.0,
    )
    .await;
    assert_eq!(video.sizes(), [(160, 120)]);
}

#[tokio::test]
async fn every_audio_track_is_a_rendition_with_its_language() {
    let args = format!(
        "{} {} {} -map 0 -map 1 -map 2 -c:v libx264 -preset ultrafast -c:a aac -metadata:s:a:0 language=eng \
         -metadata:s:a:1 language=fra -disposition:a:0 0 -disposition:a:1 default",
        video_input("160x120", 25, 2),
        audio_input(300, 2),
        audio_input(600, 2)
    );
    let video = publish_clip("tracks.mp4", &args, 2.0).await;
    let playlist = inspect::parse(&video.master());
    let tracks: Vec<_> = playlist
        .alternatives
        .iter()
        .map(|track| (track.language.as_deref(), track.name.as_str(), track.default))
        .collect();
    assert_eq!(tracks, [(Some("fra"), "fra", true), (Some("eng"), "eng", false)]);
    assert_eq!(inspect::stream(&video.mp4(), "a").unwrap()["tags"]["language"], "fra");
}

#[tokio::test]
async fn audio_that_begins_late_stays_in_sync() {
    let args = format!(
        "{} -itsoffset 1 {} -c:v libx264 -preset ultrafast -c:a aac",
        video_input("160x120", 25, 3),
        audio_input(300, 2)
    );
    let video = publish_clip("late.mkv", &args, 3.0).await;
    let args = [
        "-v",
        "info",
        "-nostdin",
        "-i",
        video.mp4().to_str().unwrap(),
        "-af",
        "silencedetect=noise=-40dB:d=0.3",
        "-f",
        "null",
        "-",
    ]
    .map(str::to_owned);
    let output = run("ffmpeg", &video.harness.clips(), args);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let end: f64 =
        text.split("silence_end: ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap();
    assert!((end - 1.0).abs() < 0.05, "the audio begins at {end}");
}

#[tokio::test]
async fn the_poster_is_not_a_black_frame_at_the_beginning() {
    let args = format!(
        "-f lavfi -i color=black:size=160x120:rate=25:duration=1 {} -filter_complex [0:v][1:v]concat=n=2 -c:v libx264 -preset ultrafast",
        video_input("160x120", 25, 4)
    );
    let video = publish_clip("black.mp4", &args, 5.0).await;
    let brightness = inspect::brightness(&video.path(video.outputs.poster_key.as_ref().unwrap().as_str()));
    assert!(brightness > 40.0, "{brightness}");
}

/// The path of a camera-recorded or rendered clip that `cargo xtask clips` downloads.
fn downloaded_clip(name: &str) -> PathBuf {
    let folder = std::env::var_os("STREAMIO_CLIPS");
    let folder =
        folder.expect("STREAMIO_CLIPS is not set: run STREAMIO_CLIPS=$(cargo xtask clips) cargo test …");
    PathBuf::from(folder).join(name)
}

#[tokio::test]
async fn a_downloaded_clip_with_surround_sound_is_published() {
    let harness = WorkerHarness::new();
    let job = harness.upload_file("bigbuckbunny.mp4", &downloaded_clip("bigbuckbunny.mp4")).await;
    let video = publish(harness, job, 5.3).await;
    assert_eq!(video.sizes(), [(1280, 720), (854, 480), (640, 360), (426, 240)]);
    assert_eq!(inspect::stream(&video.mp4(), "a").unwrap()["channels"], 2);
}

#[tokio::test]
async fn a_downloaded_wide_clip_is_published() {
    let harness = WorkerHarness::new();
    let job = harness.upload_file("bikes.mp4", &downloaded_clip("bikes.mp4")).await;
    let video = publish(harness, job, 10.0).await;
    assert_eq!(video.sizes(), [(640, 272)]);
}

#[tokio::test]
async fn a_video_with_one_frame_is_published() {
    let args = "-f lavfi -i testsrc2=size=160x120:rate=25 -frames:v 1 -c:v libx264 -preset ultrafast";
    let video = publish_clip("one.mp4", args, 0.04).await;
    assert_eq!(video.sizes(), [(160, 120)]);
}

#[tokio::test]
async fn a_video_two_pixels_high_is_published() {
    let args = "-f lavfi -i color=red:size=200x2:rate=25:duration=1 -c:v ffv1";
    assert_eq!(publish_clip("strip.mkv", args, 1.0).await.sizes(), [(200, 2)]);
}
