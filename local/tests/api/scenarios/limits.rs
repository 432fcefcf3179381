//! Uploads that exceed a limit of their project.

use serde_json::json;

use crate::session::Session;

pub(crate) async fn of_a_project_that_may_store_nothing(session: &Session<'_>) {
    let key = &session.keys().full;
    for body in [
        json!({ "filename": "a.mp4" }),
        json!({ "filename": "a.mp4", "size": 1 }),
        json!({ "filename": "a.mp4", "size": 20_971_520, "multipart": true }),
    ] {
        let refused = session.post("/upload-url").key(key).json(&body).send().await;
        let refused = refused.expect_problem(403, "limit-exceeded");
        assert_eq!(refused.json().get("field"), None);
    }
    let usage = session.get("/usage").key(key).send().await.expect(200);
    assert_eq!(usage.json()["limits"]["storedBytes"], 0);
}

pub(crate) async fn of_the_stated_size(session: &Session<'_>) {
    let key = &session.keys().limited;
    let body = json!({ "filename": "a.mp4", "size": 1001 });
    let refused = session.post("/upload-url").key(key).json(&body).send().await;
    let refused = refused.expect_problem(403, "limit-exceeded");
    assert_eq!(refused.text("/field"), "size");
    for body in [json!({ "filename": "a.mp4", "size": 1000 }), json!({ "filename": "a.mp4" })] {
        session.post("/upload-url").key(key).json(&body).send().await.expect(200);
    }
}
