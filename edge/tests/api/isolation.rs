//! No request of one project gets a URL under another project's prefix.

use std::cell::Cell;

use http::{Method, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use streamio_edge::config::EdgeConfig;
use streamio_edge::sign::s3::AddressStyle;

use crate::config::{API, CDN, config, unlimited};
use crate::test_edge::{TestEdge, block_on};
use crate::urls::{ParsedUrl, urls, verified_policy};

/// Texts that parsers may interpret differently.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("..".to_owned()),
        Just("../".to_owned()),
        Just("/".to_owned()),
        Just("//".to_owned()),
        Just("./".to_owned()),
        Just("\\".to_owned()),
        Just("%2e%2e%2f".to_owned()),
        Just("%2F".to_owned()),
        Just("%252e".to_owned()),
        Just("%00".to_owned()),
        Just("\0".to_owned()),
        Just("?".to_owned()),
        Just("#".to_owned()),
        Just("&key=processed/globex/".to_owned()),
        Just(";".to_owned()),
        Just("*".to_owned()),
        Just("\u{ff0e}\u{ff0e}\u{ff0f}".to_owned()),
        Just("\u{2215}".to_owned()),
        Just("e\u{301}".to_owned()),
        Just("\u{202e}".to_owned()),
        Just("\r\n".to_owned()),
        Just("\"}".to_owned()),
        Just("@globex.example/".to_owned()),
        Just("projects/globex/".to_owned()),
        Just("processed/globex/".to_owned()),
        Just("globex".to_owned()),
        Just("acme".to_owned()),
        Just(".hls/master.m3u8".to_owned()),
        Just(".hls".to_owned()),
        "[a-z]{1,4}",
        "\\PC{1,3}",
        any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

fn benign() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9 +%é().~'!*?#&=@:;,$-]{1,10}"
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![hostile(), benign()]
}

/// Asserts that every URL of a response, as its server parses it, is under the project's prefix. Returns their number.
fn assert_own(answer: &Value, project: &str, s3_base: &str) -> usize {
    let urls = urls(answer);
    for url in &urls {
        let seen = ParsedUrl::of(url);
        if seen.origin == CDN {
            assert_opens_own(url, project);
        } else if seen.origin == API {
            // The edge asks the CDN for the same path with the same signature.
            assert!(seen.path.starts_with("/play/"), "{url}");
            let at_cdn = url.replacen(&format!("{API}/play"), CDN, 1);
            assert_opens_own(&at_cdn, project);
        } else {
            let key = format!("{}{}", seen.origin, seen.path);
            let key = key.strip_prefix(s3_base).unwrap_or_else(|| panic!("{url} is not in the bucket"));
            assert!(key.starts_with(&format!("projects/{project}/")), "{url}");
            assert_eq!(key, answer["s3Key"].as_str().unwrap());
        }
    }
    urls.len()
}

/// Asserts that a signed URL of the CDN, and everything that its policy opens, is under the project's prefix.
fn assert_opens_own(url: &str, project: &str) {
    let prefix = format!("/processed/{project}/");
    assert!(ParsedUrl::of(url).path.starts_with(&prefix), "{url}");
    let resource = verified_policy(url)["Resource"].as_str().unwrap().to_owned();
    // A file that the policy allows; for a stream, any of its files.
    let opened = resource.strip_suffix('*').map(|folder| format!("{folder}x"));
    let opened = opened.unwrap_or_else(|| resource.clone());
    assert!(!opened.contains(['*', '?']), "{resource} is a wildcard in the middle");
    let path = ParsedUrl::of(&opened).path;
    assert!(path.starts_with(&prefix), "{resource}");
    assert!(opened == resource || path.ends_with(".hls/x"), "{resource} opens more than one stream");
}

