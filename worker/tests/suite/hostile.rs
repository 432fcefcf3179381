//! Files that name other files or hosts: nothing of these may be read.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use streamio_events::event::EventBody;
use tokio::net::TcpListener;

use super::clip::{make, picture};
use super::platform::Platform;

/// A host that must never be asked.
struct Bait {
    url: String,
    asked: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Bait {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                counter.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { url, asked, task }
    }
}

impl Drop for Bait {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
async fn a_file_that_names_others_is_refused_and_they_are_not_read() {
    let bait = Bait::start().await;
    let platform = Platform::new();
    let secret =
        make(&platform.workshop(), "secret.ts", &format!("{} -c:v mpeg2video", picture("64x64", 25, 1)));
    let (secret, url) = (secret.display().to_string(), &bait.url);
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
        let job = platform.upload(&format!("{name}.mp4"), text.as_bytes()).await;
        platform.run(&job).await;
        let Some(EventBody::ProcessingFailed(failed)) = platform.bodies(&job).await.pop() else {
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
        let everything = platform.everything(&job).await;
        assert!(!everything.contains("secret.ts") && !everything.contains(url), "{name}: {everything}");
    }
    assert_eq!(bait.asked.load(Ordering::SeqCst), 0, "the host was asked");
}

#[tokio::test]
async fn an_mp4_whose_media_lies_in_another_file_does_not_get_it() {
    let bait = Bait::start().await;
    let platform = Platform::new();
    let film = make(
        &platform.workshop(),
        "film.mp4",
        &format!("{} -c:v libx264 -preset ultrafast", picture("64x64", 25, 1)),
    );
    // A data reference (ISO/IEC 14496-12, 8.7.2) that is not the file itself: flag 0 and an address.
    let mut bytes = std::fs::read(film).unwrap();
    let url = bytes.windows(4).position(|window| window == b"url ").expect("a data reference");
    bytes[url + 7] = 0;
    let job = platform.upload("external.mp4", &bytes).await;
    platform.run(&job).await;
    assert_eq!(bait.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn the_address_of_the_source_stays_between_us_and_ffmpeg() {
    let platform = Platform::new();
    let args = format!("{} -c:v libx264 -preset ultrafast", picture("160x120", 25, 2));
    let film = std::fs::read(make(&platform.workshop(), "film.mp4", &args)).unwrap();
    let whole = platform.upload("whole.mp4", &film).await;
    platform.run(&whole).await;
    let cut = platform.upload("cut.mp4", &film[..film.len() / 2]).await;
    platform.run(&cut).await;
    for job in [whole, cut] {
        let everything = platform.everything(&job).await;
        assert!(!everything.contains("127.0.0.1"), "{everything}");
    }
}
