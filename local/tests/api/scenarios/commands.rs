//! Deletion and reprocessing. The returned state is that of the video itself; the feed and the list are updated later.

use http::Method;
use serde_json::json;

use crate::history::video_id;
use crate::projects::COMMANDS;
use crate::session::{Call, Session};

fn call<'a>(session: &'a Session<'_>, method: Method, path: &str) -> Call<'a> {
    session.call(method, path).key(&session.keys().commands)
}

pub(crate) async fn a_deletion(session: &Session<'_>) {
    let path = format!("/videos/{}", video_id(COMMANDS, "ready.mp4"));
    let deleted = call(session, Method::DELETE, &path).send().await.expect(200);
    assert_eq!(deleted.text("/state"), "deleted");
    // The removal of its outputs and of its source, which has no version, is recorded next.
    let removed = deleted.json()["version"].as_u64().unwrap() + 2;
    let shown =
        call(session, Method::GET, &path).until(|response| response.json()["version"] == removed).await;
    let mut expected = deleted.json();
    (expected["version"], expected["updatedAt"]) = (json!(removed), shown.json()["updatedAt"].clone());
    assert_eq!(shown.json(), expected);
    let again = call(session, Method::DELETE, &path).send().await.expect(200);
    assert_eq!(again.json(), shown.json());
    call(session, Method::POST, &format!("{path}/reprocess"))
        .send()
        .await
        .expect_problem(409, "video-conflict");
    let with_body = call(session, Method::DELETE, &path).json(&json!({}));
    with_body.send().await.expect(200);
}

pub(crate) async fn reprocessing(session: &Session<'_>) {
    let path = format!("/videos/{}", video_id(COMMANDS, "errored.mp4"));
    let requested = call(session, Method::POST, &format!("{path}/reprocess")).json(&json!({})).send().await;
    let requested = requested.expect(202);
    assert_eq!(
        (requested.json()["generation"].as_u64(), requested.text("/state").as_str()),
        (Some(2), "uploaded")
    );
    let dispatched =
        |version| move |response: &crate::exchange::ApiResponse| response.json()["version"] == version;
    let version = requested.json()["version"].as_u64().unwrap() + 1;
    let shown = call(session, Method::GET, &path).until(dispatched(version)).await;
    assert_eq!(shown.text("/state"), "processing");
    call(session, Method::POST, &format!("{path}/reprocess"))
        .send()
        .await
        .expect_problem(409, "video-conflict");
    call(session, Method::GET, &format!("{path}/events")).send().await.expect(200);
}

pub(crate) async fn refusals(session: &Session<'_>) {
    for filename in ["waiting.mp4", "processing.mp4", "deleted.mp4"] {
        let path = format!("/videos/{}/reprocess", video_id(COMMANDS, filename));
        call(session, Method::POST, &path).send().await.expect_problem(409, "video-conflict");
    }
    let unknown = format!("/videos/{}", video_id(COMMANDS, "never.mp4"));
    call(session, Method::DELETE, &unknown).send().await.expect_problem(404, "no-such-video");
    let again = format!("{unknown}/reprocess");
    call(session, Method::POST, &again).send().await.expect_problem(404, "no-such-video");
    call(session, Method::DELETE, &unknown)
        .json(&json!({ "now": true }))
        .send()
        .await
        .expect_problem(422, "invalid-body");
}
