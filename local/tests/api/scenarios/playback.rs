//! Playback URLs and the responses of the CDN to them.

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Value, json};
use streamio_events::timestamp::Timestamp;

use crate::exchange::{ApiResponse, parameter};
use crate::history::video_id;
use crate::projects::ACME;
use crate::session::{Call, Session};
use crate::target::now;

/// The longest time for a response, in seconds.
const MAX_SECONDS: i64 = 10;

const MP4: &str = "/playback-url?key=processed/acme/films/ready.mp4";

fn playback<'a>(session: &'a Session<'_>, body: &Value) -> Call<'a> {
    session.post(MP4).key(&session.keys().table.playback).json(body)
}

/// Writes the outputs of the history's video.
async fn publish(session: &Session<'_>) {
    let master = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000\ng1-a1/v%201.m3u8\n";
    let media = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4.0,\n0001.m4s\n#EXT-X-ENDLIST\n";
    session.publish("processed/acme/films/ready.mp4", "video/mp4", "the whole film").await;
    let folder = "processed/acme/films/ready.mp4.hls";
    session.publish(&format!("{folder}/master.m3u8"), "application/vnd.apple.mpegurl", master).await;
    session.publish(&format!("{folder}/g1-a1/v 1.m3u8"), "application/vnd.apple.mpegurl", media).await;
    session.publish(&format!("{folder}/g1-a1/0001.m4s"), "video/iso.segment", "one segment").await;
    session.publish("processed/acme/films/other.mp4", "video/mp4", "another film").await;
}

async fn get(session: &Session<'_>, url: &str) -> ApiResponse {
    session.follow(Method::GET, url, &[], b"").await
}

pub(crate) async fn of_a_file(session: &Session<'_>) {
    publish(session).await;
    let response = session.post(MP4).key(&session.keys().table.playback).send().await.expect(200);
    let url = response.text("/signedUrl");
    assert_eq!(get(session, &url).await.expect(200).body, "the whole film");
    get(session, &url.replace("ready.mp4", "other.mp4")).await.expect(403);
    let (before, after) = url.split_once("Expires=").unwrap();
    let longer = format!("{before}Expires=2100000000{}", &after[after.find('&').unwrap()..]);
    get(session, &longer).await.expect(403);
    get(session, url.split_once('?').unwrap().0).await.expect(403);
    let requested = playback(session, &json!({ "format": "mp4", "ttl": 60 })).send().await.expect(200);
    get(session, &requested.text("/signedUrl")).await.expect(200);
    for ttl in [1, 604_800] {
        playback(session, &json!({ "ttl": ttl })).send().await.expect(200);
    }
    // Signing does not check that the object exists.
    let nothing = session.post("/playback-url?key=processed/acme/never.mp4").send().await.expect(200);
    get(session, &nothing.text("/signedUrl")).await.expect(404);
}

pub(crate) async fn of_a_video(session: &Session<'_>) {
    publish(session).await;
    session.publish("processed/acme/films/ready.mp4.images/poster.jpg", "image/jpeg", "a picture").await;
    let post = |filename: &str| session.post(&format!("/videos/{}/playback", video_id(ACME, filename)));
    let response = post("ready.mp4").json(&json!({ "ttl": 600 })).send().await.expect(200);
    assert!(get(session, &response.text("/hlsUrl")).await.expect(200).body.starts_with(b"#EXTM3U"));
    assert_eq!(get(session, &response.text("/mp4Url")).await.expect(200).body, "the whole film");
    assert_eq!(get(session, &response.text("/posterUrl")).await.expect(200).body, "a picture");
    let elsewhere = post("ready.mp4").json(&json!({ "ip": "203.0.113.7" })).send().await.expect(200);
    for url in ["/mp4Url", "/posterUrl"] {
        get(session, &elsewhere.text(url)).await.expect(403);
    }
    // Playlists can be read from every address, because the edge reads them for the viewer.
    get(session, &elsewhere.text("/hlsUrl")).await.expect(200);
    for filename in ["waiting.mp4", "errored.mp4", "deleted.mp4"] {
        post(filename).send().await.expect_problem(409, "video-conflict");
    }
    post("never.mp4").send().await.expect_problem(404, "no-such-video");
    post("ready.mp4").json(&json!({ "format": "hls" })).send().await.expect_problem(422, "invalid-body");
    post("ready.mp4").key(&session.keys().table.read).send().await.expect_problem(403, "missing-scope");
}

