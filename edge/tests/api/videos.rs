use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::test_edge::TestEdge;

#[tokio::test]
async fn a_status_can_be_requested_as_of_an_earlier_time() {
    let test = TestEdge::new();
    let id = test.ready_video().await;
    let state = async |path: String| test.get(&path).await.json()["state"].clone();
    assert_eq!(state(format!("/videos/{id}")).await, "ready");
    for (at, expected) in
        [("05.250", "waiting"), ("09.249", "waiting"), ("09.250", "processing"), ("14.250", "ready")]
    {
        assert_eq!(state(format!("/videos/{id}?asOf=2026-01-02T03:04:{at}Z")).await, expected, "{at}");
    }
    let before = test.get(&format!("/videos/{id}?asOf=2026-01-02T03:04:05.249Z")).await;
    assert_eq!(before.problem(), "no-such-video");
}

#[tokio::test]
async fn a_list_is_complete_page_by_page() {
    let test = TestEdge::new();
    for number in 0..25 {
        test.post("/upload-url", json!({ "filename": format!("{number}.mp4") })).await;
        test.advance(Duration::from_millis(1));
    }
    let mut seen = Vec::new();
    let mut path = "/videos?limit=10&state=waiting".to_owned();
    loop {
        let page = test.get(&path).await.json();
        seen.extend(page["data"].as_array().unwrap().iter().map(|video| video["s3Key"].clone()));
        let Some(next) = page["nextCursor"].as_str() else { break };
        path = format!("/videos?limit=10&state=waiting&after={next}");
    }
    let expected: Vec<Value> =
        (0..25).rev().map(|number| json!(format!("projects/acme/{number}.mp4"))).collect();
    assert_eq!(seen, expected);
    assert_eq!(test.get("/videos").await.json()["data"].as_array().unwrap().len(), 20);
    assert_eq!(test.get("/videos?state=errored").await.json(), json!({ "data": [], "nextCursor": null }));
}

#[tokio::test]
async fn the_feed_returns_every_event_once_and_a_cursor_to_poll_from() {
    let test = TestEdge::new();
    assert_eq!(test.get("/events").await.json(), json!({ "data": [], "nextCursor": null }));
    let id = test.ready_video().await;
    let first = test.get("/events?limit=4").await.json();
    let second = test.get(&format!("/events?after={}", first["nextCursor"].as_str().unwrap())).await.json();
    let types: Vec<&str> = [&first, &second]
        .iter()
        .flat_map(|page| page["data"].as_array().unwrap())
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    let all = [
        "upload.granted",
        "upload.completed",
        "processing.dispatched",
        "processing.started",
        "processing.completed",
        "video.ready",
    ];
    assert_eq!(types, all);
    let place = second["nextCursor"].as_str().unwrap();
    let nothing_new = test.get(&format!("/events?after={place}")).await.json();
    assert_eq!(nothing_new, json!({ "data": [], "nextCursor": place }));
    test.send(Method::DELETE, &format!("/videos/{id}"), &Value::Null).await;
    let news = test.get(&format!("/events?after={place}")).await.json();
    assert_eq!(news["data"][0]["type"], "video.deleted");
    let history = test.get(&format!("/videos/{id}/events?limit=100")).await.json();
    assert_eq!(history["data"].as_array().unwrap().len(), 7);
    assert_eq!(history["nextCursor"], Value::Null);
}

#[tokio::test]
async fn a_video_is_deleted_once_and_stays_so() {
    let test = TestEdge::new();
    let id = test.ready_video().await;
    for _ in 0..2 {
        let answer = test.send(Method::DELETE, &format!("/videos/{id}"), &Value::Null).await;
        assert_eq!((answer.status, answer.json()["state"].as_str()), (StatusCode::OK, Some("deleted")));
    }
    assert_eq!(test.commits().await.len(), 7);
    assert_eq!(test.get(&format!("/videos/{id}")).await.json()["state"], "deleted");
    let again = test.post(&format!("/videos/{id}/reprocess"), json!({})).await;
    assert_eq!((again.status, again.problem().as_str()), (StatusCode::CONFLICT, "video-conflict"));
    assert_eq!(again.json()["detail"], "the video is deleted; upload it again");
}

#[tokio::test]
async fn a_repeated_command_is_recorded_once_and_another_key_is_another_command() {
    let test = TestEdge::new();
    let id = test.ready_video().await;
    let path = format!("/videos/{id}/reprocess");
    let first = test.post_once("key-1", &path, Value::Null).await;
    assert_eq!((first.status, first.json()["generation"].as_u64()), (StatusCode::ACCEPTED, Some(2)));
    let again = test.post_once("key-1", &path, json!({})).await;
    assert_eq!((again.status, again.json()), (StatusCode::ACCEPTED, first.json()));
    assert_eq!(test.commits().await.len(), 7);
    assert_eq!(test.post_once("key-2", &path, Value::Null).await.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let test = TestEdge::new();
    let id = test.ready_video().await;
    for path in ["/videos", &format!("/videos/{id}"), "/events", "/openapi.json", "/healthz"] {
        let get = test.get(path).await;
        let head = test.send(Method::HEAD, path, &Value::Null).await;
        assert_eq!(head.status, get.status);
        assert_eq!(head.header("content-length"), Some(&*get.body.len().to_string()));
        assert_eq!(head.header("content-type"), get.header("content-type"));
    }
    assert_eq!(
        test.send(Method::HEAD, "/upload-url", &Value::Null).await.status,
        StatusCode::METHOD_NOT_ALLOWED
    );
}
