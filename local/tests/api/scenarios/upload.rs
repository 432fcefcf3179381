//! Upload URLs and the properties that they declare.

use serde_json::{Value, json};
use streamio_events::timestamp::Timestamp;

use crate::exchange::{ApiResponse, parameter};
use crate::session::Session;
use crate::target::now;

/// The longest time for a response, in seconds.
const MAX_SECONDS: i64 = 10;

async fn upload(session: &Session<'_>, body: &Value) -> ApiResponse {
    session.post("/upload-url").key(&session.keys().uploads).json(body).send().await
}

/// The seconds for which the URL is signed.
fn lifetime(url: &str) -> u32 {
    parameter(url, "X-Amz-Expires").parse().unwrap()
}

pub(crate) async fn plain(session: &Session<'_>) {
    let response = upload(session, &json!({ "filename": "plain.mp4" })).await.expect(200);
    assert_eq!(
        (response.text("/s3Key").as_str(), response.text("/method").as_str()),
        ("projects/uploads/plain.mp4", "PUT")
    );
    assert_eq!(response.json()["headers"], json!({}));
    assert_eq!(lifetime(&response.text("/uploadUrl")), 900);
    let shown = session.get(&format!("/videos/{}", response.text("/videoId"))).key(&session.keys().uploads);
    let shown = shown.until(|response| response.status == 200).await;
    assert_eq!(shown.text("/state"), "waiting");
}

pub(crate) async fn with_every_field(session: &Session<'_>) {
    let properties = [
        ("contentType", json!("video/mp4; codecs=\"avc1\""), "content-type"),
        ("size", json!(5), "content-length"),
        ("sha256", json!("00".repeat(32)), "x-amz-checksum-sha256"),
        ("overwrite", json!(false), "if-none-match"),
    ];
    for chosen in 0..1_u32 << properties.len() {
        let mut body = json!({ "filename": "described.mp4", "path": "films/2026/" });
        let mut expected = Vec::new();
        for (bit, (field, value, header)) in properties.iter().enumerate() {
            if chosen & (1 << bit) != 0 {
                body[*field] = value.clone();
                expected.push(*header);
            }
        }
        let response = upload(session, &body).await.expect(200).json();
        let headers: Vec<&String> = response["headers"].as_object().unwrap().keys().collect();
        // Scripts in a browser may not set `content-length`; the browser does by itself.
        let mut to_set: Vec<&str> =
            expected.iter().copied().filter(|name| *name != "content-length").collect();
        to_set.sort_unstable();
        assert_eq!(headers, to_set);
        let signed = response["uploadUrl"].as_str().unwrap();
        assert!(expected.iter().all(|header| signed.contains(header)), "{signed}");
    }
    for refused in [
        json!({ "size": 107_374_182_401_u64 }),
        json!({ "unique": true, "uploadId": "x", "size": 1 }),
        json!({ "unique": true, "overwrite": true }),
    ] {
        let mut body = json!({ "filename": "described.mp4" });
        body.as_object_mut().unwrap().extend(refused.as_object().unwrap().clone());
        upload(session, &body).await.expect_problem(422, "invalid-body");
    }
    for neutral in [json!({ "overwrite": true }), json!({ "multipart": false }), json!({ "size": 0 })] {
        let mut body = json!({ "filename": "described.mp4" });
        body.as_object_mut().unwrap().extend(neutral.as_object().unwrap().clone());
        upload(session, &body).await.expect(200);
    }
}

pub(crate) async fn with_a_unique_key(session: &Session<'_>) {
    let body = json!({ "filename": "IMG_0001.mp4", "path": "phones", "unique": true });
    let grant = async |key: &str| {
        let call = session.post("/upload-url").key(&session.keys().uploads).header("idempotency-key", key);
        call.json(&body).send().await.expect(200)
    };
    let first = grant("unique-1").await;
    let key = first.text("/s3Key");
    let folder = key.strip_prefix("projects/uploads/phones/").unwrap().strip_suffix("/IMG_0001.mp4").unwrap();
    assert_eq!(folder.len(), 16);
    assert_eq!(grant("unique-1").await.text("/s3Key"), key);
    assert_ne!(grant("unique-2").await.text("/s3Key"), key);
}

pub(crate) async fn to_unusual_names(session: &Session<'_>) {
    for filename in [
        "été à la mer 🎬.mp4",
        "a+b&c=d?e#f%g.mp4",
        "\"quoted\" 'name' <x>.mp4",
        "*()!~.mp4",
        " spaces .mp4",
        ".hidden",
        "日本語.mp4",
        "שלום.mov",
        "no-extension",
        &format!("{}.mp4", "a".repeat(200)),
    ] {
        let response = upload(session, &json!({ "filename": filename, "path": "odd/é è" })).await.expect(200);
        assert_eq!(response.text("/s3Key"), format!("projects/uploads/odd/é è/{filename}"));
    }
}

pub(crate) async fn with_metadata_and_lifetimes(session: &Session<'_>) {
    let metadata = json!({ "title": "Été", "empty": "", "n-1": "\"quotes\" \\ / \u{2028} 🎬" });
    let body = json!({ "filename": "words.mp4", "metadata": metadata, "expiresIn": 60 });
    let response = upload(session, &body).await.expect(200);
    assert_eq!(lifetime(&response.text("/uploadUrl")), 60);
    let path = format!("/videos/{}", response.text("/videoId"));
    let shown =
        session.get(&path).key(&session.keys().uploads).until(|response| response.status == 200).await;
    assert_eq!(shown.json()["metadata"], metadata);
    session.get(&format!("{path}/events")).key(&session.keys().uploads).send().await.expect(200);
    for (seconds, accepted) in [(1, true), (604_800, true), (0, false), (604_801, false)] {
        let response = upload(session, &json!({ "filename": "words.mp4", "expiresIn": seconds })).await;
        if accepted {
            assert_eq!(lifetime(&response.expect(200).text("/uploadUrl")), seconds);
        } else {
            response.expect_problem(422, "invalid-body");
        }
    }
}

/// Checks the times that the transcript does not contain: the returned expiry is the signed one and starts now.
pub(crate) async fn with_the_requested_lifetime(session: &Session<'_>) {
    for seconds in [60, 900, 604_800] {
        let requested = now();
        let response =
            upload(session, &json!({ "filename": "timed.mp4", "expiresIn": seconds })).await.expect(200);
        let signed_at = parameter(&response.text("/uploadUrl"), "X-Amz-Date").to_owned();
        let expires_at: Timestamp = response.text("/expiresAt").parse().unwrap();
        let started_at = Timestamp::from_unix_seconds(expires_at.unix_seconds() - seconds);
        let compact = started_at.to_string().replace(['-', ':'], "").replace(".000Z", "Z");
        assert_eq!(compact, signed_at);
        let difference = i64::abs(started_at.unix_seconds() - requested.unix_seconds());
        assert!(difference <= MAX_SECONDS, "{difference} seconds away");
    }
}
