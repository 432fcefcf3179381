//! Inputs that must end in `video.ready`.

use std::path::PathBuf;

use streamio_worker::storage::Presentation;

use super::clip::{make, picture, run, tone};
use super::platform::{PROCESSED, Platform};
use super::player;
use super::ready::{published, ready};

#[tokio::test]
async fn a_film_gets_rungs_sound_a_poster_and_an_mp4() {
    let args = format!(
        "{} {} -c:v libx264 -preset ultrafast -c:a aac -shortest -metadata location=+48.8584+002.2945/ -metadata title=secret-title",
        picture("854x480", 25, 5),
        tone(440, 5)
    );
    let ready = ready("film.mp4", &args, 5.0).await;
    assert_eq!(ready.sizes(), [(854, 480), (640, 360), (428, 240)]);
    let source = &ready.source;
    assert_eq!(
        (source.width, source.height, source.rotation, source.frame_rate),
        (Some(854), Some(480), 0, Some(25.0))
    );
    assert_eq!((source.video_codec.as_deref(), source.audio_codec.as_deref()), (Some("h264"), Some("aac")));

    // Two segments in each rendition, the second beginning with a key frame at 4 s.
    let (_, best) = &player::variants(&ready.master())[0];
    assert_eq!(player::key_frames(best), [0.0, 4.0]);
    let kinds = ready.platform.kinds(&ready.job).await;
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

    // What the file said about where and by whom it was made is not passed on.
    let everything = ready.platform.everything(&ready.job).await;
    assert!(!everything.contains("48.8584") && !everything.contains("secret-title"));

    let presentation = |key: &str| ready.platform.storage.presentation(PROCESSED, key);
    assert_eq!(presentation(ready.outputs.mp4_key.as_str()), Presentation::stable("video/mp4"));
    assert_eq!(
        presentation(ready.outputs.hls_key.as_str()),
        Presentation::stable("application/vnd.apple.mpegurl")
    );
    assert_eq!(
        presentation(ready.outputs.poster_key.as_ref().unwrap().as_str()),
        Presentation::stable("image/jpeg")
    );
    let prefix = ready.job.s3_key.processed().attempt_prefix(1, 1);
    assert_eq!(presentation(&format!("{prefix}480p/00001.m4s")), Presentation::immutable("video/mp4"));
    assert_eq!(presentation(&format!("{prefix}audio-1/00001.m4s")), Presentation::immutable("audio/mp4"));
    assert!(!ready.platform.storage.keys(PROCESSED).contains(&format!("{prefix}progressive.mp4")));
}

#[tokio::test]
async fn a_film_without_sound_is_ready() {
    let ready =
        ready("silent.mp4", &format!("{} -c:v libx264 -preset ultrafast", picture("320x240", 25, 2)), 2.0)
            .await;
    assert_eq!((ready.sizes(), ready.source.audio_codec), (vec![(320, 240)], None));
}

#[tokio::test]
async fn sound_without_a_picture_is_ready() {
    let ready = ready("sound.mp3", &format!("{} -c:a libmp3lame", tone(440, 5)), 5.0).await;
    assert_eq!((ready.outputs.renditions.len(), ready.source.width, ready.source.rotation), (1, None, 0));
    assert_eq!(
        ready.platform.storage.presentation(PROCESSED, ready.outputs.mp4_key.as_str()).content_type,
        "audio/mp4"
    );
}

#[tokio::test]
async fn sound_with_cover_art_is_sound() {
    let platform = Platform::new();
    let cover = make(&platform.workshop(), "cover.png", "-f lavfi -i testsrc2=size=600x600 -frames:v 1");
    let args = format!(
        "{} -i {} -map 0 -map 1 -c:a libmp3lame -c:v copy -disposition:v attached_pic",
        tone(440, 2),
        cover.display()
    );
    let clip = make(&platform.workshop(), "song.mp3", &args);
    let job = platform.upload_file("song.mp3", &clip).await;
    let ready = published(platform, job, 2.0).await;
    assert_eq!((ready.source.width, ready.outputs.poster_key), (None, None));
}

