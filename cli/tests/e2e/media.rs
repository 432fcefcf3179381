//! Uploads of different kinds of files: each becomes ready with the expected outputs, or errored with a reason.

use std::io::Write as _;

use serde_json::Value;

use crate::clip::{self, make};
use crate::harness::{TestPlatform, log};
use crate::play::play;

struct Case {
    name: &'static str,
    bytes: Vec<u8>,
    duration: f64,
    /// Width and height as displayed; `None` for audio only.
    size: Option<(u64, u64)>,
    audio: bool,
}

const X264: &str = "-c:v libx264 -preset ultrafast";

#[tokio::test(flavor = "multi_thread")]
async fn common_kinds_of_video_become_ready_and_play() {
    let landscape = clip::video_with_audio(2, "320x180").await;
    let cases = [
        Case {
            name: "no audio.mp4",
            bytes: make(&format!("-f lavfi -i testsrc2=d=2:s=320x180:r=25 {X264} -pix_fmt yuv420p out.mp4"), "out.mp4").await,
            duration: 2.0,
            size: Some((320, 180)),
            audio: false,
        },
        Case {
            name: "audio only.m4a",
            bytes: make("-f lavfi -i sine=d=3 -c:a aac out.m4a", "out.m4a").await,
            duration: 3.0,
            size: None,
            audio: true,
        },
        Case {
            name: "portrait by its metadata.mov",
            bytes: rotated(&landscape).await,
            duration: 2.0,
            size: Some((180, 320)),
            audio: true,
        },
        Case {
            name: "odd size.mp4",
            bytes: make(
                &format!("-f lavfi -i testsrc2=d=1:s=321x241:r=25 -f lavfi -i sine=d=1 {X264} -pix_fmt yuv444p -c:a aac out.mp4"),
                "out.mp4",
            )
            .await,
            duration: 1.0,
            size: Some((320, 240)),
            audio: true,
        },
        Case {
            name: "variable frame rate.mkv",
            bytes: make(
                &format!("-f lavfi -i testsrc2=d=3:s=320x180:r=30 -vf select=lt(t\\,1)+not(mod(n\\,4)) -vsync vfr {X264} -pix_fmt yuv420p out.mkv"),
                "out.mkv",
            )
            .await,
            duration: 3.0,
            size: Some((320, 180)),
            audio: false,
        },
        Case {
            name: "ten bits.mp4",
            bytes: make(&format!("-f lavfi -i testsrc2=d=1:s=320x180:r=25 {X264} -pix_fmt yuv420p10le out.mp4"), "out.mp4").await,
            duration: 1.0,
            size: Some((320, 180)),
            audio: false,
        },
        Case { name: "CLIP.MOV", bytes: landscape.clone(), duration: 2.0, size: Some((320, 180)), audio: true },
        Case {
            name: "a b+c%20d \"e\" 'f' é 日本 &?#.mp4",
            bytes: landscape.clone(),
            duration: 2.0,
            size: Some((320, 180)),
            audio: true,
        },
        Case { name: "tiny.mp4", bytes: clip::video_with_audio(1, "64x48").await, duration: 1.0, size: Some((64, 48)), audio: true },
    ];
    let platform = TestPlatform::start().await;
    let mut uploaded = Vec::new();
    for case in &cases {
        uploaded.push(platform.upload(case.name, case.bytes.clone()).await);
    }
    for (case, video_id) in cases.iter().zip(&uploaded) {
        let status = platform.wait_for_end(video_id, 1).await;
        assert_eq!(status["state"], "ready", "{}: {status}", case.name);
        check(&platform, case, &status).await;
        let events = platform.events(video_id).await;
        assert_eq!(events.iter().filter(|kind| *kind == "video.ready").count(), 1, "{}", case.name);
    }
}

async fn check(platform: &TestPlatform, case: &Case, status: &Value) {
    let name = case.name;
    let close = |seconds: f64| (seconds - case.duration).abs() < 0.35;
    assert_eq!(status["progress"], 100, "{name}");
    assert!(close(status["source"]["durationSeconds"].as_f64().unwrap()), "{name}: {status}");
    let renditions = status["outputs"]["renditions"].as_array().unwrap();
    assert!(!renditions.is_empty());
    let (hls, mp4) = play(platform, status).await;
    for probed in [&hls, &mp4] {
        assert!(close(probed.duration), "{name}: {} s", probed.duration);
        assert_eq!(probed.of_type("audio").is_empty(), !case.audio, "{name}: {:?}", probed.streams);
    }
    let Some((width, height)) = case.size else {
        assert!(hls.of_type("video").is_empty() && mp4.of_type("video").is_empty(), "{name}");
        assert!(status["outputs"]["posterKey"].is_null(), "{name}");
        return;
    };
    assert_eq!(hls.of_type("video").len(), renditions.len(), "{name}");
    for rendition in renditions {
        let size = (rendition["width"].as_u64().unwrap(), rendition["height"].as_u64().unwrap());
        assert!(size.0 <= width && size.1 <= height, "{name}: no rendition is enlarged: {size:?}");
        assert!(size.0 % 2 == 0 && size.1 % 2 == 0, "{name}: {size:?}");
        #[expect(clippy::cast_precision_loss, reason = "sizes of frames")]
        let (is, was) = (size.0 as f64 / size.1 as f64, width as f64 / height as f64);
        assert!((is / was - 1.0).abs() < 0.03, "{name}: the aspect {is} is not {was}");
        assert_eq!(rendition["codecs"].as_str().unwrap().contains("mp4a"), case.audio, "{name}: {rendition}");
        assert!(rendition["bandwidth"].as_u64().unwrap() > 1000, "{name}: {rendition}");
    }
    let best = &renditions[0];
    assert_eq!((best["width"].as_u64(), best["height"].as_u64()), (Some(width), Some(height)), "{name}");
    let video = mp4.of_type("video")[0].clone();
    assert_eq!((video["width"].as_u64(), video["height"].as_u64()), (Some(width), Some(height)), "{name}");
    assert_eq!(video["pix_fmt"], "yuv420p", "{name}");
    let poster = crate::play::signed(platform, &status["outputs"]["posterKey"]).await;
    let poster = platform.http.get(poster).send().await.unwrap();
    assert_eq!(poster.headers()["content-type"], "image/jpeg", "{name}");
    assert!(poster.bytes().await.unwrap().starts_with(&[0xff, 0xd8]), "{name}");
}

