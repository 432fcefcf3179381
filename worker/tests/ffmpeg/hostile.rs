//! Hostile files that name other files or hosts. Nothing that they name may be read.

use std::net::TcpListener;

use streamio_events::event::EventBody;

use super::clip::{make, video_input};
use super::harness::WorkerHarness;

/// A host that must never be contacted. Dropping it fails the test if it was.
struct ForbiddenHost {
    url: String,
    listener: TcpListener,
}

impl ForbiddenHost {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        Self { url, listener }
    }
}

impl Drop for ForbiddenHost {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // Connections are queued by the operating system until they are accepted.
            assert!(self.listener.accept().is_err(), "the host was contacted");
        }
    }
}

#[tokio::test]
async fn a_file_that_names_other_files_or_hosts_is_refused_and_they_are_not_read() {
    let host = ForbiddenHost::new();
    let harness = WorkerHarness::new();
    let secret =
        make(&harness.clips(), "secret.ts", &format!("{} -c:v mpeg2video", video_input("64x64", 25, 1)));
    let (secret, url) = (secret.display().to_string(), &host.url);
    let hostile = [
        (
            "hls",
            format!(
                "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:1,\nfile://{secret}\n#EXTINF:1,\n{url}/a.ts\n#EXT-X-ENDLIST\n"
            ),
        ),
        ("hls-master", format!("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{url}/a.m3u8\n")),
        (
            "hls-concat",
            format!(
                "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:1,\nconcat:{secret}|{secret}\n#EXT-X-ENDLIST\n"
            ),
        ),
        ("concat", format!("ffconcat version 1.0\nfile '{secret}'\nfile '{url}/a.ts'\n")),
        (
            "sdp",
            "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
                .to_owned(),
        ),
        (
            "dash",
            format!(
                "<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\" \
                 mediaPresentationDuration=\"PT1S\" profiles=\"urn:mpeg:dash:profile:isoff-on-demand:2011\"><Period>\
                 <AdaptationSet mimeType=\"video/mp4\"><Representation id=\"1\" bandwidth=\"1\"><BaseURL>{url}/a.mp4</BaseURL>\
                 </Representation></AdaptationSet></Period></MPD>"
            ),
        ),
        ("asx", format!("<asx version=\"3.0\"><entry><ref href=\"{url}/a.wmv\"/></entry></asx>")),
        ("smil", format!("<smil><body><video src=\"{url}/a.mp4\"/></body></smil>")),
    ];
    for (name, text) in hostile {
        let job = harness.upload(&format!("{name}.mp4"), text.as_bytes()).await;
        harness.run(&job).await;
        let Some(EventBody::ProcessingFailed(failed)) = harness.bodies(&job).await.pop() else {
            panic!("{name}")
        };
        assert!(
            ["unsupported_container", "not_media"].contains(&&*failed.error.code),
            "{name}: {:?}",
            failed.error
        );
        assert!(!failed.error.retryable);
        if ["hls", "concat", "sdp", "dash"].contains(&name) {
            assert_eq!(failed.error.code, "unsupported_container", "{name}");
        }
        let output = harness.all_output(&job).await;
        assert!(!output.contains("secret.ts") && !output.contains(url), "{name}: {output}");
    }
}

#[tokio::test]
async fn an_mp4_with_an_external_data_reference_does_not_make_the_worker_read_it() {
    let host = ForbiddenHost::new();
    let harness = WorkerHarness::new();
    let clip = make(
        &harness.clips(),
        "clip.mp4",
        &format!("{} -c:v libx264 -preset ultrafast", video_input("64x64", 25, 1)),
    );
    // A data reference (ISO/IEC 14496-12, 8.7.2) to another file: flag 0 and a URL.
    let mut bytes = std::fs::read(clip).unwrap();
    let url = bytes.windows(4).position(|window| window == b"url ").expect("a data reference");
    bytes[url + 7] = 0;
    let job = harness.upload("external.mp4", &bytes).await;
    harness.run(&job).await;
    drop(host);
}

#[tokio::test]
async fn the_relays_url_is_in_no_event_and_no_output() {
    let harness = WorkerHarness::new();
    let args = format!("{} -c:v libx264 -preset ultrafast", video_input("160x120", 25, 2));
    let clip = std::fs::read(make(&harness.clips(), "clip.mp4", &args)).unwrap();
    let complete = harness.upload("complete.mp4", &clip).await;
    harness.run(&complete).await;
    let truncated = harness.upload("truncated.mp4", &clip[..clip.len() / 2]).await;
    harness.run(&truncated).await;
    for job in [complete, truncated] {
        let output = harness.all_output(&job).await;
        assert!(!output.contains("127.0.0.1"), "{output}");
    }
}