pub(crate) async fn of_a_stream(session: &Session<'_>) {
    publish(session).await;
    let master = session.post(&format!("{MP4}.hls/master.m3u8")).send().await.expect(200);
    assert_ne!(master.text("/signedUrl"), master.text("/hlsUrl"));
    let response = playback(session, &json!({ "format": "hls" })).send().await.expect(200);
    let url = response.text("/signedUrl");
    let playlist = get(session, &url).await.expect(200);
    assert!(playlist.body.ends_with(b"\ng1-a1/v%201.m3u8\n"), "the CDN changes nothing");
    let query = response.text("/policyQuery");
    let folder = url.split_once("master.m3u8").unwrap().0.to_owned();
    let segment = format!("{folder}g1-a1/0001.m4s");
    get(session, &format!("{segment}?{query}")).await.expect(200);
    get(session, &segment).await.expect(403);
    let outside = folder.replace("ready.mp4.hls/", "other.mp4");
    get(session, &format!("{outside}?{query}")).await.expect(403);
    let cookies = response.json()["cookies"].clone();
    let cookies: Vec<String> = cookies
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| format!("{name}={}", value.as_str().unwrap()))
        .collect();
    let cookies = cookies.join("; ");
    let by_cookie = session.follow(Method::GET, &segment, &[("cookie", &cookies)], b"").await.expect(200);
    assert_eq!(by_cookie.body, "one segment");
}

/// The path and query of a playlist at the API, from an `hlsUrl` or a playlist.
fn play_path<'a>(session: &Session<'_>, url: &'a str) -> &'a str {
    url.strip_prefix(&session.api("")).unwrap_or_else(|| panic!("{url} does not lead to the API"))
}

/// The first URI in a playlist.
fn first_uri(playlist: &ApiResponse) -> String {
    let text = std::str::from_utf8(&playlist.body).unwrap();
    text.lines().find(|line| !line.is_empty() && !line.starts_with('#')).unwrap().to_owned()
}

/// Follows the URIs only, as a player does that can add neither a query nor a cookie.
pub(crate) async fn of_any_player(session: &Session<'_>) {
    publish(session).await;
    for conditions in [json!({ "format": "hls" }), json!({ "format": "hls", "ip": "127.0.0.1" })] {
        let url = playback(session, &conditions).send().await.expect(200).text("/hlsUrl");
        let path = play_path(session, &url);
        let master = session.get(path).without_key().send().await.expect(200);
        assert_eq!(master.header("content-type"), Some("application/vnd.apple.mpegurl"));
        let variant = first_uri(&master);
        let media = session.get(play_path(session, &variant)).without_key().send().await.expect(200);
        let segment = get(session, &first_uri(&media)).await.expect(200);
        assert_eq!(segment.body, "one segment");

        let etag = master.header("etag").unwrap();
        let again = session.get(path).without_key().header("if-none-match", etag).send().await.expect(304);
        assert_eq!((again.body.len(), again.header("etag")), (0, Some(etag)));
        let head = session.call(Method::HEAD, path).without_key().send_unrecorded().await.expect(200);
        assert_eq!(head.header("content-length"), Some(&*master.body.len().to_string()));
        let range = session.get(path).without_key().header("range", "bytes=0-3").send().await.expect(200);
        assert_eq!(range.body, master.body);
    }
}

/// The CDN's parameters in a URL: a signature as a viewer may add it to another URL.
fn signature_of(url: &str) -> Option<String> {
    const NAMES: [&str; 5] = ["Expires", "Policy", "Signature", "Key-Pair-Id", "Hash-Algorithm"];
    let query = url.split_once('?')?.1;
    let own = query.split('&').filter(|pair| NAMES.contains(&pair.split('=').next().unwrap_or_default()));
    Some(own.collect::<Vec<_>>().join("&")).filter(|query| query.contains("Signature="))
}

