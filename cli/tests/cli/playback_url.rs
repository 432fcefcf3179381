//! `playback-url`: the request, and what is printed where.

use serde_json::{Value, json};

use crate::fake_server::FakeServer;
use crate::run::client;
use crate::terminal::run_on_terminal;
use crate::video::call;

const KEY: &str = "processed/acme/clip.mp4.hls/master.m3u8";

/// The response that the server gives to every request.
fn grant_of(server: &FakeServer) -> Value {
    let grant = json!({
        "signedUrl": "https://cdn.example.com/processed/acme/clip.mp4.hls/master.m3u8?Policy=p&Signature=s&Key-Pair-Id=k",
        "hlsUrl": "https://api.example.com/play/processed/acme/clip.mp4.hls/master.m3u8?Policy=p&Signature=s&Key-Pair-Id=k",
        "expiresAt": "2026-01-02T03:04:05.000Z", "grantId": "grt_aaaaaaaaaaaaaaaaaaaaaaaaaa",
        "policyQuery": "Policy=p&Signature=s&Key-Pair-Id=k", "cookies": {"CloudFront-Policy": "p"},
    });
    server.state().responses = [("POST /playback-url".to_owned(), grant.clone())].into();
    grant
}

#[tokio::test]
async fn a_playback_url_request_has_the_options_of_the_flags() {
    let server = FakeServer::start().await;
    let grant = grant_of(&server);
    let key = "processed/acme/a b+c.mp4";
    let arguments = [
        "playback-url",
        key,
        "--ttl",
        "10m",
        "--ip",
        "203.0.113.0/24",
        "--starts-at",
        "2026-01-02T03:04:05Z",
        "--format",
        "hls",
    ];
    call(&server, &arguments).await.ok();
    let request = &server.requests("POST ")[0];
    insta::assert_snapshot!(request.target, @"/playback-url?key=processed%2Facme%2Fa+b%2Bc.mp4");
    insta::assert_snapshot!(request.json().to_string(), @r#"{"format":"hls","ip":"203.0.113.0/24","startsAt":"2026-01-02T03:04:05.000Z","ttl":600}"#);
    assert_eq!(call(&server, &["playback-url", key, "--json"]).await.ok().json(), grant);
    assert_eq!(server.requests("POST ")[1].json(), json!({}));
    assert_eq!(call(&server, &["playback-url", "projects/acme/clip.mp4"]).await.code, Some(2));
}

#[tokio::test]
async fn the_url_alone_is_printed_where_standard_output_is_not_a_terminal() {
    let server = FakeServer::start().await;
    let grant = grant_of(&server);
    for arguments in [&["playback-url", KEY][..], &["playback-url", KEY, "--quiet"]] {
        let run = call(&server, arguments).await.ok();
        assert_eq!(run.stdout, format!("{}\n", grant["hlsUrl"].as_str().unwrap()));
        assert_eq!(run.stderr, "");
    }
    let mut mp4 = grant;
    mp4.as_object_mut().unwrap().remove("hlsUrl");
    server.state().responses = [("POST /playback-url".to_owned(), mp4.clone())].into();
    let run = call(&server, &["playback-url", "processed/acme/clip.mp4"]).await.ok();
    assert_eq!(run.stdout, format!("{}\n", mp4["signedUrl"].as_str().unwrap()));
}

#[tokio::test]
async fn a_terminal_also_shows_the_expiry_and_how_to_play_it() {
    let server = FakeServer::start().await;
    grant_of(&server);
    let state = tempfile::tempdir().unwrap();
    let session = run_on_terminal(client(&server, state.path(), &["playback-url", KEY]), "").await;
    assert_eq!(session.code, Some(0), "{session:?}");
    insta::assert_snapshot!(session.screen, @r"
    URL:     https://api.example.com/play/processed/acme/clip.mp4.hls/master.m3u8?Policy=p&Signature=s&Key-Pair-Id=k
    Expires: 2026-01-02T03:04:05.000Z

    Play it in Safari, or in a page with hls.js, or:
      ffplay 'https://api.example.com/play/processed/acme/clip.mp4.hls/master.m3u8?Policy=p&Signature=s&Key-Pair-Id=k'
    ");
}
