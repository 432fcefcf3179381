//! A repeated request with the same Idempotency-Key returns the same grant. If grants are recorded through a queue, the
//! times in the response may differ.

use futures::future::join_all;
use http::Method;
use serde_json::{Value, json};

use crate::exchange::ApiResponse;
use crate::history::video_id;
use crate::projects::{ACME, COMMANDS};
use crate::session::Session;

async fn upload(session: &Session<'_>, key: &str, body: &Value) -> ApiResponse {
    let call = session.post("/upload-url").key(&session.keys().uploads).header("idempotency-key", key);
    call.json(body).send().await.expect(200)
}

async fn events_of(session: &Session<'_>, grant: &ApiResponse) -> Vec<Value> {
    let path = format!("/videos/{}/events", grant.text("/videoId"));
    let events =
        session.get(&path).key(&session.keys().uploads).until(|response| response.status == 200).await;
    events.json()["data"].as_array().unwrap().clone()
}

pub(crate) async fn an_upload(session: &Session<'_>) {
    let body = json!({ "filename": "repeated.mp4", "size": 5, "metadata": { "a": "1", "b": "2" } });
    let first = upload(session, "upload-1", &body).await;
    assert_eq!(events_of(session, &first).await.len(), 1);
    let again = upload(session, "upload-1", &body).await;
    assert_eq!(again.text("/grantId"), first.text("/grantId"));
    let replayed = (!session.forgets_grants()).then_some("true");
    assert_eq!(
        (first.header("idempotency-replayed"), again.header("idempotency-replayed")),
        (None, replayed)
    );
    // Another order of the same fields is the same request.
    let reordered = r#"{"metadata":{"b":"2","a":"1"},"size":5,"filename":"repeated.mp4"}"#;
    let call = session.post("/upload-url").key(&session.keys().uploads).header("idempotency-key", "upload-1");
    let reordered = call.header("content-type", "application/json").body(reordered).send().await.expect(200);
    assert_eq!(reordered.text("/grantId"), first.text("/grantId"));
    let other_key = upload(session, "upload-2", &body).await;
    assert_ne!(other_key.text("/grantId"), first.text("/grantId"));
    for other in [json!({ "filename": "repeated.mp4", "size": 6 }), json!({ "filename": "other.mp4" })] {
        let call =
            session.post("/upload-url").key(&session.keys().uploads).header("idempotency-key", "upload-1");
        call.json(&other).send().await.expect_problem(422, "reused-idempotency-key");
    }
    let path = format!("/videos/{}/events", first.text("/videoId"));
    // A queue may deliver them in any order. Through a queue each expiry is recorded, and requests of one second have the same.
    let is_queue = session.forgets_grants();
    let counted = |response: &ApiResponse| {
        let count = response.json()["data"].as_array().unwrap().len();
        count == 2 || is_queue && count > 2
    };
    session.get(&path).key(&session.keys().uploads).until_unrecorded(counted).await;
}

pub(crate) async fn an_upload_at_the_same_time(session: &Session<'_>) {
    let upload = || {
        let call =
            session.post("/upload-url").key(&session.keys().uploads).header("idempotency-key", "at-once");
        call.json(&json!({ "filename": "at-once.mp4" })).send_unrecorded()
    };
    let responses = join_all((0..8).map(|_| upload())).await;
    let first = responses[0].text("/grantId");
    for response in responses {
        assert_eq!(response.expect(200).text("/grantId"), first);
    }
    let once = upload().await.expect(200);
    let recorded = events_of(session, &once).await;
    assert!(recorded.len() == 1 || session.forgets_grants(), "{recorded:?}");
    assert!(recorded.iter().all(|event| event["data"]["grantId"] == *first), "{recorded:?}");
}

pub(crate) async fn an_upload_in_parts(session: &Session<'_>) {
    let body = json!({ "filename": "parts-repeated.mp4", "size": 20_000_000, "multipart": true });
    let first = upload(session, "parts-1", &body).await;
    assert_eq!(events_of(session, &first).await.len(), 1);
    let call = session.post("/upload-url").key(&session.keys().uploads).header("idempotency-key", "parts-1");
    let call = call.json(&body);
    // Not recorded, because with one journal the repeated request has another expiry.
    let again = call.send_unrecorded().await.expect(200);
    let [first_upload, its_upload] = [&first, &again].map(|response| response.text("/multipart/uploadId"));
    assert_eq!(its_upload, first_upload, "the repeated request continues the upload of the first");
    assert_eq!(again.text("/grantId"), first.text("/grantId"));
    assert!(events_of(session, &first).await.len() == 1 || session.forgets_grants());
}

pub(crate) async fn a_playback(session: &Session<'_>) {
    let of_video = format!("/videos/{}/playback", video_id(ACME, "ready.mp4"));
    for path in ["/playback-url?key=processed/acme/films/ready.mp4", &of_video] {
        let playback = async |key: &str, body: Value| {
            session.post(path).header("idempotency-key", key).json(&body).send().await
        };
        let first = playback("playback-1", json!({ "ttl": 600 })).await.expect(200);
        let again = playback("playback-1", json!({ "ttl": 600 })).await.expect(200);
        assert_eq!(again.text("/grantId"), first.text("/grantId"));
        let other = playback("playback-2", json!({ "ttl": 600 })).await.expect(200);
        assert_ne!(other.text("/grantId"), first.text("/grantId"));
        for other in [json!({ "ttl": 601 }), json!({ "ttl": 600, "ip": "203.0.113.7" })] {
            let refused = playback("playback-1", other).await;
            refused.expect_problem(422, "reused-idempotency-key");
        }
    }
}

pub(crate) async fn a_command(session: &Session<'_>) {
    let path = format!("/videos/{}/reprocess", video_id(COMMANDS, "again.mp4"));
    let command = async |key: &str| {
        let call = session.call(Method::POST, &path).key(&session.keys().commands);
        call.header("idempotency-key", key).send_unrecorded().await
    };
    let first = command("command-1").await.expect(202);
    let again = command("command-1").await.expect(202);
    assert_eq!(again.json()["generation"], first.json()["generation"]);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    command("command-2").await.expect_problem(409, "video-conflict");
    let shown = session.get(path.trim_end_matches("/reprocess")).key(&session.keys().commands);
    let shown = shown.until(|response| response.text("/state") == "processing").await;
    assert_eq!(shown.json()["generation"], 2);
}
