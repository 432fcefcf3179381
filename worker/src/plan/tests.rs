use super::*;
use crate::probe::Color;
use crate::probe::packets::{Packets, StreamPackets};

fn video() -> VideoStream {
    VideoStream {
        nominal_rate: FrameRate::new(25, 1),
        average_rate: FrameRate::new(25, 1),
        color: Color { pixel_format: "yuv420p".into(), ..Color::default() },
        duration: Some(5.0),
        ..VideoStream::of_size("h264", 1280, 720)
    }
}

fn audio(codec: &str, title: Option<&str>) -> AudioStream {
    AudioStream {
        index: 1,
        codec: codec.into(),
        channels: 2,
        language: Some("eng".into()),
        title: title.map(str::to_owned),
        duration: Some(5.0),
    }
}

fn probe(video: Option<VideoStream>, audio: Vec<AudioStream>) -> Probe {
    let packets = Packets::new();
    let (duration, measured_duration) = (Some(5.0), None);
    Probe {
        duration,
        measured_duration,
        is_truncated: false,
        bytes: 1,
        video,
        audio,
        packets,
        demuxing: Demuxing::default(),
        other_pictures: vec![],
        changes: vec![],
        zeros_after: 0,
    }
}

fn packets(first: f64, end: f64, densest_second: u32) -> StreamPackets {
    StreamPackets {
        packets: 100,
        first_pts: Some(first),
        end,
        bytes: 1000,
        densest_second,
        ..StreamPackets::default()
    }
}

fn plan_for(probe: &Probe) -> Result<Plan, Failure> {
    plan(probe, &MediaLimits::default(), &Capabilities::full())
}

#[test]
fn a_source_over_the_duration_limit_is_refused() {
    let mut long = probe(Some(video()), vec![]);
    long.duration = Some(43_200.0);
    assert!(plan_for(&long).is_ok());
    long.duration = Some(43_200.5);
    assert!(matches!(plan_for(&long), Err(Failure::TooLong { limit_seconds: 43_200 })));
}

#[test]
fn a_codec_without_a_decoder_is_refused_and_named() {
    let mut unknown = video();
    unknown.codec = "vvc".into();
    assert!(
        matches!(plan_for(&probe(Some(unknown), vec![])), Err(Failure::UnsupportedCodec { codec }) if codec == "vvc")
    );
    let only = probe(Some(video()), vec![audio("ac4", None)]);
    assert!(matches!(plan_for(&only), Err(Failure::UnsupportedCodec { codec }) if codec == "ac4"));
}

#[test]
fn a_further_track_without_a_decoder_is_left_out() {
    let plan = plan_for(&probe(Some(video()), vec![audio("aac", None), audio("ac4", None)])).unwrap();
    assert_eq!(plan.audio.len(), 1);
}

#[test]
fn tracks_that_end_early_are_padded_to_the_end_of_the_longest() {
    let mut source =
        probe(Some(video()), vec![audio("aac", None), AudioStream { index: 2, ..audio("aac", None) }]);
    source.packets =
        [(0, packets(0.0, 2.0, 25)), (1, packets(-0.02, 3.5, 47)), (2, packets(1.0, 3.0, 47))].into();
    let plan = plan_for(&source).unwrap();
    assert_eq!((plan.duration, plan.video.as_ref().unwrap().frames), (Some(3.5), Some(88)));
    assert_eq!(plan.audio.iter().map(|audio| audio.silence).collect::<Vec<_>>(), [0.0, 0.5]);
    source.packets.clear();
    let plan = plan_for(&source).unwrap();
    assert_eq!((plan.video.unwrap().frames, plan.audio[1].silence), (None, 0.0), "unknown");
}

#[test]
fn long_gaps_in_sound_are_filled_by_filters() {
    let mut source =
        probe(Some(video()), vec![audio("aac", None), AudioStream { index: 2, ..audio("aac", None) }]);
    source.packets = [(0, packets(0.0, 200.0, 25)), (1, packets(0.0, 200.0, 47))].into();
    assert_eq!(plan_for(&source).unwrap().sound_time, SoundTime::Input);
    source.packets.insert(2, packets(61.0, 200.0, 47));
    let plan = plan_for(&source).unwrap();
    let gaps: Vec<_> = plan.audio.iter().map(|track| track.gaps.as_slice()).collect();
    assert_eq!(gaps, [&[][..], &[Gap { start: 0.0, end: 61.0 }]]);
    assert_eq!(plan.sound_time, SoundTime::OneGraph);
}

