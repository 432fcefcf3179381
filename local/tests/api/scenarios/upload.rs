//! Upload URLs and what is stated in them.

use serde_json::{Value, json};
use streamio_events::timestamp::Timestamp;

use crate::exchange::{Answer, parameter};
use crate::session::Session;
use crate::target::now;

/// How many seconds an answer may take.
const PATIENCE: i64 = 10;

async fn upload(session: &Session<'_>, body: &Value) -> Answer {
    session.post("/upload-url").key(&session.keys().uploads).json(body).send().await
}

/// The seconds for which the URL is signed.
fn lifetime(url: &str) -> u32 {
    parameter(url, "X-Amz-Expires").parse().unwrap()
}

pub(crate) async fn plain(session: &Session<'_>) {
    let answer = upload(session, &json!({ "filename": "plain.mp4" })).await.expect(200);
    assert_eq!(
        (answer.text("/s3Key").as_str(), answer.text("/method").as_str()),
        ("projects/uploads/plain.mp4", "PUT")
    );
    assert_eq!(answer.json()["headers"], json!({}));
    assert_eq!(lifetime(&answer.text("/uploadUrl")), 900);
    let shown = session.get(&format!("/videos/{}", answer.text("/videoId"))).key(&session.keys().uploads);
    let shown = shown.until(|answer| answer.status == 200).await;
    assert_eq!(shown.text("/state"), "waiting");
}

pub(crate) async fn with_every_field(session: &Session<'_>) {
    let stated = [
        ("contentType", json!("video/mp4; codecs=\"avc1\""), "content-type"),
        ("size", json!(5), "content-length"),
        ("sha256", json!("00".repeat(32)), "x-amz-checksum-sha256"),
        ("overwrite", json!(false), "if-none-match"),
    ];
    for chosen in 0..1_u32 << stated.len() {
        let mut body = json!({ "filename": "described.mp4", "path": "films/2026/" });
        let mut expected = Vec::new();
        for (bit, (field, value, header)) in stated.iter().enumerate() {
            if chosen & (1 << bit) != 0 {
                body[*field] = value.clone();
                expected.push(*header);
            }
        }
        let answer = upload(session, &body).await.expect(200).json();
        let headers: Vec<&String> = answer["headers"].as_object().unwrap().keys().collect();
        assert_eq!(headers.len(), expected.len());
        let signed = answer["uploadUrl"].as_str().unwrap();
        assert!(expected.iter().all(|header| signed.contains(header)), "{signed}");
    }
    for neutral in [json!({ "overwrite": true }), json!({ "multipart": false }), json!({ "size": 0 })] {
        let mut body = json!({ "filename": "described.mp4" });
        body.as_object_mut().unwrap().extend(neutral.as_object().unwrap().clone());
        upload(session, &body).await.expect(200);
    }
}

pub(crate) async fn to_odd_names(session: &Session<'_>) {
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
        let answer = upload(session, &json!({ "filename": filename, "path": "odd/é è" })).await.expect(200);
        assert_eq!(answer.text("/s3Key"), format!("projects/uploads/odd/é è/{filename}"));
    }
}

pub(crate) async fn with_metadata_and_lifetimes(session: &Session<'_>) {
    let metadata = json!({ "title": "Été", "empty": "", "n-1": "\"quotes\" \\ / \u{2028} 🎬" });
    let body = json!({ "filename": "words.mp4", "metadata": metadata, "expiresIn": 60 });
    let answer = upload(session, &body).await.expect(200);
    assert_eq!(lifetime(&answer.text("/uploadUrl")), 60);
    let path = format!("/videos/{}", answer.text("/videoId"));
    let shown = session.get(&path).key(&session.keys().uploads).until(|answer| answer.status == 200).await;
    assert_eq!(shown.json()["metadata"], metadata);
    session.get(&format!("{path}/events")).key(&session.keys().uploads).send().await.expect(200);
    for (seconds, accepted) in [(1, true), (604_800, true), (0, false), (604_801, false)] {
        let answer = upload(session, &json!({ "filename": "words.mp4", "expiresIn": seconds })).await;
        if accepted {
            assert_eq!(lifetime(&answer.expect(200).text("/uploadUrl")), seconds);
        } else {
            answer.expect_problem(422, "invalid-body");
        }
    }
}

/// The times that a transcript does not show: what is answered is what is signed, and begins now.
pub(crate) async fn for_as_long_as_was_asked(session: &Session<'_>) {
    for seconds in [60, 900, 604_800] {
        let asked = now();
        let answer =
            upload(session, &json!({ "filename": "timed.mp4", "expiresIn": seconds })).await.expect(200);
        let signed_at = parameter(&answer.text("/uploadUrl"), "X-Amz-Date").to_owned();
        let expires_at: Timestamp = answer.text("/expiresAt").parse().unwrap();
        let began = Timestamp::from_unix_seconds(expires_at.unix_seconds() - seconds);
        let compact = began.to_string().replace(['-', ':'], "").replace(".000Z", "Z");
        assert_eq!(compact, signed_at);
        let waited = i64::abs(began.unix_seconds() - asked.unix_seconds());
        assert!(waited <= PATIENCE, "{waited} seconds away");
    }
}