#[tokio::test]
async fn a_portrait_by_metadata_stays_upright() {
    let platform = Platform::new();
    let lying = make(
        &platform.workshop(),
        "lying.mp4",
        "-f lavfi -i color=red:size=320x180:rate=25:duration=2 -vf drawbox=x=0:y=0:w=160:h=180:color=white:t=fill \
         -c:v libx264 -preset ultrafast",
    );
    // The matrix of a telephone held upright: a quarter clockwise (ISO/IEC 14496-12, 8.3.2.3; 36 bytes, 44 into the box).
    let mut bytes = std::fs::read(lying).unwrap();
    let header = bytes.windows(4).position(|window| window == b"tkhd").unwrap();
    let matrix: [i32; 9] = [0, 1 << 16, 0, -1 << 16, 0, 0, 180 << 16, 0, 1 << 30];
    for (position, value) in matrix.into_iter().enumerate() {
        bytes[header + 44 + position * 4..][..4].copy_from_slice(&value.to_be_bytes());
    }
    let job = platform.upload("CLIP.MOV", &bytes).await;
    let ready = published(platform, job, 2.0).await;
    assert_eq!((ready.source.width, ready.source.height, ready.source.rotation), (Some(180), Some(320), 90));
    assert_eq!(ready.sizes(), [(180, 320)]);
    // Turned clockwise, the left half is the upper half.
    let poster = ready.path(ready.outputs.poster_key.as_ref().unwrap().as_str());
    let half = |y: u32| {
        make(
            &ready.platform.workshop(),
            &format!("half-{y}.png"),
            &format!("-i {} -vf crop=180:160:0:{y}", poster.display()),
        )
    };
    let (upper, lower) = (player::brightness(&half(0)), player::brightness(&half(160)));
    assert!(upper > 200.0 && lower < 120.0, "upper {upper}, lower {lower}");
    assert_eq!(ready.outputs.mp4_key.as_str(), "processed/acme/CLIP.MOV");
    // The pixels are turned: a player must not turn them again.
    assert!(player::stream(&ready.mp4(), "v").unwrap()["side_data_list"].is_null());
}

#[tokio::test]
async fn odd_sizes_become_even_without_being_enlarged() {
    let args = format!(
        "{} {} -vf format=yuv444p,crop=331:247 -c:v ffv1 -c:a flac",
        picture("332x248", 25, 2),
        tone(300, 2)
    );
    let ready = ready("odd.mkv", &args, 2.0).await;
    assert_eq!((ready.source.width, ready.source.height), (Some(331), Some(247)));
    assert_eq!(ready.sizes(), [(330, 246)]);
}

#[tokio::test]
async fn a_picture_smaller_than_the_lowest_rung_is_not_enlarged() {
    let args =
        format!("{} {} -c:v libx264 -preset ultrafast -c:a aac", picture("96x64", 10, 2), tone(300, 2));
    let ready = ready("small.mp4", &args, 2.0).await;
    assert_eq!((ready.sizes(), ready.source.frame_rate), (vec![(96, 64)], Some(10.0)));
}

#[tokio::test]
async fn a_variable_frame_rate_becomes_constant_and_keeps_its_length() {
    // Frames 0, 1, 3, 4, 6, 7, … of 30 a second, and a still second in the middle.
    let args = format!(
        "{} {} -vf select=(not(eq(mod(n\\,3)\\,2)))*(not(between(n\\,30\\,59))) -fps_mode vfr -c:v libx264 -preset ultrafast -c:a aac",
        picture("320x240", 30, 3),
        tone(300, 3)
    );
    let ready = ready("vfr.mp4", &args, 3.0).await;
    let stream = player::stream(&ready.mp4(), "v").unwrap();
    assert_eq!(
        (stream["r_frame_rate"].as_str(), stream["avg_frame_rate"].as_str()),
        (Some("30/1"), Some("30/1"))
    );
    assert!(ready.source.frame_rate.unwrap() < 25.0);
}