/// No signature that a viewer elsewhere learns from a grant for one network opens a media file, whatever is added to its URL.
pub(crate) async fn bound_to_a_network(session: &Session<'_>) {
    publish(session).await;
    let limited = json!({ "format": "hls", "ip": "203.0.113.7" });
    let granted = playback(session, &limited).send().await.expect(200);
    let hls_url = granted.text("/hlsUrl");
    let master = session.get(play_path(session, &hls_url)).without_key().send().await.expect(200);
    let variant = first_uri(&master);
    let media = session.get(play_path(session, &variant)).without_key().send().await.expect(200);
    let segment = first_uri(&media);
    let urls = [hls_url, granted.text("/signedUrl"), variant, segment.clone()];
    let signatures: BTreeSet<String> = urls.iter().filter_map(|url| signature_of(url)).collect();
    assert_eq!(signatures.len(), 2, "one for the master playlist, one for all files with the limit");
    let segment = segment.split_once('?').unwrap().0;
    for signature in &signatures {
        for added in [
            "",
            "?.m3u8",
            "?x=.m3u8",
            "?x=/master.m3u8",
            "?/master.m3u8",
            "?master.m3u8",
            "?a=1&x=/g1-a1/v%201.m3u8",
            "?x=%2Emaster.m3u8",
        ] {
            let separator = if added.is_empty() { '?' } else { '&' };
            for url in [
                format!("{segment}{added}{separator}{signature}"),
                // The parameter that ends the URL in the CDN's view, after its own parameters are removed.
                format!("{segment}?{signature}&{}", added.trim_start_matches('?')),
            ] {
                get(session, &url).await.expect(403);
            }
        }
        for added in ["%3F.m3u8", ";.m3u8", "/.m3u8", "%2F..%2Fmaster.m3u8", "/../master.m3u8"] {
            let refused = get(session, &format!("{segment}{added}?{signature}")).await;
            assert!(matches!(refused.status.as_u16(), 403 | 404), "{added}: {refused:?}");
        }
    }
}

/// The refusals of playlists: those of the CDN with their reason, and those of the API itself.
pub(crate) async fn of_a_refused_player(session: &Session<'_>) {
    publish(session).await;
    let refused = async |url: &str, field: &str, reason: &str| {
        let path = play_path(session, url);
        let response = session.get(path).without_key().send().await.expect_problem(403, "playback-refused");
        assert_eq!(response.text("/field"), field, "{url}");
        assert!(response.text("/detail").contains(reason), "{}", response.text("/detail"));
    };
    let grant = async |conditions: Value| {
        let mut conditions = conditions;
        conditions["format"] = "hls".into();
        playback(session, &conditions).send().await.expect(200).text("/hlsUrl")
    };
    let url = grant(json!({})).await;
    refused(url.split_once('?').unwrap().0, "Policy", "is missing").await;
    let (before, after) = url.split_once("Signature=").unwrap();
    let other = if after.starts_with('M') { "N" } else { "M" };
    refused(&format!("{before}Signature={other}{}", &after[1..]), "Signature", "does not belong").await;
    refused(&url.replace("Key-Pair-Id=", "Key-Pair-Id=X"), "Key-Pair-Id", "names no key pair").await;
    refused(&url.replace("ready.mp4.hls", "other.mp4.hls"), "Policy", "is for other files").await;
    refused(&grant(json!({ "startsAt": "2037-01-02T03:04:05Z" })).await, "Policy", "not valid before").await;
    refused(&format!("{url}&Expires=1"), "Expires", "single file").await;

    let missing = url.replace("master.m3u8", "missing.m3u8");
    let missing = session.get(play_path(session, &missing)).without_key().send().await;
    missing.expect_problem(404, "no-such-playlist");
    let segment = url.replace("master.m3u8", "g1-a1/0001.m4s");
    let segment = session.get(play_path(session, &segment)).without_key().send().await;
    assert_eq!(segment.expect_problem(400, "invalid-parameter").text("/field"), "key");
    session.publish("processed/acme/films/ready.mp4.hls/text.m3u8", "text/plain", "no playlist").await;
    let text = url.replace("master.m3u8", "text.m3u8");
    session.get(play_path(session, &text)).without_key().send().await.expect_problem(502, "invalid-playlist");
    // Media files keep the limit to a network, and playlists are not limited by it.
    let limited = grant(json!({ "ip": "203.0.113.0/24" })).await;
    let master = session.get(play_path(session, &limited)).without_key().send().await.expect(200);
    let media = session.get(play_path(session, &first_uri(&master))).without_key().send().await.expect(200);
    get(session, &first_uri(&media)).await.expect(403);
}

