//! `playback`: all signed URLs of a video.

use serde_json::{Value, json};

use crate::fake_server::FakeServer;
use crate::run::client;
use crate::terminal::run_on_terminal;
use crate::video::call;

const VIDEO: &str = "vid_aaaaaaaaaaaaaaaaaaaaaaaaaa";

fn grant_of(server: &FakeServer) -> Value {
    let grant = json!({
        "videoId": VIDEO, "expiresAt": "2026-01-02T03:04:05.000Z", "grantId": "grt_aaaaaaaaaaaaaaaaaaaaaaaaaa",
        "hlsUrl": "https://api.example.com/play/processed/acme/clip.mp4.hls/master.m3u8?Policy=p&Signature=s",
        "policyQuery": "Policy=p&Signature=s", "cookies": {"CloudFront-Policy": "p"},
        "mp4Url": "https://cdn.example.com/processed/acme/clip.mp4?Signature=m",
        "posterUrl": "https://cdn.example.com/processed/acme/clip.mp4.images/poster.jpg?Signature=i",
    });
    server.state().responses = [(format!("POST /videos/{VIDEO}/playback"), grant.clone())].into();
    grant
}

#[tokio::test]
async fn all_urls_are_requested_with_the_terms_of_the_flags() {
    let server = FakeServer::start().await;
    let grant = grant_of(&server);
    let terms = ["--ttl", "10m", "--ip", "203.0.113.7", "--starts-at", "2026-01-02T03:04:05Z"];
    let run = call(&server, &[&["playback", VIDEO, "--json"], &terms[..]].concat()).await.ok();
    assert_eq!(run.json(), grant);
    let request = &server.requests("POST ")[0];
    assert_eq!(
        request.json(),
        json!({"ttl": 600, "ip": "203.0.113.7", "startsAt": "2026-01-02T03:04:05.000Z"})
    );
    assert_eq!(request.headers["idempotency-key"].len(), 32);
}

#[tokio::test]
async fn the_url_of_the_stream_alone_is_printed_where_standard_output_is_not_a_terminal() {
    let server = FakeServer::start().await;
    let mut grant = grant_of(&server);
    let run = call(&server, &["playback", VIDEO]).await.ok();
    assert_eq!(run.stdout, format!("{}\n", grant["hlsUrl"].as_str().unwrap()));
    grant.as_object_mut().unwrap().remove("hlsUrl");
    server.state().responses = [(format!("POST /videos/{VIDEO}/playback"), grant.clone())].into();
    let run = call(&server, &["playback", VIDEO]).await.ok();
    assert_eq!(run.stdout, format!("{}\n", grant["mp4Url"].as_str().unwrap()));
}

#[tokio::test]
async fn a_terminal_shows_all_urls() {
    let server = FakeServer::start().await;
    grant_of(&server);
    let state = tempfile::tempdir().unwrap();
    let session = run_on_terminal(client(&server, state.path(), &["playback", VIDEO]), "").await;
    assert_eq!(session.code, Some(0), "{session:?}");
    insta::assert_snapshot!(session.screen, @r"
    HLS:     https://api.example.com/play/processed/acme/clip.mp4.hls/master.m3u8?Policy=p&Signature=s
    MP4:     https://cdn.example.com/processed/acme/clip.mp4?Signature=m
    Poster:  https://cdn.example.com/processed/acme/clip.mp4.images/poster.jpg?Signature=i
    Expires: 2026-01-02T03:04:05.000Z

    Play the HLS URL in Safari or in a page with hls.js, the MP4 in any browser, or:
      ffplay 'https://api.example.com/play/processed/acme/clip.mp4.hls/master.m3u8?Policy=p&Signature=s'
    ");
}
