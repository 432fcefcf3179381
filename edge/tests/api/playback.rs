use std::collections::BTreeSet;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;
use streamio_edge::config::{CdnConfig, EdgeConfig};

use crate::config::{API, CDN, config};
use crate::test_edge::TestEdge;
use crate::urls::{ParsedUrl, verified_policy};

const MP4: &str = "/playback-url?key=processed/acme/films/clip.mp4";
/// 2026-01-02T03:04:05Z
const NOW: i64 = 1_767_323_045;

#[tokio::test]
async fn one_file_gets_the_short_policy() {
    let test = TestEdge::new();
    let answer = test.post(MP4, json!({})).await.json();
    let url = answer["signedUrl"].as_str().unwrap();
    assert!(
        url.starts_with(&format!("{CDN}/processed/acme/films/clip.mp4?Expires={}&", NOW + 3600)),
        "{url}"
    );
    assert_eq!(
        verified_policy(url),
        json!({
            "Resource": format!("{CDN}/processed/acme/films/clip.mp4"),
            "Condition": { "DateLessThan": { "AWS:EpochTime": NOW + 3600 } },
        })
    );
    assert_eq!(answer["expiresAt"], "2026-01-02T04:04:05.000Z");
    assert!(answer["hlsUrl"].is_null());
}

#[tokio::test]
async fn a_video_gets_the_signed_urls_of_all_its_files_in_one_call() {
    let test = TestEdge::new();
    let id = test.ready_video().await;
    let path = format!("/videos/{id}/playback");
    let terms = json!({ "ttl": 60, "startsAt": "2026-01-02T03:10:00Z", "ip": "203.0.113.7" });
    let answer = test.post(&path, terms).await.json();
    let condition = json!({
        "DateLessThan": { "AWS:EpochTime": 1_767_323_460 },
        "DateGreaterThan": { "AWS:EpochTime": 1_767_323_400 },
        "IpAddress": { "AWS:SourceIp": "203.0.113.7/32" },
    });
    let mp4 = format!("{CDN}/processed/acme/films/clip.mp4");
    for (url, resource, opened) in [
        ("mp4Url", mp4.clone(), "/processed/acme/films/clip.mp4"),
        ("posterUrl", format!("{mp4}.images/poster.jpg"), "/processed/acme/films/clip.mp4.images/poster.jpg"),
    ] {
        let url = answer[url].as_str().unwrap();
        assert_eq!(ParsedUrl::of(url).path, opened);
        assert_eq!(verified_policy(url), json!({ "Resource": resource, "Condition": condition }));
    }
    // The CDN sees the edge's address for playlists, the viewer's for media files.
    let hls = answer["hlsUrl"].as_str().unwrap();
    assert_eq!(ParsedUrl::of(hls).path, "/play/processed/acme/films/clip.mp4.hls/master.m3u8");
    let mut anywhere = condition.clone();
    anywhere.as_object_mut().unwrap().remove("IpAddress");
    let master = json!({ "Resource": format!("{mp4}.hls/master.m3u8"), "Condition": anywhere });
    assert_eq!(verified_policy(hls), master);
    let media = format!("{mp4}.hls/a.m4s?{}", answer["policyQuery"].as_str().unwrap());
    let resource = format!("{mp4}.hls/*");
    assert_eq!(verified_policy(&media), json!({ "Resource": resource, "Condition": condition }));
    assert_eq!(answer["videoId"], id.as_str());
    assert_eq!(answer["expiresAt"], "2026-01-02T03:11:00.000Z");
    let commits = test.commits().await;
    let grant = &commits.last().unwrap().events;
    assert_eq!((grant.len(), grant[0].kind.as_str()), (1, "playback.granted"));
    assert_eq!(grant[0].data["grantId"], answer["grantId"]);
    assert_eq!(
        grant[0].data["also"],
        json!(["processed/acme/films/clip.mp4", "processed/acme/films/clip.mp4.images/poster.jpg"])
    );

    let again = |key: &'static str| test.post_once(key, &path, json!({}));
    let first = again("key-1").await;
    test.advance(Duration::from_mins(59));
    assert_eq!(again("key-1").await.body, first.body);
}

