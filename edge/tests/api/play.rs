//! `GET /play/…`: playlists as a player gets them.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use streamio_edge::config::EdgeConfig;
use streamio_edge::ports::outbound::{MAX_RESPONSE_BYTES, OutboundError, ResponseTooLarge};

use crate::answer::Answer;
use crate::cdn::response;
use crate::config::{API, CDN, config};
use crate::test_edge::TestEdge;
use crate::urls::{encoded, verified_policy};

const FOLDER: &str = "processed/acme/films/clip.mp4.hls";
const GRANT: &str = "/playback-url?key=processed/acme/films/clip.mp4.hls/master.m3u8";
const MASTER: &str = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000\ng1-a1/720p.m3u8\n";
const MEDIA: &str = "#EXTM3U\n#EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:4.0,\n0.m4s\n#EXT-X-ENDLIST\n";

fn published() -> TestEdge {
    published_with(config())
}

fn published_with(config: EdgeConfig) -> TestEdge {
    let test = TestEdge::with(config);
    test.store.cdn.publish(&format!("{FOLDER}/master.m3u8"), MASTER, Some("\"master-1\""));
    test.store.cdn.publish(&format!("{FOLDER}/g1-a1/720p.m3u8"), MEDIA, None);
    test
}

/// The `hlsUrl` of a grant, without the API's address.
async fn granted(test: &TestEdge, conditions: Value) -> String {
    let answer = test.post(GRANT, conditions).await.json();
    answer["hlsUrl"].as_str().unwrap().strip_prefix(API).unwrap().to_owned()
}

/// Sends a viewer's request, which has no API key.
async fn viewed(test: &TestEdge, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    test.send_with(headers, method, path, &Value::Null).await
}

async fn played(test: &TestEdge, path: &str) -> Answer {
    viewed(test, Method::GET, path, &[]).await
}

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.to_vec()).unwrap()
}

