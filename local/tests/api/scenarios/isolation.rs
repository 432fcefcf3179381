//! A project cannot access the videos and uploads of another.

use http::Method;
use serde_json::json;

use crate::history::video_id;
use crate::projects::{ACME, GLOBEX};
use crate::session::Session;

pub(crate) async fn of_videos(session: &Session<'_>) {
    let (acme, globex) = (&session.keys().acme, &session.keys().globex);
    let theirs = format!("/videos/{}", video_id(GLOBEX, "ready.mp4"));
    session.get(&theirs).key(globex).send().await.expect(200);
    for path in [theirs.clone(), format!("{theirs}/events"), format!("{theirs}?asOf=2024-01-02T03:04:05Z")] {
        session.get(&path).key(acme).send().await.expect_problem(404, "no-such-video");
    }
    session.call(Method::DELETE, &theirs).key(acme).send().await.expect_problem(404, "no-such-video");
    let again = session.post(&format!("{theirs}/reprocess")).key(acme);
    again.send().await.expect_problem(404, "no-such-video");
    session.post(&format!("{theirs}/playback")).key(acme).send().await.expect_problem(404, "no-such-video");
    let patch = session.call(Method::PATCH, &theirs).key(acme).json(&json!({ "metadata": { "a": "b" } }));
    patch.send().await.expect_problem(404, "no-such-video");
    let list = session.get("/videos").key(globex).send().await.expect(200).json();
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    let feed = session.get("/events").key(globex).send().await.expect(200);
    assert!(!String::from_utf8_lossy(&feed.body).contains(ACME));
    // A cursor of one project's list is invalid for another's.
    let page = session.get("/videos?limit=1").key(acme).send().await.expect(200);
    let after = format!("/videos?after={}", page.text("/nextCursor"));
    session.get(&after).key(globex).send().await.expect_problem(400, "invalid-parameter");
    session.get(&theirs).key(globex).send().await.expect(200);
}

pub(crate) async fn of_keys_and_uploads(session: &Session<'_>) {
    let (acme, globex) = (&session.keys().acme, &session.keys().globex);
    for key in ["processed/globex/films/ready.mp4", "processed/globex/films/ready.mp4.hls/master.m3u8"] {
        let call = session.post(&format!("/playback-url?key={key}"));
        call.key(acme).send().await.expect_problem(403, "forbidden-key");
        session.post(&format!("/playback-url?key={key}")).key(globex).send().await.expect(200);
    }
    for key in ["processed/globexx/a.mp4", "processed/acme2/a.mp4", "processed/glob/a.mp4"] {
        let call = session.post(&format!("/playback-url?key={key}"));
        call.key(globex).send().await.expect_problem(403, "forbidden-key");
    }
    let repeated = |key| {
        session
            .post("/upload-url")
            .key(key)
            .header("idempotency-key", "shared-word")
            .json(&json!({ "filename": "a.mp4" }))
    };
    let ours = repeated(&session.keys().uploads).send().await.expect(200);
    let theirs = repeated(globex).send().await.expect(200);
    assert_ne!(ours.text("/grantId"), theirs.text("/grantId"));
    assert_eq!(theirs.text("/s3Key"), "projects/globex/a.mp4");
}
