use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::probe::packets::StreamPackets;

fn parsed(streams: &Value) -> Result<Probe, Failure> {
    parsed_with(&json!({"format_name": "mov,mp4", "duration": "5.280000", "probe_score": 100}), streams)
}

fn parsed_with(format: &Value, streams: &Value) -> Result<Probe, Failure> {
    let json = json!({"streams": streams, "format": format}).to_string();
    match parse_report(json.as_bytes(), None) {
        Some(Report::Media(media)) => probe(media.check()?, 1000, Packets::new()),
        _ => panic!("a report"),
    }
}

fn video(overrides: &Value) -> Value {
    let mut stream = json!({
        "index": 0, "codec_type": "video", "codec_name": "h264", "width": 1920, "height": 1080, "pix_fmt": "yuv420p",
        "r_frame_rate": "25/1", "avg_frame_rate": "25/1", "field_order": "progressive", "duration": "5.28",
    });
    stream.as_object_mut().unwrap().extend(overrides.as_object().unwrap().clone());
    stream
}

fn audio(overrides: &Value) -> Value {
    let mut stream = json!({"index": 1, "codec_type": "audio", "codec_name": "aac", "channels": 2, "sample_rate": "48000"});
    stream.as_object_mut().unwrap().extend(overrides.as_object().unwrap().clone());
    stream
}

fn display(overrides: &Value) -> ((u32, u32), u16) {
    let video = parsed(&json!([video(overrides)])).unwrap().video.unwrap();
    (video.display, video.rotation)
}

#[test]
fn rotation_is_clockwise_and_swaps_the_sides() {
    assert_eq!(display(&json!({})), ((1920, 1080), 0));
    assert_eq!(display(&json!({"side_data_list": [{}, {"rotation": -90}]})), ((1080, 1920), 90));
    assert_eq!(display(&json!({"side_data_list": [{"rotation": 90}]})), ((1080, 1920), 270));
    assert_eq!(display(&json!({"side_data_list": [{"rotation": 180}]})), ((1920, 1080), 180));
    assert_eq!(display(&json!({"side_data_list": [{"rotation": -179.9999}]})), ((1920, 1080), 180));
    assert_eq!(display(&json!({"tags": {"rotate": "90"}})), ((1080, 1920), 90));
    assert_eq!(display(&json!({"side_data_list": [{"rotation": 33.0}]})), ((1920, 1080), 0));
}

#[test]
fn non_square_pixels_change_the_display_width() {
    assert_eq!(
        display(&json!({"width": 720, "height": 576, "sample_aspect_ratio": "16:15"})),
        ((768, 576), 0)
    );
    assert_eq!(display(&json!({"width": 720, "height": 480, "sample_aspect_ratio": "8:9"})), ((640, 480), 0));
    assert_eq!(
        display(&json!({"width": 1440, "sample_aspect_ratio": "4:3", "side_data_list": [{"rotation": -90}]})),
        ((1080, 1920), 90)
    );
    for absurd in ["0:1", "1:0", "1000:1", "x", "4:3:2"] {
        assert_eq!(display(&json!({"sample_aspect_ratio": absurd})), ((1920, 1080), 0), "{absurd}");
    }
}

#[test]
fn cover_art_is_not_a_video() {
    let cover = video(&json!({"codec_name": "mjpeg", "disposition": {"attached_pic": 1}}));
    let probe = parsed(&json!([cover, audio(&json!({}))])).unwrap();
    assert_eq!((probe.video, probe.audio.len()), (None, 1));
}

#[test]
fn the_default_video_is_selected_or_else_the_largest() {
    let index = |streams: &Value| parsed(streams).unwrap().video.unwrap().index;
    let (small, large) = (json!({"index": 3, "width": 320, "height": 240}), json!({"index": 4}));
    assert_eq!(index(&json!([video(&small), video(&large)])), 4);
    let mut default = small.clone();
    default["disposition"] = json!({"default": 1});
    assert_eq!(index(&json!([video(&default), video(&large)])), 3);
}

