//! Multipart uploads, which the API creates at the object store.

use serde_json::{Value, json};

use crate::exchange::ApiResponse;
use crate::session::Session;

const GIB: u64 = 1024 * 1024 * 1024;

async fn upload(session: &Session<'_>, body: &Value) -> ApiResponse {
    session.post("/upload-url").key(&session.keys().uploads).json(body).send().await
}

pub(crate) async fn of_a_large_file(session: &Session<'_>) {
    let at_most = upload(session, &json!({ "filename": "large.mov", "size": 5 * GIB })).await.expect(200);
    assert!(at_most.json()["multipart"].is_null());
    let larger = upload(session, &json!({ "filename": "large.mov", "size": 5 * GIB + 1 })).await.expect(200);
    let parts = larger.json()["multipart"]["parts"].as_array().unwrap().clone();
    assert_eq!(parts.len(), 321);
    assert_eq!(parts.iter().map(|part| part["size"].as_u64().unwrap()).sum::<u64>(), 5 * GIB + 1);
    let largest = json!({ "filename": "largest.mov", "size": 100 * GIB, "contentType": "video/quicktime" });
    let largest = upload(session, &largest).await.expect(200);
    assert_eq!(largest.json()["multipart"]["parts"].as_array().unwrap().len(), 2_000);
    for refused in [
        json!({ "filename": "large.mov", "size": 5 * 1024 * GIB + 1 }),
        json!({ "filename": "large.mov", "size": 100 * GIB + 1 }),
        json!({ "filename": "large.mov", "size": 5 * GIB + 1, "multipart": false }),
        json!({ "filename": "large.mov", "multipart": true }),
        json!({ "filename": "large.mov", "size": 1, "multipart": true, "sha256": "00".repeat(32) }),
        json!({ "filename": "large.mov", "size": 1, "uploadId": "é" }),
    ] {
        upload(session, &refused).await.expect_problem(422, "invalid-body");
    }
}

pub(crate) async fn resumed(session: &Session<'_>) {
    let first = json!({ "filename": "resumed.mp4", "size": 40_000_000, "multipart": true, "expiresIn": 600 });
    let first = upload(session, &first).await.expect(200);
    let upload_id = first.text("/multipart/uploadId");
    let second = json!({ "filename": "resumed.mp4", "size": 40_000_000, "uploadId": upload_id });
    let second = upload(session, &second).await.expect(200);
    assert_eq!(second.text("/multipart/uploadId"), upload_id);
    assert_ne!(second.text("/grantId"), first.text("/grantId"));
    let overwrite = json!({ "filename": "resumed.mp4", "size": 1, "multipart": true, "overwrite": false });
    let kept = upload(session, &overwrite).await.expect(200);
    assert_eq!(kept.json()["multipart"]["completeHeaders"], json!({ "if-none-match": "*" }));
}