/// The clip with a display matrix that rotates it by a quarter turn.
async fn rotated(clip: &[u8]) -> Vec<u8> {
    // The display matrix is in `tkhd`: nine 32-bit numbers, for a quarter turn (0, 1, 0; -1, 0, 0; 0, 0, 1), in 16.16 and 2.30
    // fixed point. FFmpeg's option for it differs between versions.
    let remuxed = {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::File::create(scratch.path().join("in.mp4")).unwrap().write_all(clip).unwrap();
        let input = scratch.path().join("in.mp4").display().to_string();
        make(&format!("-i {input} -c copy -f mov out.mov"), "out.mov").await
    };
    let mut bytes = remuxed;
    let start = bytes.windows(4).position(|four| four == b"tkhd").unwrap() + 4;
    let matrix = start + 40;
    let numbers: [i32; 9] = [0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x4000_0000];
    for (index, number) in numbers.iter().enumerate() {
        bytes[matrix + 4 * index..matrix + 4 * index + 4].copy_from_slice(&number.to_be_bytes());
    }
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_a_video_is_errored_with_a_reason_and_not_retried() {
    let whole = clip::video_with_audio(2, "320x180").await;
    let index = whole.windows(4).rposition(|four| four == b"moov").unwrap();
    let platform = TestPlatform::start().await;
    for (name, bytes, codes) in [
        ("empty.mp4", Vec::new(), ["empty_file", "empty_file"]),
        ("text.mp4", b"This is text and not a video.\n".repeat(200), ["not_media", "unsupported_container"]),
        ("cut.mp4", whole[..index - 100].to_vec(), ["truncated", "truncated"]),
    ] {
        let video_id = platform.upload(name, bytes).await;
        let status = platform.wait_for_end(&video_id, 1).await;
        assert_eq!(status["state"], "errored", "{name}: {status}");
        assert!(codes.iter().any(|code| status["error"]["code"] == *code), "{name}: {status}");
        assert_eq!(status["error"]["retryable"], false, "{name}: {status}");
        assert_eq!(status["attempt"], 1, "{name} is not retried: {status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_and_hosts_named_by_an_uploaded_playlist_are_not_read() {
    let platform = TestPlatform::start().await;
    let forbidden = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = forbidden.local_addr().unwrap();
    let secret = platform.directory.path().join("secret.mp4");
    std::fs::write(&secret, clip::video_with_audio(1, "64x48").await).unwrap();
    let secret = secret.display();
    let hls = |uri: &str| {
        format!("#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:5\n#EXTINF:5.0,\n{uri}\n#EXT-X-ENDLIST\n")
    };
    let uploads = [
        ("host.mp4", hls(&format!("http://{host}/segment.ts"))),
        ("file.m3u8", hls(&format!("file://{secret}"))),
        ("concat.mp4", format!("ffconcat version 1.0\nfile '{secret}'\n")),
        (
            "dash.mpd",
            format!(
                "<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\" \
                 mediaPresentationDuration=\"PT1S\" profiles=\"urn:mpeg:dash:profile:isoff-on-demand:2011\"><Period>\
                 <AdaptationSet mimeType=\"video/mp4\"><Representation id=\"1\" bandwidth=\"1\"><BaseURL>\
                 http://{host}/v.mp4</BaseURL></Representation></AdaptationSet></Period></MPD>"
            ),
        ),
    ];
    for (name, content) in uploads {
        let video_id = platform.upload(name, content.into_bytes()).await;
        let status = platform.wait_for_end(&video_id, 1).await;
        assert_eq!(status["state"], "errored", "{name}: {status}");
        assert_eq!(status["error"]["retryable"], false, "{name}: {status}");
        let message = status["error"]["message"].as_str().unwrap();
        assert!(!message.contains("secret.mp4") && !message.contains(&host.to_string()), "{name}: {message}");
    }
    let connection = tokio::time::timeout(std::time::Duration::ZERO, forbidden.accept()).await;
    assert!(connection.is_err(), "a host named by a playlist was contacted");
    let log = log(&platform.data());
    assert!(!log.contains("X-Amz-Signature") && !log.contains(&platform.key), "{log}");
}
