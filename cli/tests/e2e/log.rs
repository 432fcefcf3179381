//! The log of `streamio up`.

use crate::clip;
use crate::harness::{TestPlatform, log};

/// The first Rust value in a log line, such as `Some(…)` or `Probe { …`. Log lines are text with fields.
fn rust_value(line: &str) -> Option<&str> {
    let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let mut ends = line.match_indices(['(', '{']).map(|(end, _)| end);
    ends.find_map(|end| {
        let before = line[..end].strip_suffix(' ').filter(|_| line[end..].starts_with('{'));
        let before = before.unwrap_or(&line[..end]);
        let name = before.rsplit(|character| !is_name(character)).next().unwrap_or_default();
        let start = before.len() - name.len();
        name.starts_with(|first: char| first.is_ascii_uppercase()).then(|| &line[start..])
    })
}

#[test]
fn rust_values_are_told_from_prose() {
    for value in ["a=Some(1)", "probe=Probe { bytes: 1 }", "end=Crashed(\"signal\")", "x=[Foo {"] {
        assert!(rust_value(value).is_some(), "{value}");
    }
    for prose in ["FFmpeg (5.1) ended", "exit status: 1 (os error 2)", "a {b}", "signal: 9 (SIGKILL)", ""] {
        assert_eq!(rust_value(prose), None, "{prose}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_text_with_fields_and_contains_no_rust_values() {
    let platform = TestPlatform::start().await;
    let video = platform.upload("clip.mp4", clip::video_with_audio(1, "64x48").await).await;
    let damaged = platform.upload("text.mp4", b"not a video".to_vec()).await;
    platform.wait_for_end(&video, 1).await;
    platform.wait_for_end(&damaged, 1).await;
    let log = log(&platform.data());
    let lines: Vec<_> = log.lines().filter_map(rust_value).collect();
    assert_eq!(lines, [""; 0], "{log}");
    let probed =
        log.lines().find(|line| line.contains("the source was probed")).expect("the probe is logged");
    for field in ["source.bytes=", "video.codec=\"h264\"", "video.width=64", "audio.codec=\"aac\""] {
        assert!(probed.contains(field), "{probed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_platform_logs_errors_only() {
    let platform = TestPlatform::start_with(&["--quiet"]).await;
    let video = platform.upload("clip.mp4", clip::video_with_audio(1, "64x48").await).await;
    let status = platform.wait_for_end(&video, 1).await;
    assert_eq!(status["state"], "ready", "{status}");
    assert_eq!(log(&platform.data()), "");
}