/// The same hour, or the next one.
#[tokio::test]
async fn a_repeated_request_for_a_video_gets_its_first_answer_whatever_became_of_the_video() {
    for wait in [Duration::from_secs(1), Duration::from_mins(59)] {
        let test = TestEdge::new();
        let id = test.ready_video().await;
        let path = format!("/videos/{id}/playback");
        let first = test.post_once("key-1", &path, json!({})).await;
        test.send(http::Method::DELETE, &format!("/videos/{id}"), &serde_json::Value::Null).await;
        test.advance(wait);
        let again = test.post_once("key-1", &path, json!({})).await;
        assert_eq!((again.status, &again.body), (first.status, &first.body), "{again:?}");
        let other = test.post_once("key-2", &path, json!({})).await;
        assert_eq!(other.problem(), "video-conflict");
    }
}

/// The longest keys, of characters that need up to three bytes in a URL for each byte of UTF-8, with all options.
#[tokio::test]
async fn every_url_that_is_issued_for_the_longest_key_is_accepted() {
    const MAX_CDN_URL_BYTES: usize = 8 * 1024;
    const MAX_API_URI_BYTES: usize = 9 * 1024;
    // The signatures of these tests are shorter than those of RSA.
    let with_rsa = |url: &str| url.len() + 248 * url.matches("Signature=").count();
    let test = TestEdge::new();
    let longest = 1_024 - 96 - "processed/acme/".len();
    for name in ["a".repeat(longest), "\u{e9}".repeat(longest / 2), "\u{65e5}".repeat(longest / 3)] {
        let key = utf8_percent_encode(&name, NON_ALPHANUMERIC).to_string();
        let master = format!("processed/acme/{key}%2Ehls/master.m3u8");
        let master = master.replace("%2E", ".");
        test.store.cdn.publish(&master, "#EXTM3U\ng12-a12/audio-eng-128k.m3u8\n", None);
        let folder = master.trim_end_matches("master.m3u8");
        let media = format!("{folder}g12-a12/audio-eng-128k.m3u8");
        test.store.cdn.publish(&media, "#EXTM3U\n#EXTINF:4.0,\naudio-eng-128k/000000001.m4s\n", None);
        for ip in [None, Some("203.0.113.128/25")] {
            let body =
                json!({ "format": "hls", "startsAt": "2026-01-02T03:00:00Z", "ttl": 604_800, "ip": ip });
            let granted = test.post(&format!("/playback-url?key=processed/acme/{key}"), body).await;
            assert_eq!(granted.status, http::StatusCode::OK, "{granted:?}");
            let mut url = granted.json()["hlsUrl"].as_str().unwrap().to_owned();
            while let Some(path) = url.strip_prefix(API) {
                let answer = test.send_with(&[], http::Method::GET, path, &serde_json::Value::Null).await;
                assert_eq!(answer.status, http::StatusCode::OK, "{} bytes: {answer:?}", path.len());
                assert!(with_rsa(path) <= MAX_API_URI_BYTES, "{} bytes", with_rsa(path));
                url = String::from_utf8(answer.body.to_vec()).unwrap().lines().last().unwrap().to_owned();
            }
            assert!(
                url.starts_with(&format!("{CDN}/{folder}g12-a12/audio-eng-128k/000000001.m4s?")),
                "{url}"
            );
            assert!(with_rsa(&url) <= MAX_CDN_URL_BYTES, "{} bytes", with_rsa(&url));
        }
    }
}

/// With a longer path in the base URL, the longest key whose URLs are accepted is shorter.
#[tokio::test]
async fn a_key_whose_urls_would_be_too_long_for_the_cdn_is_refused_before_the_grant() {
    let base = config();
    let cdn = CdnConfig { base_url: format!("{CDN}/{}", "long/".repeat(200)), ..base.cdn.clone() };
    let test = TestEdge::with(EdgeConfig { cdn, ..base });
    let name = utf8_percent_encode(&"\u{65e5}".repeat(300), NON_ALPHANUMERIC).to_string();
    let grant = async |format: &str| {
        test.post(&format!("/playback-url?key=processed/acme/{name}"), json!({ "format": format })).await
    };
    assert_eq!(grant("mp4").await.status, http::StatusCode::OK);
    let count = test.commits().await.len();
    let refused = grant("hls").await;
    assert_eq!((refused.status.as_u16(), &*refused.problem()), (400, "invalid-parameter"), "{refused:?}");
    assert_eq!(refused.json()["field"], "key");
    assert_eq!(test.commits().await.len(), count, "no grant is recorded");
}

