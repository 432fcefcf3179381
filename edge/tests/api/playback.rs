use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use streamio_edge::config::{CdnConfig, EdgeConfig};

use crate::test_edge::{API, CDN, TestEdge, config};
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

#[tokio::test]
async fn the_grant_is_recorded_in_a_stream_of_its_hour() {
    let test = TestEdge::new();
    let body = json!({ "format": "hls", "startsAt": "2026-01-03T00:00:00Z", "ip": "203.0.113.7", "ttl": 60 });
    test.post(MP4, body).await;
    let commits = test.commits().await;
    assert_eq!(commits.len(), 1);
    let stream = commits[0].stream.to_string();
    assert!(stream.starts_with("grants/acme/2026010203/"), "{stream}");
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