#[test]
fn the_default_audio_is_first_and_a_track_without_samples_is_left_out() {
    let probe = parsed(&json!([
        audio(&json!({"index": 1, "tags": {"language": "ENG", "title": "Main \"mix\"\n"}})),
        audio(&json!({"index": 2, "disposition": {"default": 1}, "tags": {"language": "und"}})),
        audio(&json!({"index": 3, "nb_frames": "0"})),
        audio(&json!({"index": 4, "channels": 0})),
        audio(&json!({"index": 5, "tags": {"language": "x\",URI=\"http://evil"}})),
    ]))
    .unwrap();
    let tracks: Vec<_> = probe
        .audio
        .iter()
        .map(|track| (track.index, track.language.as_deref(), track.title.as_deref()))
        .collect();
    assert_eq!(tracks, [(2, None, None), (1, Some("eng"), Some("Main mix")), (5, None, None)]);
}

#[test]
fn an_unusable_source_is_refused_with_a_specific_code() {
    let code = |result: Result<Probe, Failure>| result.unwrap_err().code();
    assert_eq!(code(parsed(&json!([]))), "no_streams");
    assert_eq!(
        code(parsed(&json!([{"index": 0, "codec_type": "subtitle", "codec_name": "subrip"}]))),
        "no_streams"
    );
    assert_eq!(code(parsed(&json!([video(&json!({"codec_name": null}))]))), "unsupported_codec");
    assert_eq!(code(parsed(&json!([video(&json!({"width": 0, "height": 0}))]))), "corrupt");
    assert_eq!(code(parsed(&json!([video(&json!({"width": 16384, "height": 16384}))]))), "frame_too_large");
    let noise = json!({"duration": "1.0", "probe_score": 1});
    assert_eq!(code(parsed_with(&noise, &json!([audio(&json!({}))]))), "not_media");
    let avif = json!({"probe_score": 100, "tags": {"major_brand": "avif"}});
    assert_eq!(code(parsed_with(&avif, &json!([video(&json!({}))]))), "image_not_supported");
}

#[test]
fn a_missing_duration_is_taken_from_the_streams_or_stays_unknown() {
    let format = json!({"duration": "N/A", "probe_score": 51});
    assert_eq!(parsed_with(&format, &json!([video(&json!({}))])).unwrap().duration, Some(5.28));
    let raw = video(&json!({"duration": null}));
    assert_eq!(parsed_with(&format, &json!([raw])).unwrap().duration, None);
}

#[test]
fn an_error_report_contains_its_code() {
    let json = r#"{"error": {"code": -22, "string": "Invalid argument"}}"#;
    assert!(matches!(parse_report(json.as_bytes(), None), Some(Report::Refused { code: -22 })));
    assert!(parse_report(b"{}", None).is_none());
    assert!(parse_report(b"ffprobe: not found", None).is_none());
}

proptest! {
    #[test]
    fn the_parser_never_panics(
        width: u32, height: u32, rotation: f64, shape in "[0-9]{0,11}:?[0-9]{0,11}", rate in "[0-9]{0,11}/?[0-9]{0,11}",
        duration in "-?[0-9]{0,20}(\\.[0-9]*)?|N/A|nan|inf", tag in ".{0,80}",
    ) {
        let stream = video(&json!({
            "width": width, "height": height, "side_data_list": [{"rotation": rotation}], "sample_aspect_ratio": shape,
            "r_frame_rate": rate, "avg_frame_rate": rate, "duration": duration,
        }));
        let track = audio(&json!({"tags": {"language": tag, "title": tag}}));
        if let Ok(probe) = parsed(&json!([stream, track])) {
            let video = probe.video.unwrap();
            prop_assert!(video.display.0 > 0 && video.display.1 > 0);
            let language = probe.audio[0].language.clone().unwrap_or_default();
            prop_assert!(language.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'));
        }
    }
}

#[test]
fn a_stream_without_a_stated_start_may_begin_before_the_others() {
    let earlier = |start: Value, first| {
        let streams =
            json!([video(&json!({"start_time": start})), audio(&json!({"start_time": "0.717000"}))]);
        let json =
            json!({"streams": streams, "format": {"format_name": "matroska,webm", "probe_score": 100}});
        let Some(Report::Media(media)) = parse_report(json.to_string().as_bytes(), None) else {
            panic!("a report")
        };
        let stream = |first| StreamPackets { packets: 9, first_pts: Some(first), ..StreamPackets::default() };
        media.begins_earlier(&[(0, stream(first)), (1, stream(-0.02))].into())
    };
    assert_eq!(earlier(Value::Null, -0.717), 717);
    assert_eq!(earlier(json!("N/A"), -0.0004), 0);
    assert_eq!(earlier(Value::Null, 0.5), 0);
    assert_eq!(earlier(json!("0.000000"), -0.04), 0, "pictures to decode and not to show");
}
