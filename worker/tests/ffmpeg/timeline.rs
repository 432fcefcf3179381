//! Frame rates, frame counts, and tracks that end at different times.

use super::clip::{audio_input, make, video_input};
use super::harness::WorkerHarness;
use super::inspect;
use super::measure::{self, H264};
use super::published::{PublishedVideo, publish, publish_clip};

#[tokio::test]
async fn motion_that_begins_late_keeps_its_frame_rate() {
    // 20 s at 5 fps, then 2 s at 30 fps, as screen recorders write it.
    let args = "-f lavfi -i testsrc2=s=160x90:r=30:d=5.33 -vf settb=1/1000,setpts='if(lt(N,100),N*200,20000+(N-100)*33.3)' \
        -enc_time_base 1/1000 -vsync passthrough -c:v libvpx -deadline realtime -f webm -live 1";
    let video = publish_clip("screen.webm", args, 22.0).await;
    let stream = inspect::stream(&video.mp4(), "v").unwrap();
    assert_eq!(stream["avg_frame_rate"], "30/1");
    assert_eq!(inspect::decode(&video.mp4()), 660);
    assert!(inspect::distinct_pictures(&video.mp4()) >= 158, "all 160 pictures but one in a second of 30.03");
}

#[tokio::test]
async fn every_container_gives_as_many_frames_as_it_holds() {
    for (name, rate, encoder) in [
        ("b.avi", 25, "-c:v mpeg4 -bf 2"),
        // A frame lasts no whole number of microseconds.
        ("b.avi", 24, "-c:v mpeg4 -bf 2"),
        ("h264.avi", 25, "-c:v libx264 -preset veryfast"),
        ("plain.avi", 25, "-c:v libx264 -preset ultrafast"),
        ("fragments.mp4", 25, "-c:v libx264 -preset veryfast -movflags frag_keyframe+empty_moov"),
        ("edits.mov", 25, "-c:v libx264 -preset veryfast"),
        ("b.mkv", 25, "-c:v mpeg4 -bf 2"),
    ] {
        let args = format!("{} -pix_fmt yuv420p {encoder}", video_input("160x90", rate, 2));
        let video = publish_clip(name, &args, 2.0).await;
        let frames = u64::from(2 * rate);
        assert_eq!(inspect::decode(&video.mp4()), frames, "{name} at {rate}");
        assert_eq!(inspect::distinct_pictures(&video.mp4()), frames, "{name} at {rate}");
    }
}

/// Asserts that picture and sound last `seconds`, within one frame.
fn assert_ends_together(video: &PublishedVideo, name: &str, seconds: f64, frame: f64) {
    for kind in ["v", "a"] {
        let stream = inspect::stream(&video.mp4(), kind).unwrap();
        let duration: f64 = stream["duration"].as_str().unwrap().parse().unwrap();
        assert!((duration - seconds).abs() <= frame, "{name}: {kind} lasts {duration}");
    }
    let media = inspect::parse(&video.master());
    let audio = video.master().parent().unwrap().join(media.alternatives[0].uri.as_ref().unwrap());
    let (_, best) = &inspect::variants(&video.master())[0];
    assert!((inspect::duration(best) - inspect::duration(&audio)).abs() <= frame, "{name}");
}

#[tokio::test]
async fn sound_that_stops_early_is_followed_by_silence() {
    for name in ["a.mp4", "a.mkv", "a.ts", "a.avi", "a.flv"] {
        let (video, audio) = (video_input("160x90", 25, 4), audio_input(300, 1));
        let args = format!("{video} {audio} {H264} -c:a aac -ar 44100");
        let published = publish_clip(name, &args, 4.0).await;
        assert_ends_together(&published, name, 4.0, 0.045);
        // The first packet of AAC begins 23 ms before the picture where the container cannot hide it.
        assert!((100..=101).contains(&inspect::decode(&published.mp4())), "{name}");
    }
}

#[tokio::test]
async fn the_last_picture_is_held_while_there_is_sound() {
    for name in ["v.mp4", "v.mkv", "v.ts", "v.avi", "v.flv"] {
        let (video, audio) = (video_input("160x90", 25, 1), audio_input(300, 4));
        let args = format!("{video} {audio} {H264} -c:a aac -ar 44100");
        let published = publish_clip(name, &args, 4.0).await;
        assert_ends_together(&published, name, 4.0, 0.06);
        // The encoder may change the held picture slightly at key frames.
        let distinct = inspect::distinct_pictures(&published.mp4());
        assert!((25..=27).contains(&distinct), "{name}: {distinct}");
    }
}

#[tokio::test]
async fn one_picture_with_music_is_as_long_as_the_music() {
    for name in ["one.mp4", "one.mkv", "one.mov"] {
        let args =
            format!("-f lavfi -i testsrc2=s=160x90:r=25:d=0.04 {} {H264} -c:a aac", audio_input(300, 12));
        let published = publish_clip(name, &args, 12.0).await;
        assert_ends_together(&published, name, 12.0, 0.1);
        assert!(published.outputs.poster_key.is_some());
    }
}

#[tokio::test]
async fn a_second_track_that_is_shorter_or_begins_later_ends_with_the_first() {
    let harness = WorkerHarness::new();
    let args = format!(
        "{} {} -itsoffset 1 {} -map 0 -map 1 -map 2 {H264} -c:a aac",
        video_input("160x90", 25, 3),
        audio_input(300, 2),
        audio_input(600, 1)
    );
    let file = make(&harness.clips(), "two.mkv", &args);
    let job = harness.upload_file("two.mkv", &file).await;
    // Checks the duration of every rendition.
    let video = publish(harness, job, 3.0).await;
    assert_eq!(inspect::parse(&video.master()).alternatives.len(), 2);
}

#[tokio::test]
async fn a_live_recording_begins_with_its_first_picture_where_only_its_sound_states_a_start() {
    let args = format!(
        "-f lavfi -i color=black:s=426x240:r=5:d=1,drawbox=t=fill:c=white:enable='between(t,0.35,0.5)' \
         -itsoffset 738ms {} {H264} -bf 0 -c:a aac -ac 6 -live 1",
        measure::beeps_source(4).replace(":d=4", ":d=3.7")
    );
    let published = publish_clip("live.mkv", &args, 4.45).await;
    assert_eq!(measure::flashes(&published.mp4()).len(), 1, "the flash comes before the sound begins");
    let beeps = measure::beeps(&published.mp4());
    assert!((beeps[0] - 1.217).abs() < 0.03, "{beeps:?}");
}

#[tokio::test]
async fn sound_with_a_short_gap_stays_in_sync_after_it() {
    // The first packet of sound is followed by the others 95 ms later than it should.
    let args = format!(
        "{} -itsoffset 116ms {} {H264} -bf 0 -c:a aac -ac 1 -g 10 -movflags +frag_keyframe+empty_moov",
        measure::flashes_source("160x90", 4),
        measure::beeps_source(4)
    );
    let published = publish_clip("fragments.mp4", &args, 4.12).await;
    assert_ends_together(&published, "fragments.mp4", 4.12, 0.045);
    for (number, beep) in (0..).zip(measure::beeps(&published.mp4())) {
        assert!((beep - 0.616 - f64::from(number)).abs() < 0.03, "beep {number} comes at {beep}");
    }
}