#[test]
fn the_graphs_keep_mpeg_audio_in_time_that_begins_with_the_file() {
    let time = |codec, first| {
        let mut source = probe(Some(video()), vec![audio(codec, None)]);
        source.packets = [(0, packets(0.0, 5.0, 25)), (1, packets(first, 5.0, 47))].into();
        plan_for(&source).unwrap().sound_time
    };
    assert_eq!(time("mp3", 0.0), SoundTime::Graphs);
    assert_eq!(time("mp2", 0.02), SoundTime::Graphs);
    assert_eq!(time("mp3", 0.03), SoundTime::Input);
    assert_eq!(time("aac", 0.0), SoundTime::Input);
}

#[test]
fn a_track_that_is_not_used_does_not_lengthen_the_others() {
    let mut source =
        probe(Some(video()), vec![audio("aac", None), AudioStream { index: 2, ..audio("ac4", None) }]);
    source.packets =
        [(0, packets(0.0, 2.0, 25)), (1, packets(0.0, 2.0, 47)), (2, packets(0.0, 9.0, 47))].into();
    assert_eq!(plan_for(&source).unwrap().duration, Some(2.0));
}

#[test]
fn one_picture_with_music_has_a_low_frame_rate() {
    let mut source = probe(Some(video()), vec![audio("aac", None)]);
    source.packets =
        [(0, StreamPackets { packets: 1, ..packets(0.0, 0.04, 1) }), (1, packets(0.0, 12.0, 47))].into();
    let video = plan_for(&source).unwrap().video.unwrap();
    assert_eq!((video.frame_rate.to_string(), video.frames), ("10".to_owned(), Some(120)));
}

#[test]
fn a_few_pictures_that_are_hours_apart_have_a_low_frame_rate() {
    let rate = |pictures, end| {
        let mut source = probe(Some(video()), vec![]);
        source.packets = [(0, StreamPackets { packets: pictures, ..packets(0.0, end, 26) })].into();
        plan_for(&source).unwrap().video.unwrap().frame_rate.to_string()
    };
    assert_eq!(rate(30, 43_000.0), "1");
    assert_eq!(rate(4_320, 43_200.0), "12", "slides of ten seconds");
    assert_eq!((rate(30, 1_440.0), rate(43_200 / 4, 43_200.0)), ("25".to_owned(), "25".to_owned()));
}

#[test]
fn only_pictures_beyond_4k_have_a_bound_on_threads() {
    assert_eq!((decoder_threads((4096, 2160)), decoder_threads((7680, 4320))), (None, Some(4)));
}

#[test]
fn a_packet_per_field_does_not_double_the_frame_rate() {
    let mut source = probe(Some(VideoStream { interlaced: true, ..video() }), vec![]);
    source.packets = [(0, packets(0.0, 2.0, 50))].into();
    assert_eq!(plan_for(&source).unwrap().video.unwrap().frame_rate.to_string(), "25");
}

#[test]
fn a_track_with_more_channels_than_can_be_converted_is_left_out() {
    let many = AudioStream { channels: 65, ..audio("aac", None) };
    let plan = plan_for(&probe(Some(video()), vec![audio("aac", None), many.clone()])).unwrap();
    assert_eq!(plan.audio.len(), 1);
    let only = plan_for(&probe(None, vec![many]));
    assert!(matches!(only, Err(Failure::UnsupportedCodec { codec }) if codec == "aac with 65 channels"));
}

#[test]
fn audio_tracks_have_unique_names() {
    let tracks =
        vec![audio("aac", Some("Film")), audio("aac", Some("Film")), audio("aac", None), audio("aac", None)];
    let plan = plan_for(&probe(None, tracks)).unwrap();
    let names: Vec<_> = plan.audio.iter().map(|audio| (audio.name.as_str(), audio.title.as_str())).collect();
    assert_eq!(
        names,
        [("audio-1", "Film"), ("audio-2", "Film (2)"), ("audio-3", "eng"), ("audio-4", "eng (4)")]
    );
}