/// Checks the times that the transcript does not contain: the returned expiry is the signed one and starts now.
pub(crate) async fn with_the_requested_lifetime(session: &Session<'_>) {
    for seconds in [1, 3600, 604_800] {
        let requested = now();
        let response = playback(session, &json!({ "ttl": seconds })).send().await.expect(200);
        let expires_at: Timestamp = response.text("/expiresAt").parse().unwrap();
        let signed: i64 = parameter(&response.text("/signedUrl"), "Expires").parse().unwrap();
        assert_eq!(signed, expires_at.unix_seconds());
        let difference = i64::abs(signed - seconds - requested.unix_seconds());
        assert!(difference <= MAX_SECONDS, "{difference} seconds away");
    }
}

pub(crate) async fn with_conditions(session: &Session<'_>) {
    publish(session).await;
    let mine = playback(session, &json!({ "ip": "127.0.0.1" })).send().await.expect(200);
    get(session, &mine.text("/signedUrl")).await.expect(200);
    let other = playback(session, &json!({ "ip": "203.0.113.0/24", "format": "hls" })).send().await;
    get(session, &other.expect(200).text("/signedUrl")).await.expect(403);
    let later = json!({ "startsAt": "2037-01-02T04:04:05.9+01:00", "ttl": 60 });
    let later = playback(session, &later).send().await.expect(200);
    assert_eq!(later.text("/expiresAt"), "2037-01-02T03:05:05.000Z");
    get(session, &later.text("/signedUrl")).await.expect(403);
    let all =
        json!({ "startsAt": "2037-01-02T03:04:05Z", "ip": "203.0.113.7", "ttl": 3600, "format": "hls" });
    playback(session, &all).send().await.expect(200);
    let started = playback(session, &json!({ "startsAt": "2020-01-02T03:04:05Z" })).send().await.expect(200);
    get(session, &started.text("/signedUrl")).await.expect(200);
}

pub(crate) async fn of_unusual_names(session: &Session<'_>) {
    for (encoded, key) in [
        ("%C3%A9t%C3%A9%20%F0%9F%8E%AC.mp4", "été 🎬.mp4"),
        ("a%2Bb%26c%3Dd%23e.mp4", "a+b&c=d#e.mp4"),
        ("a+b.mp4", "a b.mp4"),
        ("100%25.mp4", "100%.mp4"),
        ("%2A%3F%22%7D%27%28%29%21.mp4", "*?\"}'()!.mp4"),
        ("deep/er/%5B1%5D%20(2).mp4", "deep/er/[1] (2).mp4"),
    ] {
        session.publish(&format!("processed/acme/{key}"), "video/mp4", key).await;
        let path = format!("/playback-url?key=processed/acme/{encoded}");
        let response = session.post(&path).send().await.expect(200);
        let film = get(session, &response.text("/signedUrl")).await.expect(200);
        assert_eq!(film.body, key);
        session.post(&path).json(&json!({ "format": "hls" })).send().await.expect(200);
    }
}

pub(crate) async fn refused(session: &Session<'_>) {
    let upload_only = session.post(MP4).key(&session.keys().table.upload).send().await;
    upload_only.expect_problem(403, "missing-scope");
    for body in [
        json!({ "ttl": 604_801 }),
        json!({ "ip": "203.0.113.7/24", "format": "HLS", "tll": 1 }),
        json!({ "startsAt": "2037-12-31T00:00:00Z", "ttl": 604_800, "ip": null }),
        json!({ "format": { "hls": true } }),
    ] {
        playback(session, &body).send().await;
    }
    session.post("/playback-url").send().await.expect_problem(400, "invalid-parameter");
    let both = format!("{MP4}&key=processed/acme/a.mp4");
    session.post(&both).send().await.expect_problem(400, "invalid-parameter");
    let poster = "/playback-url?key=processed/acme/films/ready.mp4.images/poster.jpg";
    session.post(poster).send().await.expect(200);
    session.post(poster).json(&json!({ "format": "hls" })).send().await.expect_problem(422, "invalid-body");
}
