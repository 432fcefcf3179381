//! Uploads with upload URLs, and their processing.

use std::fmt::Write as _;

use http::Method;
use serde_json::{Value, json};

use crate::exchange::ApiResponse;
use crate::session::Session;

async fn upload(session: &Session<'_>, body: &Value) -> ApiResponse {
    session.post("/upload-url").key(&session.keys().uploads).json(body).send().await.expect(200)
}

/// Puts `content` with the URL and headers of the grant.
async fn put(session: &Session<'_>, grant: &ApiResponse, content: &[u8]) -> ApiResponse {
    let headers = grant.json()["headers"].clone();
    let headers: Vec<(&str, &str)> = headers
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
        .collect();
    session.follow(Method::PUT, &grant.text("/uploadUrl"), &headers, content).await
}

/// Waits until the upload is being processed, and reads its events.
async fn wait_until_processing(session: &Session<'_>, grant: &ApiResponse) {
    let path = format!("/videos/{}", grant.text("/videoId"));
    let uploads = &session.keys().uploads;
    let shown = session.get(&path).key(uploads);
    shown.until(|response| response.status == 200 && response.text("/state") == "processing").await;
    let events = session.get(&format!("{path}/events")).key(uploads);
    // The grant may be recorded later.
    let all = ["upload.granted", "upload.completed", "processing.dispatched"];
    let has_all = |response: &ApiResponse| {
        let text = String::from_utf8_lossy(&response.body).into_owned();
        all.iter().all(|kind| text.contains(kind))
    };
    events.until(has_all).await;
}

/// Waits until the grant is recorded, so that later events come after it in the video's stream.
async fn wait_until_recorded(session: &Session<'_>, grant: &ApiResponse) {
    let path = format!("/videos/{}", grant.text("/videoId"));
    session.get(&path).key(&session.keys().uploads).until(|response| response.status == 200).await;
}

pub(crate) async fn a_put(session: &Session<'_>) {
    let grant = upload(session, &json!({ "filename": "used.mp4", "path": "put" })).await;
    wait_until_recorded(session, &grant).await;
    put(session, &grant, b"bytes").await.expect(200);
    wait_until_processing(session, &grant).await;
    let url = grant.text("/uploadUrl");
    session.follow(Method::GET, &url, &[], b"").await.expect(403);
    session.follow(Method::PUT, &url.replace("used.mp4", "other.mp4"), &[], b"bytes").await.expect(403);
    let longer = url.replace("X-Amz-Expires=900", "X-Amz-Expires=9000");
    session.follow(Method::PUT, &longer, &[], b"bytes").await.expect(403);
}

pub(crate) async fn a_put_with_declared_properties(session: &Session<'_>) {
    // The SHA-256 of `bytes`.
    let sha256 = "277089d91c0bdf4f2e6862ba7e4a07605119431f5d13f726dd352b06f1b206a9";
    let body = json!({
        "filename": "été \"1\" +&.mp4", "path": "put", "contentType": "video/mp4", "size": 5, "sha256": sha256
    });
    let grant = upload(session, &body).await;
    wait_until_recorded(session, &grant).await;
    assert_ne!(put(session, &grant, b"bytez").await.status, 200, "another content");
    assert_ne!(put(session, &grant, b"bytes and more").await.status, 200, "another length");
    put(session, &grant, b"bytes").await.expect(200);
    wait_until_processing(session, &grant).await;
}

pub(crate) async fn only_if_new(session: &Session<'_>) {
    let body = json!({ "filename": "once.mp4", "path": "put", "overwrite": false });
    let grant = upload(session, &body).await;
    wait_until_recorded(session, &grant).await;
    put(session, &grant, b"bytes").await.expect(200);
    put(session, &grant, b"other").await.expect(412);
    wait_until_processing(session, &grant).await;
}

pub(crate) async fn in_parts(session: &Session<'_>) {
    const PART: usize = 16 * 1024 * 1024;
    let body = json!({ "filename": "parts.mp4", "path": "put", "size": PART + 3, "multipart": true });
    let grant = upload(session, &body).await;
    wait_until_recorded(session, &grant).await;
    let mut list = String::new();
    for (index, size) in [PART, 3].into_iter().enumerate() {
        let url = grant.text(&format!("/multipart/parts/{index}/url"));
        let stored = session.store_part(&url, &vec![b'x'; size]).await;
        let number = index + 1;
        write!(list, "<Part><PartNumber>{number}</PartNumber><ETag>{stored}</ETag></Part>").unwrap();
    }
    let list = format!("<CompleteMultipartUpload>{list}</CompleteMultipartUpload>");
    let complete = grant.text("/multipart/completeUrl");
    session.follow(Method::POST, &complete, &[], list.as_bytes()).await.expect(200);
    wait_until_processing(session, &grant).await;
}

pub(crate) async fn aborted(session: &Session<'_>) {
    let grant = upload(session, &json!({ "filename": "aborted.mp4", "size": 3, "multipart": true })).await;
    let abort = grant.text("/multipart/abortUrl");
    session.follow(Method::DELETE, &abort, &[], b"").await.expect(204);
    let part = grant.text("/multipart/parts/0/url");
    session.follow(Method::PUT, &part, &[], b"xyz").await.expect(404);
}