/// Runs `cases` requests and asserts that enough were granted to have tested the property.
fn grants<S: Strategy>(cases: u32, strategy: &S, granted_at_least: usize, send: impl Fn(S::Value) -> usize) {
    let granted = Cell::new(0);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(config)
        .run(strategy, |input| {
            granted.set(granted.get() + usize::from(send(input) > 0));
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    assert!(granted.get() >= granted_at_least, "only {} of {cases} requests were granted", granted.get());
}

#[test]
fn upload_urls_stay_under_the_projects_prefix() {
    let path_style = EdgeConfig {
        s3: streamio_edge::config::S3Config {
            endpoint: "http://127.0.0.1:9000".to_owned(),
            address_style: AddressStyle::Path,
            ..config().s3
        },
        ..unlimited()
    };
    for (config, base) in [
        (unlimited(), "https://streamio-raw.s3.eu-west-1.amazonaws.com/"),
        (path_style, "http://127.0.0.1:9000/streamio-raw/"),
    ] {
        let test = TestEdge::with(config);
        let optional = || prop::option::of(text());
        let fields =
            (text(), optional(), optional(), optional(), optional(), any::<[bool; 3]>(), any::<bool>());
        grants(700, &fields, 70, |(filename, path, content_type, upload_id, note, flags, is_other)| {
            let [overwrite, sized, typed] = flags;
            let mut body = json!({ "filename": filename, "overwrite": overwrite });
            let mut set = |name: &str, value: Option<Value>| {
                if let Some(value) = value {
                    body[name] = value;
                }
            };
            set("path", path.map(Value::from));
            set("contentType", content_type.filter(|_| typed).map(Value::from));
            set("size", sized.then(|| json!(20_000_000)));
            set("uploadId", upload_id.filter(|_| sized).map(Value::from));
            set("metadata", note.map(|note| json!({ "note": note })));
            let (key, project) =
                if is_other { (&test.other, "globex") } else { (&test.target.upload, "acme") };
            let headers = [("x-api-key", key.reveal())];
            let answer = block_on(test.send_with(&headers, Method::POST, "/upload-url", &body));
            match answer.status {
                StatusCode::OK => assert_own(&answer.json(), project, base),
                StatusCode::UNPROCESSABLE_ENTITY => 0,
                status => panic!("{status} for {body}"),
            }
        });
    }
}

/// The least encoding that any HTTP client does.
const MINIMAL: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'&');

#[test]
fn playback_urls_stay_under_the_projects_prefix() {
    let test = TestEdge::with(unlimited());
    let key = prop_oneof![
        4 => (prop_oneof![Just("processed/acme/"), Just("processed/globex/")], text()).prop_map(|(prefix, rest)| format!("{prefix}{rest}")),
        1 => (text(), text()).prop_map(|(a, b)| format!("processed/{a}/{b}")),
        1 => text(),
    ];
    let ip = prop::option::of(prop_oneof![Just("203.0.113.7".to_owned()), text()]);
    let format = prop::option::of(prop_oneof![Just("hls"), Just("mp4")]);
    let strategy = (key, any::<bool>(), ip, format, any::<bool>());
    grants(2_000, &strategy, 200, |(key, is_strict, ip, format, is_other)| {
        let set = if is_strict { NON_ALPHANUMERIC } else { MINIMAL };
        let path = format!("/playback-url?key={}", utf8_percent_encode(&key, set));
        let mut body = json!({});
        if let Some(ip) = ip {
            body["ip"] = json!(ip);
        }
        if let Some(format) = format {
            body["format"] = json!(format);
        }
        let (api_key, project) =
            if is_other { (&test.other, "globex") } else { (&test.target.playback, "acme") };
        let headers = [("x-api-key", api_key.reveal())];
        let answer = block_on(test.send_with(&headers, Method::POST, &path, &body));
        match answer.status.as_u16() {
            200 => assert_own(&answer.json(), project, "no bucket"),
            400 | 403 | 422 => 0,
            status => panic!("{status} for {key:?} {body}"),
        }
    });
}

#[tokio::test]
async fn a_project_sees_no_video_and_no_event_of_another() {
    let test = TestEdge::new();
    let id = test.ready_video().await;
    let headers = [("x-api-key", test.other.reveal())];
    for path in [
        format!("/videos/{id}"),
        format!("/videos/{id}/events"),
        format!("/videos/{id}?asOf=2026-12-31T00:00:00Z"),
    ] {
        assert_eq!(
            test.send_with(&headers, Method::GET, &path, &Value::Null).await.problem(),
            "no-such-video"
        );
    }
    for (path, empty) in [
        ("/videos", json!({ "data": [], "nextCursor": null })),
        ("/events", json!({ "data": [], "nextCursor": null, "position": null })),
    ] {
        assert_eq!(test.send_with(&headers, Method::GET, path, &Value::Null).await.json(), empty);
    }
    for path in [format!("/videos/{id}/playback"), format!("/videos/{id}/reprocess")] {
        let refused = test.send_with(&headers, Method::POST, &path, &Value::Null).await;
        assert!(matches!(refused.problem().as_str(), "no-such-video" | "missing-scope"), "{refused:?}");
    }
    let playback = "/playback-url?key=processed/acme/films/clip.mp4";
    let refused = test.send_with(&headers, Method::POST, playback, &Value::Null).await;
    assert_eq!(
        (refused.problem().as_str(), refused.json()["field"].as_str()),
        ("forbidden-key", Some("key"))
    );
}
