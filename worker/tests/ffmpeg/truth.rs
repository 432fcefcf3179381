//! Durations are measured in the media: headers are often wrong in whole files.

use streamio_events::event::EventBody;

use super::clip::make;
use super::harness::WorkerHarness;
use super::inspect;
use super::published::{PublishedVideo, publish, publish_clip};

const X264: &str = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p";

fn pattern(seconds: u32) -> String {
    format!("-f lavfi -i testsrc2=s=160x90:r=25:d={seconds}")
}

async fn publish_bytes(bytes: &[u8], seconds: f64) -> PublishedVideo {
    let harness = WorkerHarness::new();
    let job = harness.upload("clip.bin", bytes).await;
    publish(harness, job, seconds).await
}

#[tokio::test]
async fn a_matroska_file_whose_header_states_another_duration_is_published_with_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    // A part of a recording that was split: its timestamps begin at 4 s.
    make(path, "part%d.mkv", &format!("{} {X264} -g 100 -f segment -segment_time 4", pattern(12)));
    publish_bytes(&std::fs::read(path.join("part1.mkv")).unwrap(), 4.0).await;

    std::fs::write(path.join("late.srt"), "1\n00:01:00,000 --> 00:01:30,000\nThe end\n").unwrap();
    let subtitled = make(path, "subtitled.mkv", &format!("{} -i late.srt {X264} -c:s subrip", pattern(2)));
    publish_bytes(&std::fs::read(subtitled).unwrap(), 2.0).await;

    let mut patched = std::fs::read(make(path, "patched.mkv", &format!("{} {X264}", pattern(2)))).unwrap();
    // The element Duration: a double of milliseconds.
    let position = patched.windows(3).position(|window| window == [0x44, 0x89, 0x88]).unwrap() + 3;
    patched[position..position + 8].copy_from_slice(&36_000_000f64.to_be_bytes());
    publish_bytes(&patched, 2.0).await;
}

#[tokio::test]
async fn durations_that_containers_only_guess_are_measured() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    // Loud at the beginning and silent afterwards: the bit rate of the beginning says nothing about the rest.
    let uneven = "-f lavfi -i aevalsrc=if(lt(t\\,1)\\,random(0)\\,0):s=44100:d=20";
    for (name, args) in
        [("a.aac", "-c:a aac -q:a 2"), ("a.mp3", "-c:a libmp3lame -q:a 5 -write_xing 0 -id3v2_version 0")]
    {
        let file = make(path, name, &format!("{uneven} {args}"));
        let stated = inspect::duration(&file);
        assert!((stated - 20.0).abs() > 1.0, "{name}: the guess of {stated} s happens to be right");
        publish_bytes(&std::fs::read(file).unwrap(), 20.0).await;
    }
    let raw = make(path, "a.h264", &format!("{} {X264} -f h264", pattern(4)));
    publish_bytes(&std::fs::read(raw).unwrap(), 4.0).await;
}

#[tokio::test]
async fn joined_and_jumping_transport_streams_have_the_duration_of_their_parts() {
    let directory = tempfile::tempdir().unwrap();
    let part = |name: &str, offset: u32| {
        let args = format!(
            "{} -f lavfi -i sine=440:r=48000:d=3 {X264} -c:a aac -output_ts_offset {offset}",
            pattern(3)
        );
        std::fs::read(make(directory.path(), name, &args)).unwrap()
    };
    let (early, late) = (part("early.ts", 0), part("late.ts", 3600));
    for joined in [[&*early, &early], [&early, &late], [&late, &early]] {
        publish_bytes(&joined.concat(), 6.0).await;
    }
    // The counter of 33 bits wraps after 26.5 hours.
    publish_bytes(&part("wrapped.ts", 95_442), 3.0).await;
}

#[tokio::test]
async fn too_long_is_decided_by_the_measured_duration() {
    let directory = tempfile::tempdir().unwrap();
    let args = format!("{} {X264} -c:a aac", pattern(3));
    let early = std::fs::read(make(directory.path(), "a.ts", &args)).unwrap();
    let late =
        std::fs::read(make(directory.path(), "b.ts", &format!("{args} -output_ts_offset 3600"))).unwrap();
    let jumping = [early, late].concat();
    for (limit, ends_as) in [(7, "video.ready"), (5, "processing.failed")] {
        let mut harness = WorkerHarness::new();
        harness.policy.limits.max_duration_seconds = limit;
        let job = harness.upload("clip.ts", &jumping).await;
        harness.run(&job).await;
        assert_eq!(harness.kinds(&job).await.last().unwrap(), ends_as, "limit {limit}");
        if let Some(EventBody::ProcessingFailed(failed)) = harness.bodies(&job).await.pop() {
            assert_eq!(failed.error.code, "too_long");
        }
    }
}

#[tokio::test]
async fn a_declared_track_without_packets_is_left_out() {
    let silent =
        format!("{} -f lavfi -i sine=440:r=48000:d=2 {X264} -c:a libopus -bsf:a noise=drop=1", pattern(2));
    let video = publish_clip("silent.mkv", &silent, 2.0).await;
    assert_eq!(
        (video.source.audio_codec.as_deref(), video.source.video_codec.as_deref()),
        (None, Some("h264"))
    );

    let dark =
        format!("{} -f lavfi -i sine=440:r=48000:d=2 {X264} -c:a libopus -bsf:v noise=drop=1", pattern(2));
    let sound = publish_clip("dark.mkv", &dark, 2.0).await;
    assert_eq!(
        (sound.source.audio_codec.as_deref(), sound.source.video_codec.as_deref()),
        (Some("opus"), None)
    );

    // The same in an MP4, whose index is read instead of its packets, and beside a track with sound.
    let second = format!(
        "{} -f lavfi -i sine=440:r=48000:d=2 {X264} -map 0 -map 1 -map 1 -c:a aac -bsf:a:0 noise=drop=1",
        pattern(2)
    );
    let video = publish_clip("second.mp4", &second, 2.0).await;
    assert_eq!(inspect::parse(&video.master()).alternatives.len(), 1);
}

#[tokio::test]
async fn picture_and_sound_are_of_the_same_program() {
    // The larger picture is in the second program, whose sound is the higher tone.
    let args = format!(
        "{} -f lavfi -i sine=300:r=48000:d=3 -f lavfi -i testsrc2=s=320x180:r=25:d=3 -f lavfi -i sine=3000:r=48000:d=3 \
         -map 0 -map 1 -map 2 -map 3 {X264} -c:a aac -program title=a:st=0:st=1 -program title=b:st=2:st=3",
        pattern(3)
    );
    let video = publish_clip("two.ts", &args, 3.0).await;
    assert_eq!(video.sizes()[0], (320, 180));
    assert_eq!(inspect::parse(&video.master()).alternatives.len(), 1, "sound of one program");
    let crossings = inspect::zero_crossings_per_second(&video.mp4());
    assert!(
        (5_000.0..7_000.0).contains(&crossings),
        "{crossings} crossings a second are not of the tone of 3000 Hz"
    );
}