#[tokio::test]
async fn ten_bits_become_eight() {
    let args = format!(
        "{} {} -pix_fmt yuv420p10le -c:v libx265 -preset ultrafast -x265-params log-level=none -c:a aac",
        picture("320x240", 25, 2),
        tone(300, 2)
    );
    let ready = ready("ten.mp4", &args, 2.0).await;
    assert_eq!(ready.source.video_codec.as_deref(), Some("hevc"));
}

#[tokio::test]
async fn a_high_dynamic_range_is_mapped_to_standard() {
    // A grey that means 100 nits in PQ: about half of its code values, and the white of a standard display.
    let args = "-f lavfi -i color=0x828282:size=320x240:rate=25:duration=2,format=yuv420p10le -c:v libx265 -preset ultrafast \
        -x265-params log-level=none:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc -color_primaries bt2020 \
        -color_trc smpte2084 -colorspace bt2020nc";
    let ready = ready("hdr.mp4", args, 2.0).await;
    let stream = player::stream(&ready.mp4(), "v").unwrap();
    assert_eq!(
        (
            stream["color_transfer"].as_str(),
            stream["color_primaries"].as_str(),
            stream["color_space"].as_str()
        ),
        (Some("bt709"), Some("bt709"), Some("bt709"))
    );
    let poster = ready.path(ready.outputs.poster_key.as_ref().unwrap().as_str());
    let brightness = player::brightness(&poster);
    assert!((150.0..250.0).contains(&brightness), "plainly converted it would be 130: {brightness}");
}

#[tokio::test]
async fn fields_become_frames() {
    let args = format!(
        "{} -vf interlace -flags +ilme+ildct -c:v mpeg2video -b:v 2M -aspect 16:9",
        picture("352x288", 50, 2)
    );
    let ready = ready("fields.ts", &args, 2.0).await;
    // Pixels that are not square are made so.
    assert_eq!(ready.sizes(), [(512, 288)]);
    let stream = player::stream(&ready.mp4(), "v").unwrap();
    assert_eq!(
        (stream["avg_frame_rate"].as_str(), stream["field_order"].as_str()),
        (Some("25/1"), Some("progressive"))
    );
}

#[tokio::test]
async fn frames_are_at_most_sixty_a_second() {
    let ready =
        ready("fast.mp4", &format!("{} -c:v libx264 -preset ultrafast", picture("160x120", 120, 1)), 1.0)
            .await;
    let stream = player::stream(&ready.mp4(), "v").unwrap();
    assert_eq!((stream["avg_frame_rate"].as_str(), ready.source.frame_rate), (Some("60/1"), Some(120.0)));
}

#[tokio::test]
async fn a_stream_without_timestamps_or_length_is_ready() {
    let ready = ready(
        "raw.h264",
        &format!("{} -c:v libx264 -preset ultrafast -f h264", picture("160x120", 25, 2)),
        2.0,
    )
    .await;
    assert_eq!(ready.sizes(), [(160, 120)]);
}

#[tokio::test]
async fn every_track_of_sound_is_a_rendition_with_its_language() {
    let args = format!(
        "{} {} {} -map 0 -map 1 -map 2 -c:v libx264 -preset ultrafast -c:a aac -metadata:s:a:0 language=eng \
         -metadata:s:a:1 language=fra -disposition:a:0 0 -disposition:a:1 default",
        picture("160x120", 25, 2),
        tone(300, 2),
        tone(600, 2)
    );
    let ready = ready("tracks.mp4", &args, 2.0).await;
    let playlist = player::parse(&ready.master());
    let tracks: Vec<_> = playlist
        .alternatives
        .iter()
        .map(|track| (track.language.as_deref(), track.name.as_str(), track.default))
        .collect();
    assert_eq!(tracks, [(Some("fra"), "fra", true), (Some("eng"), "eng", false)]);
    assert_eq!(player::stream(&ready.mp4(), "a").unwrap()["tags"]["language"], "fra");
}

