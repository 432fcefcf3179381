use std::time::Duration;

use super::*;
use crate::frame_rate::FrameRate;
use crate::ladder::ladder;
use crate::plan::Conversion;

fn video(width: u32, height: u32) -> VideoPlan {
    VideoPlan {
        index: 0,
        frame_rate: FrameRate::new(30_000, 1001).unwrap(),
        deinterlace: false,
        conversion: Conversion::Standard,
        rungs: ladder(width, height),
        poster_window: Duration::from_millis(5280),
    }
}

fn audio(number: u32) -> AudioPlan {
    AudioPlan {
        index: number,
        name: format!("audio-{number}"),
        title: format!("Audio {number}"),
        language: Some("eng".into()),
        first_two_channels: false,
    }
}

const SOURCE: &str = "http://127.0.0.1:4000/source";

/// The arguments with one output per line, so that a snapshot diff shows which output changed.
fn formatted(plan: &Plan) -> String {
    let mut text = String::new();
    let poster = plan.video.iter().flat_map(|video| poster_argv(video, SOURCE));
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
    let plan = Plan { duration: Some(5.28), video: Some(video(1280, 720)), audio: vec![audio(1), audio(2)] };
    insta::assert_snapshot!(formatted(&plan));
}

#[test]
fn audio_only() {
    let mut many = audio(1);
    many.first_two_channels = true;
    insta::assert_snapshot!(formatted(&Plan { duration: None, video: None, audio: vec![many] }));
}

#[test]
fn an_interlaced_hdr_video_without_audio() {
    let mut video = video(320, 180);
    video.deinterlace = true;
    video.conversion = Conversion::ToneMap {
        transfer: "smpte2084".into(),
        primaries: "bt2020".into(),
        matrix: "bt2020nc".into(),
    };
    insta::assert_snapshot!(formatted(&Plan { duration: None, video: Some(video), audio: vec![] }));
}

#[test]
fn every_output_drops_the_metadata_of_the_source() {
    let plan = Plan { duration: Some(5.28), video: Some(video(1280, 720)), audio: vec![audio(1), audio(2)] };
    let args = argv(&plan, SOURCE);
    let count = |word: &str| args.iter().filter(|arg| *arg == word).count();
    // Four rungs, one of which shares its output with the first track, and the second track.
    assert_eq!((count("-map_metadata"), count("-f")), (5, 5));
    let poster = poster_argv(&video(1280, 720), SOURCE);
    assert!(poster.windows(2).any(|words| words == ["-map_metadata", "-1"]));
}

#[test]
fn nothing_may_be_opened_but_the_relay_and_containers_without_references() {
    let args = argv(&Plan { duration: None, video: None, audio: vec![audio(1)] }, SOURCE);
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