#[tokio::test]
async fn a_video_that_cannot_be_played_gets_no_url_and_a_reason() {
    let test = TestEdge::new();
    let waiting = test.post("/upload-url", json!({ "filename": "a.mp4" })).await.json()["videoId"].clone();
    let playback = async |id: &str| test.post(&format!("/videos/{id}/playback"), json!({})).await;
    let refused = playback(waiting.as_str().unwrap()).await;
    assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (409, "video-conflict"));
    assert_eq!(refused.json()["detail"], "The video has not been uploaded yet.");
    let ready = test.ready_video().await;
    test.send(http::Method::DELETE, &format!("/videos/{ready}"), &serde_json::Value::Null).await;
    let refused = playback(ready.as_str()).await;
    assert_eq!(refused.json()["detail"], "The video is deleted; upload it again.");
    let unknown = playback("vid_aaaaaaaaaaaaaaaaaaaaaaaaaa").await;
    assert_eq!((unknown.status.as_u16(), unknown.problem().as_str()), (404, "no-such-video"));
    let count = test.commits().await.len();
    assert_eq!(playback(ready.as_str()).await.status.as_u16(), 409);
    assert_eq!(test.commits().await.len(), count, "no grant is recorded");
}

#[tokio::test]
async fn a_stream_gets_one_signature_for_all_its_files_in_three_forms() {
    let test = TestEdge::new();
    for (path, body) in [
        (MP4.to_owned(), json!({ "format": "hls" })),
        (format!("{MP4}.hls/master.m3u8"), json!({})),
        (format!("{MP4}.hls/master.m3u8"), json!({ "format": "hls" })),
    ] {
        let answer = test.post(&path, body).await.json();
        let url = answer["signedUrl"].as_str().unwrap();
        assert_eq!(answer["hlsUrl"], url.replacen(CDN, &format!("{API}/play"), 1));
        assert_eq!(ParsedUrl::of(url).path, "/processed/acme/films/clip.mp4.hls/master.m3u8");
        assert_eq!(
            verified_policy(url),
            json!({
                "Resource": format!("{CDN}/processed/acme/films/clip.mp4.hls/*"),
                "Condition": { "DateLessThan": { "AWS:EpochTime": NOW + 3600 } },
            })
        );
        let query = answer["policyQuery"].as_str().unwrap();
        assert!(url.ends_with(&format!("?{query}")));
        let segment = format!("{CDN}/processed/acme/films/clip.mp4.hls/g1-a1/0001.m4s?{query}");
        assert_eq!(verified_policy(&segment), verified_policy(url));
        let cookies = answer["cookies"].as_object().unwrap();
        let from_query = |name: &str| ParsedUrl::of(url).parameter(name).unwrap().to_owned();
        assert_eq!(cookies.len(), 4);
        for name in ["Policy", "Signature", "Key-Pair-Id", "Hash-Algorithm"] {
            assert_eq!(cookies[&format!("CloudFront-{name}")], from_query(name));
        }
    }
}

#[tokio::test]
async fn a_start_and_a_network_are_in_the_policy_and_the_ttl_counts_from_the_start() {
    let test = TestEdge::new();
    let body = json!({ "ttl": 60, "startsAt": "2026-01-02T04:04:05.9+01:00", "ip": "203.0.113.0/24" });
    let answer = test.post(MP4, body).await.json();
    assert_eq!(
        verified_policy(answer["signedUrl"].as_str().unwrap())["Condition"],
        json!({
            "DateLessThan": { "AWS:EpochTime": NOW + 60 },
            "DateGreaterThan": { "AWS:EpochTime": NOW },
            "IpAddress": { "AWS:SourceIp": "203.0.113.0/24" },
        })
    );
    let body = json!({ "ttl": 60, "startsAt": "2026-01-03T03:04:05Z", "ip": "203.0.113.7", "format": "hls" });
    let answer = test.post(MP4, body).await.json();
    assert_eq!(
        verified_policy(answer["signedUrl"].as_str().unwrap())["Condition"],
        json!({
            "DateLessThan": { "AWS:EpochTime": NOW + 86_400 + 60 },
            "DateGreaterThan": { "AWS:EpochTime": NOW + 86_400 },
            "IpAddress": { "AWS:SourceIp": "203.0.113.7/32" },
        })
    );
    assert_eq!(answer["expiresAt"], "2026-01-03T03:05:05.000Z");
}

