//! Playback grants that are limited to a network: media files keep the limit, whatever is added to a URL.

use std::collections::BTreeSet;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::config::{API, CDN};
use crate::test_edge::TestEdge;
use crate::urls::{ParsedUrl, encoded, verified_policy};

const FOLDER: &str = "processed/acme/films/clip.mp4.hls";
const GRANT: &str = "/playback-url?key=processed/acme/films/clip.mp4.hls/master.m3u8";
const MASTER: &str = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000\ng1-a1/720p.m3u8\n";
const MEDIA: &str = "#EXTM3U\n#EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:4.0,\n0.m4s\n#EXT-X-ENDLIST\n";

fn published() -> TestEdge {
    let test = TestEdge::new();
    test.store.cdn.publish(&format!("{FOLDER}/master.m3u8"), MASTER, Some("\"master-1\""));
    test.store.cdn.publish(&format!("{FOLDER}/g1-a1/720p.m3u8"), MEDIA, None);
    test
}

/// The response to a grant for one address.
async fn granted(test: &TestEdge) -> Value {
    let answer = test.post(GRANT, json!({ "ip": "203.0.113.7", "startsAt": "2026-01-02T03:00:00Z" })).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.json()
}

/// The path of a URL of the API.
fn path(url: &Value) -> String {
    url.as_str().unwrap().strip_prefix(API).unwrap().to_owned()
}

/// Sends a viewer's request, which has no API key.
async fn played(test: &TestEdge, path: &str) -> Answer {
    test.send_with(&[], Method::GET, path, &Value::Null).await
}

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.to_vec()).unwrap()
}

/// The master playlist and the media playlist as a viewer gets them.
async fn playlists(test: &TestEdge, granted: &Value) -> [String; 2] {
    let master = text(&played(test, &path(&granted["hlsUrl"])).await);
    let variant = master.lines().last().unwrap().strip_prefix(API).unwrap();
    let media = text(&played(test, variant).await);
    [master, media]
}

#[tokio::test]
async fn a_limit_to_a_network_is_kept_for_media_files_and_does_not_stop_the_edge() {
    let test = published();
    let granted = granted(&test).await;
    let [_, media] = playlists(&test, &granted).await;
    let segment = media.lines().find(|line| line.contains("0.m4s")).unwrap();
    let condition = verified_policy(segment)["Condition"].clone();
    assert_eq!(condition["IpAddress"], json!({ "AWS:SourceIp": "203.0.113.7/32" }));
    assert!(segment.ends_with(granted["policyQuery"].as_str().unwrap()));
    let anywhere = |url: &str| {
        let statement = verified_policy(url);
        assert!(statement["Condition"]["IpAddress"].is_null(), "the CDN sees the edge's address");
        statement["Resource"].as_str().unwrap().to_owned()
    };
    let requests = test.store.cdn.requests();
    let opened: Vec<String> = requests.iter().map(|url| anywhere(url)).collect();
    let master = format!("{CDN}/{FOLDER}/master.m3u8");
    let variant = format!("{CDN}/{FOLDER}/g1-a1/720p.m3u8");
    assert_eq!(opened, [&master, &master, &variant].map(String::as_str), "each opens one playlist");
    // The CDN refuses the edge's address where the limited policy itself is used for a playlist.
    let limited = format!("/play/{FOLDER}/master.m3u8?{}", granted["policyQuery"].as_str().unwrap());
    let refused = played(&test, &limited).await.json();
    assert_eq!(refused["field"], "Policy");
    assert!(refused["detail"].as_str().unwrap().contains("203.0.113.7/32"), "{refused}");
}

/// The policies without a limit to a network that a viewer learns.
fn unlimited_resources(texts: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for url in texts.iter().flat_map(|text| text.split(['\n', '"'])).filter(|text| text.starts_with("http")) {
        let statement = verified_policy(url);
        if statement["Condition"]["IpAddress"].is_null() {
            found.insert(statement["Resource"].as_str().unwrap().to_owned());
        }
    }
    found
}

/// Whether CloudFront's `*` matches the `?` before a query is not documented. What is signed must be safe if it does.
#[tokio::test]
async fn no_policy_without_the_limit_has_a_wildcard() {
    let test = published();
    let granted = granted(&test).await;
    let [master, media] = playlists(&test, &granted).await;
    let signed: Vec<&str> =
        ["hlsUrl", "signedUrl"].iter().map(|name| granted[*name].as_str().unwrap()).collect();
    let resources = unlimited_resources(&[signed[0], signed[1], &master, &media]);
    assert_eq!(resources, [format!("{CDN}/{FOLDER}/master.m3u8")].into());
}

