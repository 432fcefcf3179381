use super::*;
use crate::frame_rate::FrameRate;
use crate::ladder::ladder;
use crate::plan::{Conversion, SoundTime};
use crate::probe::gaps::Gap;
use crate::probe::input::Demuxing;
use crate::probe::jumps::Jump;

fn video(width: u32, height: u32) -> VideoPlan {
    VideoPlan {
        index: 0,
        frame_rate: FrameRate::new(30_000, 1001).unwrap(),
        rotation: None,
        decoder_threads: None,
        deinterlace: false,
        conversion: Conversion::Standard,
        rungs: ladder(width, height),
        delay: 0.0,
        frames: Some(158),
        poster: vec![PosterWindow { seek: 0.0, first: 0.0, length: Some(5.28), skip_black: true }],
        jumps: vec![],
    }
}

fn audio(number: u32) -> AudioPlan {
    AudioPlan {
        index: number,
        name: format!("audio-{number}"),
        title: format!("Audio {number}"),
        language: Some("eng".into()),
        channels: 2,
        silence: 0.0,
        silent_until: None,
        mislabels_rates: false,
        gaps: vec![],
        jumps: vec![],
    }
}

fn planned(video: Option<VideoPlan>, audio: Vec<AudioPlan>) -> Plan {
    Plan { duration: Some(5.28), video, audio, sound_time: SoundTime::Input, demuxing: Demuxing::default() }
}

const SOURCE: &str = "http://127.0.0.1:4000/source";

/// The arguments with one output per line, so that a snapshot diff shows which output changed.
fn formatted(plan: &Plan) -> String {
    let mut text = String::new();
    let poster = plan.video.iter().flat_map(|video| poster_argv(plan, video, &video.poster[0], SOURCE));
    for word in argv(plan, SOURCE).into_iter().chain(poster) {
        let starts = ["-nostdin", "-i", "-map", "-filter_complex", "-f"].contains(&word.as_str());
        text.push_str(if text.is_empty() {
            ""
        } else if starts {
            "\n"
        } else {
            " "
        });
        text.push_str(&word.replace('|', "\n  |").replace(';', ";\n  "));
    }
    text
}

#[test]
fn a_video_with_two_audio_tracks() {
    let plan = planned(Some(video(1280, 720)), vec![audio(1), AudioPlan { silence: 0.25, ..audio(2) }]);
    insta::assert_snapshot!(formatted(&plan));
}

#[test]
fn audio_only() {
    let mut many = audio(1);
    many.channels = 10;
    insta::assert_snapshot!(formatted(&planned(None, vec![many])));
}

#[test]
fn an_interlaced_hdr_video_without_audio() {
    let mut video = video(320, 180);
    video.deinterlace = true;
    video.conversion = Conversion::ToneMap {
        transfer: "smpte2084".into(),
        primaries: "bt2020".into(),
        matrix: "bt2020nc".into(),
        white: 203,
        peak: 10_000,
    };
    video.frames = None;
    video.poster[0] = PosterWindow { seek: 31.5, first: 0.0, length: Some(8.0), skip_black: false };
    insta::assert_snapshot!(formatted(&planned(Some(video), vec![])));
}

#[test]
fn an_avi_video_in_wide_colours_and_an_ffmpeg_that_cannot_keep_sound_in_time() {
    let mut video = video(320, 180);
    video.delay = 0.08;
    video.rotation = Some(90);
    video.conversion =
        Conversion::Gamut { transfer: "bt709".into(), primaries: "smpte432".into(), matrix: "bt709".into() };
    let mut plan = planned(Some(video), vec![audio(1)]);
    (plan.sound_time, plan.demuxing.decoding_times_only) = (SoundTime::OneGraph, true);
    insta::assert_snapshot!(formatted(&plan));
}