/// Asserts a refusal and returns its field and detail.
fn refusal(answer: &Answer) -> (String, String) {
    assert_eq!((answer.status.as_u16(), &*answer.problem()), (403, "playback-refused"), "{answer:?}");
    let json = answer.json();
    (json["field"].as_str().unwrap().to_owned(), json["detail"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_player_that_only_follows_uris_gets_from_the_master_playlist_to_a_signed_segment() {
    let test = published();
    let path = granted(&test, json!({})).await;
    let query = path.split_once('?').unwrap().1.to_owned();
    let master = played(&test, &path).await;
    assert_eq!(master.status, StatusCode::OK);
    assert_eq!(
        text(&master),
        MASTER.replace("g1-a1/720p.m3u8", &format!("{API}/play/{FOLDER}/g1-a1/720p.m3u8?{query}"))
    );
    let media = played(&test, &format!("/play/{FOLDER}/g1-a1/720p.m3u8?{query}")).await;
    let segment = format!("{CDN}/{FOLDER}/g1-a1/0.m4s?{query}");
    assert!(text(&media).contains(&format!("\n{segment}\n")), "{}", text(&media));
    assert!(text(&media).contains(&format!("URI=\"{CDN}/{FOLDER}/g1-a1/init.mp4?{query}\"")));
    assert_eq!(verified_policy(&segment)["Resource"], format!("{CDN}/{FOLDER}/*"));
    assert_eq!(
        test.store.cdn.requests(),
        [format!("{CDN}/{FOLDER}/master.m3u8?{query}"), format!("{CDN}/{FOLDER}/g1-a1/720p.m3u8?{query}")]
    );
}

#[tokio::test]
async fn a_playlist_has_the_headers_of_a_personal_response() {
    let test = published();
    let path = granted(&test, json!({})).await;
    let answer =
        viewed(&test, Method::GET, &path, &[("origin", "https://app.example"), ("range", "bytes=0-3")]).await;
    assert_eq!(answer.status, StatusCode::OK, "a range is ignored");
    for (name, value) in [
        ("content-type", "application/vnd.apple.mpegurl"),
        ("cache-control", "private, max-age=5"),
        ("access-control-allow-origin", "*"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    let head = viewed(&test, Method::HEAD, &path, &[]).await;
    assert_eq!(head.header("content-length"), Some(&*answer.body.len().to_string()));
    assert_eq!(head.header("etag"), answer.header("etag"));
}

#[tokio::test]
async fn a_playlist_that_the_player_has_is_not_sent_again_but_the_cdn_is_asked_again() {
    let test = published();
    let path = granted(&test, json!({})).await;
    let first = played(&test, &path).await;
    let etag = first.header("etag").unwrap().to_owned();
    let conditional = |method, path: String| {
        let etag = format!("W/{etag}, \"other\"");
        let test = &test;
        async move { viewed(test, method, &path, &[("if-none-match", &etag)]).await }
    };
    for method in [Method::GET, Method::HEAD] {
        let again = conditional(method, path.clone()).await;
        assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0));
        assert_eq!((again.header("etag"), again.header("content-length")), (Some(&*etag), None));
        assert_eq!(again.header("cache-control"), Some("private, max-age=5"));
    }
    assert_eq!(test.store.cdn.requests().len(), 3);
    let other = granted(&test, json!({ "ttl": 60 })).await;
    assert_eq!(
        conditional(Method::GET, other).await.status,
        StatusCode::OK,
        "its URIs have another signature"
    );
    test.store.cdn.publish(
        &format!("{FOLDER}/master.m3u8"),
        MASTER.replace("720p", "360p"),
        Some("\"master-2\""),
    );
    assert_eq!(conditional(Method::GET, path.clone()).await.status, StatusCode::OK, "its content is another");
    test.advance(Duration::from_hours(1));
    refusal(&conditional(Method::GET, path).await);
}

#[tokio::test]
async fn what_players_add_to_or_change_in_the_query_does_no_harm() {
    let test = published();
    let path = granted(&test, json!({})).await;
    let expected = text(&played(&test, &path).await);
    let encoded = path.split_once('?').map(|(path, query)| {
        let query = query.replace('~', "%7E").replace('_', "%5F");
        format!("{path}?CMCD=br%3D1%2Csid%3D%22x%22&{query}&utm_source=mail&%zz=1")
    });
    assert_eq!(text(&played(&test, &encoded.unwrap()).await), expected);
}

#[tokio::test]
async fn a_refusal_of_the_cdn_is_passed_on_with_its_reason() {
    let test = published();
    let path = granted(&test, json!({})).await;
    let (before, query) = path.split_once('?').unwrap();
    let other_video = path.replace("clip.mp4.hls", "other.mp4.hls");
    let other_signature = query.replace("Signature=ME", "Signature=MD");
    assert_ne!(other_signature, query);
    for (path, field, reason) in [
        (other_video, "Policy", "is for other files"),
        (format!("{before}?{other_signature}"), "Signature", "does not belong"),
        (path.replace("Key-Pair-Id=K", "Key-Pair-Id=X"), "Key-Pair-Id", "names no key pair"),
        (path.replace("Policy=", "Policy=AAAA"), "Policy", "is not a policy"),
        (
            granted(&test, json!({ "startsAt": "2026-01-03T00:00:00Z" })).await,
            "Policy",
            "before 2026-01-03T00:00:00.000Z",
        ),
        (before.to_owned(), "Policy", "is missing"),
        (format!("{path}&Policy=x"), "Policy", "more than once"),
    ] {
        let (found, detail) = refusal(&played(&test, &path).await);
        assert_eq!(found, field, "{detail}");
        assert!(detail.contains(reason), "{detail}");
    }
    test.advance(Duration::from_hours(1));
    let (field, detail) = refusal(&played(&test, &path).await);
    assert_eq!(
        (&*field, &*detail),
        ("Policy", "`Policy` expired at 2026-01-02T04:04:05.000Z: request a new URL.")
    );
}

#[tokio::test]
async fn other_answers_of_the_cdn_become_problems_that_say_whose_fault_it_is() {
    let test = published();
    let path = granted(&test, json!({})).await;
    let from_s3 = || {
        let mut denied = response(403, "<Error><Code>AccessDenied</Code></Error>");
        denied.headers_mut().insert("server", "AmazonS3".parse().unwrap());
        denied
    };
    for (answer, status, problem) in [
        (Ok(response(404, "")), 404, "no-such-playlist"),
        (Ok(from_s3()), 404, "no-such-playlist"),
        (Ok(response(302, "")), 502, "invalid-playlist"),
        (Ok(response(400, "")), 400, "invalid-parameter"),
        (Ok(response(413, "")), 414, "uri-too-long"),
        (Ok(response(414, "")), 414, "uri-too-long"),
        (Ok(response(431, "")), 414, "uri-too-long"),
        (Ok(response(494, "")), 414, "uri-too-long"),
        (Ok(response(206, MASTER)), 502, "invalid-playlist"),
        (Ok(response(200, "<html>")), 502, "invalid-playlist"),
        (Ok(response(200, "#EXTM3U\na b\n")), 502, "invalid-playlist"),
        (Ok(response(200, vec![b' '; MAX_RESPONSE_BYTES])), 502, "invalid-playlist"),
        (Err(OutboundError(ResponseTooLarge.into())), 502, "invalid-playlist"),
        (Ok(response(500, "")), 503, "unavailable"),
        (Ok(response(429, "")), 503, "unavailable"),
        (Err(OutboundError("no route to the CDN".into())), 503, "unavailable"),
    ] {
        let shown = format!("{answer:?}");
        *test.store.cdn.next.lock().unwrap() = Some(answer);
        let answer = played(&test, &path).await;
        assert_eq!((answer.status.as_u16(), &*answer.problem()), (status, problem), "{shown}");
        assert_eq!(answer.header("retry-after").is_some(), status == 503, "{shown}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(!text(&answer).contains("Signature="), "{}", text(&answer));
    }
}

#[tokio::test]
async fn the_host_is_always_the_cdn_and_only_playlists_in_processed_are_requested() {
    let test = published();
    let query = granted(&test, json!({})).await.split_once('?').unwrap().1.to_owned();
    for key in [
        "processed/acme/films/clip.mp4",
        "processed/acme/films/clip.mp4.hls/g1-a1/0.m4s",
        "processed/acme/../raw/a.m3u8",
        "processed/acme/%2e%2e/%2e%2e/a.m3u8",
        "raw/acme/a.m3u8",
        "projects/acme/a.m3u8",
        "processed//a.m3u8",
        "/elsewhere.example/a.m3u8",
        "@elsewhere.example/processed/acme/a.m3u8",
        "https://elsewhere.example/processed/acme/a.m3u8",
        "processed/acme/a%00.m3u8",
        "processed/acme/a%5C.m3u8",
    ] {
        let answer = played(&test, &format!("/play/{key}?{query}")).await;
        assert_eq!((answer.status.as_u16(), &*answer.problem()), (400, "invalid-parameter"), "{key}");
        assert_eq!(answer.json()["field"], "key", "{key}");
    }
    assert_eq!(test.store.cdn.requests(), [] as [String; 0]);
    played(&test, &format!("/play/processed/acme/%23%3Fx%40elsewhere.example.m3u8?{query}")).await;
    let requests = test.store.cdn.requests();
    let expected = format!("{CDN}/processed/acme/%23%3Fx%40elsewhere.example.m3u8?");
    assert!(requests[0].starts_with(&expected), "{}", requests[0]);
}

#[tokio::test]
async fn without_a_configured_address_the_urls_have_that_of_the_request() {
    let test = published_with(EdgeConfig { public_url: None, ..config() });
    let send = async |method: &str, uri: &str, host: Option<&str>| {
        let mut request = Request::builder().method(method).uri(uri);
        if let Some(host) = host {
            request = request.header("host", host);
        }
        let request = request.header("x-api-key", test.target.admin.reveal()).body(Bytes::new()).unwrap();
        Answer::of(test.edge.handle(test.context(), &request).await)
    };
    for (origin, host, expected) in [
        ("https://edge.example", None, "https://edge.example"),
        ("https://edge.example", Some("other.example"), "https://edge.example"),
        ("", Some("127.0.0.1:8080"), "http://127.0.0.1:8080"),
    ] {
        let answer = send("POST", &format!("{origin}{GRANT}"), host).await.json();
        let url = answer["hlsUrl"].as_str().unwrap().to_owned();
        let path = url.strip_prefix(expected).unwrap_or_else(|| panic!("{url}"));
        let master = send("GET", &format!("{origin}{path}"), host).await;
        assert!(
            text(&master).contains(&format!("\n{expected}/play/{FOLDER}/g1-a1/720p.m3u8?")),
            "{master:?}"
        );
    }
    let granted = test.commits().await.len();
    for host in [None, Some(""), Some("a/b"), Some("user@host"), Some("a\"b"), Some("a?b")] {
        let answer = send("POST", GRANT, host).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()["field"].as_str()),
            (400, Some("host")),
            "{host:?}"
        );
    }
    assert_eq!(test.commits().await.len(), granted, "no grant is recorded whose URLs cannot be written");
}

/// CloudFront does not say why it refuses, so the reason is read from a policy that nobody has verified. The time of matching
/// grows with each wildcard.
#[tokio::test]
async fn a_policy_with_more_wildcards_than_any_of_the_api_is_not_matched() {
    let test = published();
    let path = granted(&test, json!({})).await;
    let (before, after) = path.split_once("Policy=").unwrap();
    let rest = &after[after.find('&').unwrap()..];
    for (pattern, field) in [
        (format!("{CDN}/*/master.m3u8"), "Signature"),
        (format!("{CDN}/*/*.m3u8"), "Signature"),
        (format!("{CDN}/*/*/*.m3u8"), "Policy"),
        (format!("{CDN}/{}", "*a".repeat(700)), "Policy"),
        (format!("{CDN}/{}", "*".repeat(1_000)), "Policy"),
    ] {
        let policy = json!({
            "Statement": [{
                "Resource": pattern,
                "Condition": { "DateLessThan": { "AWS:EpochTime": 2_000_000_000 } },
            }],
        });
        let (found, _) = refusal(&played(&test, &format!("{before}Policy={}{rest}", encoded(&policy))).await);
        assert_eq!(found, field, "{pattern}");
    }
}