#[tokio::test]
async fn the_cdn_decides_about_every_playlist_by_the_viewers_signature() {
    let test = published();
    let granted = granted(&test).await;
    let query = path(&granted["hlsUrl"]).split_once('?').unwrap().1.to_owned();
    test.store.cdn.publish("processed/acme/other.mp4.hls/master.m3u8", MASTER, None);
    test.store.cdn.publish("processed/acme/other.mp4.hls/g1-a1/720p.m3u8", MEDIA, None);
    test.store.cdn.publish("processed/acme/playlist.m3u8", MEDIA, None);
    let tampered = query.replacen("Signature=ME", "Signature=MD", 1);
    assert_ne!(tampered, query);
    let variant = format!("{FOLDER}/g1-a1/720p.m3u8");
    for (key, query, field) in [
        ("processed/acme/other.mp4.hls/master.m3u8", &query, "Policy"),
        ("processed/acme/other.mp4.hls/g1-a1/720p.m3u8", &query, "Policy"),
        ("processed/acme/playlist.m3u8", &query, "Policy"),
        (&variant, &tampered, "Signature"),
    ] {
        let refused = played(&test, &format!("/play/{key}?{query}")).await;
        assert_eq!(
            (&*refused.problem(), &refused.json()["field"]),
            ("playback-refused", &json!(field)),
            "{key}"
        );
    }
    let missing = played(&test, &format!("/play/{FOLDER}/g9-a9/720p.m3u8?{query}")).await;
    assert_eq!(missing.problem(), "no-such-playlist");
    test.advance(std::time::Duration::from_hours(1));
    let expired = played(&test, &format!("/play/{variant}?{query}")).await;
    assert_eq!((&*expired.problem(), &expired.json()["field"]), ("playback-refused", &json!("Policy")));
}

/// These parameters are written into every URI without the CDN having seen them.
#[tokio::test]
async fn the_parameters_of_media_files_have_the_form_and_length_in_which_they_are_issued() {
    let test = published();
    let issued = path(&granted(&test).await["hlsUrl"]);
    let url = ParsedUrl::of(&format!("{API}{issued}"));
    let (network, signature) =
        (url.parameter("Media-Ip").unwrap().to_owned(), url.parameter("Media-Signature").unwrap().to_owned());
    let changed = |name: &str, from: &str, to: &str| {
        let issued_pair = format!("&{name}={from}");
        assert!(issued.contains(&issued_pair), "{issued_pair} in {issued}");
        issued.replace(&issued_pair, &if to.is_empty() { String::new() } else { format!("&{name}={to}") })
    };
    let long = "A".repeat(1_028);
    for (name, from, values) in [
        ("Media-Signature", &signature, ["", "AAA", "A*AA", "AAA=", "%22AAA", &long]),
        ("Media-Ip", &network, ["", "203.0.113.7", "203.0.113.7/33", "203.0.113.7/24", "::1/128", "%0A"]),
    ] {
        for value in values {
            let before = test.store.cdn.requests().len();
            let refused = played(&test, &changed(name, from, value)).await;
            assert_eq!((refused.status.as_u16(), &*refused.problem()), (400, "invalid-parameter"), "{value}");
            assert_eq!(refused.json()["field"], name, "{value}");
            assert_eq!(test.store.cdn.requests().len(), before, "the CDN is not asked");
        }
    }
    // The policy of media files is not a parameter: it follows from the others.
    let foreign = encoded(&json!({ "Statement": [] }));
    let with_policy = played(&test, &format!("{issued}&Media-Policy={foreign}")).await;
    assert_eq!(with_policy.status, StatusCode::OK);
    assert!(!text(&with_policy).contains(&foreign));
}

#[tokio::test]
async fn a_refusal_of_the_edges_own_signature_is_not_the_viewers_fault() {
    let test = published();
    let granted = granted(&test).await;
    let [master, _] = playlists(&test, &granted).await;
    let variant = master.lines().last().unwrap().strip_prefix(API).unwrap();
    *test.store.cdn.second.lock().unwrap() =
        Some(Ok(crate::cdn::response(403, "<Error><Code>InvalidKey</Code></Error>")));
    let answer = played(&test, variant).await;
    assert_eq!((answer.status.as_u16(), &*answer.problem()), (503, "unavailable"), "{answer:?}");
}