#[tokio::test]
async fn sound_that_begins_late_stays_in_step_with_the_picture() {
    let args = format!(
        "{} -itsoffset 1 {} -c:v libx264 -preset ultrafast -c:a aac",
        picture("160x120", 25, 3),
        tone(300, 2)
    );
    let ready = ready("late.mkv", &args, 3.0).await;
    let args = [
        "-v",
        "info",
        "-nostdin",
        "-i",
        ready.mp4().to_str().unwrap(),
        "-af",
        "silencedetect=noise=-40dB:d=0.3",
        "-f",
        "null",
        "-",
    ]
    .map(str::to_owned);
    let output = run("ffmpeg", &ready.platform.workshop(), args);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let end: f64 =
        text.split("silence_end: ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap();
    assert!((end - 1.0).abs() < 0.05, "the sound begins at {end}");
}

#[tokio::test]
async fn the_poster_is_not_the_black_before_the_film() {
    let args = format!(
        "-f lavfi -i color=black:size=160x120:rate=25:duration=1 {} -filter_complex [0:v][1:v]concat=n=2 -c:v libx264 -preset ultrafast",
        picture("160x120", 25, 4)
    );
    let ready = ready("black.mp4", &args, 5.0).await;
    let brightness = player::brightness(&ready.path(ready.outputs.poster_key.as_ref().unwrap().as_str()));
    assert!(brightness > 40.0, "{brightness}");
}

/// One of the clips of real film that `cargo xtask clips` fetches.
fn real_film(name: &str) -> PathBuf {
    let folder = std::env::var_os("STREAMIO_CLIPS");
    let folder =
        folder.expect("STREAMIO_CLIPS is not set: run STREAMIO_CLIPS=$(cargo xtask clips) cargo test …");
    PathBuf::from(folder).join(name)
}

#[tokio::test]
async fn a_real_film_with_surround_sound_is_ready() {
    let platform = Platform::new();
    let job = platform.upload_file("bigbuckbunny.mp4", &real_film("bigbuckbunny.mp4")).await;
    let ready = published(platform, job, 5.3).await;
    assert_eq!(ready.sizes(), [(1280, 720), (854, 480), (640, 360), (426, 240)]);
    assert_eq!(player::stream(&ready.mp4(), "a").unwrap()["channels"], 2);
}

#[tokio::test]
async fn a_real_film_in_a_wide_shape_is_ready() {
    let platform = Platform::new();
    let job = platform.upload_file("bikes.mp4", &real_film("bikes.mp4")).await;
    let ready = published(platform, job, 10.0).await;
    assert_eq!(ready.sizes(), [(640, 272)]);
}

#[tokio::test]
async fn a_film_of_one_frame_is_ready() {
    let args = "-f lavfi -i testsrc2=size=160x120:rate=25 -frames:v 1 -c:v libx264 -preset ultrafast";
    let ready = ready("one.mp4", args, 0.04).await;
    assert_eq!(ready.sizes(), [(160, 120)]);
}

#[tokio::test]
async fn a_strip_of_two_pixels_is_ready() {
    let args = "-f lavfi -i color=red:size=200x2:rate=25:duration=1 -c:v ffv1";
    assert_eq!(ready("strip.mkv", args, 1.0).await.sizes(), [(200, 2)]);
}

#[tokio::test]
async fn a_picture_that_ends_before_its_sound_is_ready() {
    let args =
        format!("{} {} -c:v libx264 -preset ultrafast -c:a aac", picture("160x120", 25, 1), tone(300, 4));
    let platform = Platform::new();
    let clip = make(&platform.workshop(), "short.mp4", &args);
    let job = platform.upload_file("clip.bin", &clip).await;
    let ended = platform.run(&job).await;
    assert!(matches!(ended, streamio_worker::run::Ended::Published), "{ended:?}");
    let mp4 = platform.storage.path(PROCESSED, "processed/acme/clip.bin");
    assert!((player::duration(&mp4) - 4.0).abs() < 0.25);
    assert_eq!(player::decode(&mp4), 25);
}