#[test]
fn sound_with_long_gaps() {
    let gaps = vec![Gap { start: 0.0, end: 90.0 }, Gap { start: 100.0, end: 3700.0 }];
    let mut plan = planned(None, vec![AudioPlan { gaps, silence: 2.0, ..audio(1) }]);
    plan.sound_time = SoundTime::OneGraph;
    insta::assert_snapshot!(formatted(&plan));
}

#[test]
fn mpeg_audio() {
    let mut plan = planned(None, vec![AudioPlan { mislabels_rates: true, ..audio(1) }]);
    plan.sound_time = SoundTime::Graphs;
    insta::assert_snapshot!(formatted(&plan));
}

#[test]
fn every_output_drops_the_metadata_of_the_source() {
    let plan = planned(Some(video(1280, 720)), vec![audio(1), AudioPlan { silence: 0.25, ..audio(2) }]);
    let args = argv(&plan, SOURCE);
    let count = |word: &str| args.iter().filter(|arg| *arg == word).count();
    // Four rungs, one of which shares its output with the first track, and the second track.
    assert_eq!((count("-map_metadata"), count("-f")), (5, 5));
    let poster = poster_argv(&plan, &video(1280, 720), &video(1280, 720).poster[0], SOURCE);
    assert!(poster.windows(2).any(|words| words == ["-map_metadata", "-1"]));
}

#[test]
fn a_later_poster_of_a_file_that_begins_before_its_stated_start_is_sought_from_that_start() {
    let mut plan = planned(Some(video(320, 180)), vec![]);
    plan.demuxing.begins_earlier = 10_000;
    let window = PosterWindow { seek: 31.5, first: 0.0, length: Some(8.0), skip_black: false };
    let args = poster_argv(&plan, &video(320, 180), &window, SOURCE).join(" ");
    assert!(args.contains("-ss 21.500") && !args.contains("-itsoffset"), "{args}");
    let window = PosterWindow { seek: 0.0, ..window };
    let args = poster_argv(&plan, &video(320, 180), &window, SOURCE).join(" ");
    assert!(args.contains("-itsoffset 10.000") && !args.contains("-ss"), "{args}");
}

#[test]
fn no_filter_of_the_poster_repeats_pictures() {
    let mut video = video(320, 180);
    video.jumps = vec![Jump { start: 1_000_000.0, end: 1_000_000.1, shift: 999_998.0 }];
    let args = poster_argv(&planned(Some(video.clone()), vec![]), &video, &video.poster[0], SOURCE);
    let filters = &args[args.iter().position(|arg| arg == "-filter:v").unwrap() + 1];
    assert!(!filters.contains("fps="), "{filters}");
    assert!(filters.starts_with("setpts="), "the wrong time is put back: {filters}");
}

#[test]
fn nothing_may_be_opened_but_the_relay_and_containers_without_references() {
    let args = argv(&planned(None, vec![audio(1)]), SOURCE);
    let before_input = &args[..args.iter().position(|arg| arg == "-i").unwrap()];
    let value = |name: &str| &before_input[before_input.iter().position(|arg| arg == name).unwrap() + 1];
    assert_eq!(value("-protocol_whitelist"), "http,tcp");
    for reference in [
        "hls",
        "dash",
        "concat",
        "sdp",
        "rtsp",
        "image2",
        "imf",
        "applehttp",
        "webm_dash_manifest",
        "ffmetadata",
    ] {
        assert!(value("-format_whitelist").split(',').all(|format| format != reference), "{reference}");
    }
}

#[test]
fn the_decoder_of_very_large_pictures_has_few_threads() {
    let large = VideoPlan { decoder_threads: Some(4), ..video(7680, 4320) };
    let plan = planned(Some(large.clone()), vec![]);
    for args in [argv(&plan, "source"), poster_argv(&plan, &large, &large.poster[0], "source")] {
        let threads = args.iter().position(|arg| arg == "-threads").unwrap();
        assert_eq!(args[threads + 1], "4");
        assert!(
            threads < args.iter().position(|arg| arg == "-i").unwrap(),
            "an option of the input: {args:?}"
        );
    }
}
