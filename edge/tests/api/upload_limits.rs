//! Uploads that exceed a limit of their project, as far as the record of the API key tells.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use streamio_events::api_key::ApiKey;
use streamio_events::log::EventLogExt as _;

use crate::answer::Answer;
use crate::test_edge::TestEdge;

async fn request(test: &TestEdge, key: &ApiKey, body: &Value) -> Answer {
    test.send_with(&[("x-api-key", key.reveal())], Method::POST, "/upload-url", body).await
}

#[tokio::test]
async fn a_project_that_has_used_up_a_limit_gets_no_url_of_any_kind_and_nothing_is_recorded() {
    let test = TestEdge::new();
    let mut details = Vec::new();
    for body in [
        json!({ "filename": "clip.mp4" }),
        json!({ "filename": "clip.mp4", "size": 1 }),
        json!({ "filename": "clip.mp4", "unique": true }),
        json!({ "filename": "clip.mp4", "size": 20_971_520, "multipart": true }),
        json!({ "filename": "clip.mp4", "size": 20_971_520, "uploadId": "VXBsb2FkIElELTE" }),
    ] {
        let refused = request(&test, &test.exhausted, &body).await;
        assert_eq!(
            (refused.status, refused.problem().as_str()),
            (StatusCode::FORBIDDEN, "limit-exceeded"),
            "{body}"
        );
        assert_eq!(refused.json().get("field"), None, "{body}");
        details.push(refused.json()["detail"].as_str().unwrap().to_owned());
    }
    details.dedup();
    assert_eq!(
        details,
        ["This upload exceeds a limit: the project may upload 100 bytes a day and has uploaded 100; \
          upload it again after 2026-01-03T00:00:00.000Z, or ask for a higher limit."]
    );
    assert_eq!(test.log.scan_to_end().await.unwrap(), []);
    assert_eq!(test.store.requests(), [], "no multipart upload is created");
}

#[tokio::test]
async fn an_upload_whose_size_exceeds_what_is_left_is_refused_at_the_field() {
    let test = TestEdge::new();
    let refused = request(&test, &test.limited, &json!({ "filename": "clip.mp4", "size": 11 })).await;
    assert_eq!((refused.status, refused.problem().as_str()), (StatusCode::FORBIDDEN, "limit-exceeded"));
    let problem = refused.json();
    assert_eq!(problem["field"], "size");
    assert_eq!(
        problem["detail"],
        "This upload exceeds a limit: the project may store 1000 bytes and has 990; delete videos, or ask for a higher limit."
    );
    for body in [json!({ "filename": "clip.mp4", "size": 10 }), json!({ "filename": "clip.mp4" })] {
        assert_eq!(request(&test, &test.limited, &body).await.status, StatusCode::OK, "{body}");
    }
}

#[tokio::test]
async fn what_was_measured_refuses_nothing_after_an_hour() {
    let test = TestEdge::new();
    let body = json!({ "filename": "clip.mp4" });
    test.advance(Duration::from_hours(1));
    assert_eq!(request(&test, &test.exhausted, &body).await.status, StatusCode::FORBIDDEN);
    test.advance(Duration::from_millis(1));
    assert_eq!(request(&test, &test.exhausted, &body).await.status, StatusCode::OK);
}