#[tokio::test]
async fn wildcard_characters_in_a_key_are_escaped_in_the_policy() {
    let test = TestEdge::new();
    let answer = test
        .post("/playback-url?key=processed/acme/a%2A%3F%22%7D.mp4", json!({ "format": "hls" }))
        .await
        .json();
    let statement = verified_policy(answer["signedUrl"].as_str().unwrap());
    let hls_url = answer["hlsUrl"].as_str().unwrap();
    assert!(
        hls_url.starts_with(&format!("{API}/play/processed/acme/a%2A%3F%22%7D.mp4.hls/master.m3u8?")),
        "{hls_url}"
    );
    assert_eq!(statement["Resource"], format!("{CDN}/processed/acme/a%2A%3F%22%7D.mp4.hls/*"));
    let answer = test.post("/playback-url?key=processed/acme/%2A", json!({})).await.json();
    assert_eq!(
        verified_policy(answer["signedUrl"].as_str().unwrap())["Resource"],
        format!("{CDN}/processed/acme/%2A")
    );
}

/// So that a repeated request finds it with one read.
#[tokio::test]
async fn a_grant_with_an_idempotency_key_has_a_stream_of_its_own() {
    let test = TestEdge::new();
    for key in ["one", "two", "one"] {
        test.post_once(key, MP4, json!({})).await;
    }
    let commits = test.commits().await;
    let mut streams: Vec<String> = commits.iter().map(|commit| commit.stream.to_string()).collect();
    streams.dedup();
    assert_eq!((commits.len(), streams.len()), (2, 2), "{streams:?}");
    for commit in &commits {
        assert_eq!(commit.stream.to_string(), format!("grant/acme/2026010203/{}", commit.id));
    }
}

#[tokio::test]
async fn the_grant_is_recorded_in_a_stream_of_its_ten_seconds() {
    let test = TestEdge::new();
    let body = json!({ "format": "hls", "startsAt": "2026-01-03T00:00:00Z", "ip": "203.0.113.7", "ttl": 60 });
    test.post(MP4, body).await;
    let commits = test.commits().await;
    assert_eq!(commits.len(), 1);
    let stream = commits[0].stream.to_string();
    assert!(stream.starts_with("grants/acme/20260102030400/"), "{stream}");
    insta::assert_json_snapshot!(commits[0].events, @r#"
[
  {
    "type": "playback.granted",
    "v": 1,
    "at": "2026-01-02T03:04:05.250Z",
    "data": {
      "expiresAt": "2026-01-03T00:01:00.000Z",
      "grantId": "grt_aarnwrkhf3xefdp6kj7hj3a7jl",
      "ip": "203.0.113.7/32",
      "key": "processed/acme/films/clip.mp4",
      "keyId": "key_vllgt5ugvohflqnsqsgf3umgaq",
      "resource": "processed/acme/films/clip.mp4.hls/*",
      "startsAt": "2026-01-03T00:00:00.000Z"
    }
  }
]
"#);
}

#[tokio::test]
async fn within_a_bucket_the_same_file_has_the_same_url_with_at_least_the_requested_ttl() {
    let bucket = 300;
    let base = config();
    let cdn = CdnConfig { expiry_bucket: bucket, ..base.cdn.clone() };
    let test = TestEdge::with(EdgeConfig { cdn, ..base });
    let mut urls: BTreeSet<String> = BTreeSet::new();
    for second in 0..600 {
        let answer = test.post(MP4, json!({ "ttl": 60 })).await.json();
        let url = answer["signedUrl"].as_str().unwrap();
        let expires_at = verified_policy(url)["Condition"]["DateLessThan"]["AWS:EpochTime"].as_i64().unwrap();
        let requested = NOW + second + 60;
        assert!((requested..requested + i64::from(bucket)).contains(&expires_at), "{requested} {expires_at}");
        assert_eq!(expires_at % i64::from(bucket), 0);
        urls.insert(url.to_owned());
        test.advance(Duration::from_secs(1));
    }
    assert_eq!(urls.len(), 3, "ten minutes overlap three buckets of five minutes");
    let commits = test.commits().await;
    assert_eq!(commits.len(), 600, "every grant is recorded");
    let recorded: BTreeSet<_> =
        commits.iter().map(|commit| commit.events[0].data["expiresAt"].as_str()).collect();
    assert_eq!(recorded.len(), 3, "the record has the expiry of the URL, not the requested one");
}

#[tokio::test]
async fn a_repeated_request_keeps_its_expiry_in_the_next_bucket() {
    let base = config();
    let cdn = CdnConfig { expiry_bucket: 60, ..base.cdn.clone() };
    let test = TestEdge::with(EdgeConfig { cdn, ..base });
    let first = test.post_once("again", MP4, json!({})).await;
    test.advance(Duration::from_secs(61));
    let again = test.post_once("again", MP4, json!({})).await;
    assert_eq!(first.body, again.body);
    let other = test.post_once("another", MP4, json!({})).await.json();
    assert_ne!(first.json()["expiresAt"], other["expiresAt"]);
}
