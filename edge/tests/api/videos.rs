use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode};
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
async fn the_feed_returns_every_event_once_and_a_position_to_wait_from() {
    let test = TestEdge::new();
    assert_eq!(test.get("/events").await.json(), json!({ "data": [], "nextCursor": null, "position": null }));
    let id = test.ready_video().await;
    let first = test.get("/events?limit=4").await.json();
    assert_eq!(first["nextCursor"], first["position"]);
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
    assert_eq!(second["nextCursor"], Value::Null, "there are no more events");
    let place = second["position"].as_str().unwrap();
    let nothing_new = test.get(&format!("/events?after={place}")).await.json();
    assert_eq!(nothing_new, json!({ "data": [], "nextCursor": null, "position": place }));
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
    assert_eq!(first.header("idempotency-replayed"), None);
    assert_eq!((first.status, first.json()["generation"].as_u64()), (StatusCode::ACCEPTED, Some(2)));
    let again = test.post_once("key-1", &path, json!({})).await;
    assert_eq!((again.status, again.json()), (StatusCode::ACCEPTED, first.json()));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(test.commits().await.len(), 7);
    assert_eq!(test.post_once("key-2", &path, Value::Null).await.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_list_is_filtered_by_prefix_and_metadata() {
    let test = TestEdge::new();
    for (path, filename, metadata) in [
        ("films", "a.mp4", json!({ "customer": "1", "lesson": "x" })),
        ("films/2026", "b.mp4", json!({ "customer": "1" })),
        ("f\u{e9}lms", "c.mp4", json!({ "customer": "2 & 3" })),
    ] {
        test.post("/upload-url", json!({ "filename": filename, "path": path, "metadata": metadata })).await;
        test.advance(Duration::from_millis(1));
    }
    let names = async |query: &str| -> Vec<String> {
        let page = test.get(&format!("/videos?{query}")).await.json();
        let data = page["data"].as_array().unwrap_or_else(|| panic!("{query}: {page}"));
        data.iter()
            .map(|video| video["s3Key"].as_str().unwrap().rsplit('/').next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names("prefix=films/").await, ["b.mp4", "a.mp4"]);
    assert_eq!(names("prefix=films%2F2026").await, ["b.mp4"]);
    assert_eq!(names("prefix=fe%CC%81").await, ["c.mp4"], "in NFC");
    assert_eq!(names("metadata.customer=1").await, ["b.mp4", "a.mp4"]);
    assert_eq!(names("metadata.customer=1&metadata.lesson=x").await, ["a.mp4"]);
    assert_eq!(names("metadata.customer=2+%26+3").await, ["c.mp4"]);
    assert_eq!(names("metadata.customer=1&prefix=films/2026&state=waiting").await, ["b.mp4"]);
    assert_eq!(names("metadata.customer=1&state=ready").await, [""; 0]);
    for (query, field) in [
        ("prefix=", "prefix"),
        ("prefix=/films", "prefix"),
        ("prefix=a%0A", "prefix"),
        ("metadata.=x", "metadata."),
        ("metadata.Customer=x", "metadata.Customer"),
        ("metadata.customer=a%00", "metadata.customer"),
        ("metadata=x", "metadata"),
    ] {
        let refused = test.get(&format!("/videos?{query}")).await;
        assert_eq!(
            (refused.problem().as_str(), &refused.json()["field"]),
            ("invalid-parameter", &json!(field))
        );
    }
}

#[tokio::test]
async fn metadata_is_changed_by_a_merge_patch_and_recorded_as_an_event() {
    let test = TestEdge::new();
    let id = test.ready_video().await;
    let path = format!("/videos/{id}");
    let update = async |body: Value| test.send(Method::PATCH, &path, &body).await;
    let changed = update(json!({ "metadata": { "title": null, "lesson": "3", "other": null } })).await;
    assert_eq!(
        (changed.status, changed.json()["metadata"].clone()),
        (StatusCode::OK, json!({ "lesson": "3" }))
    );
    assert_eq!(test.get(&path).await.json()["metadata"], json!({ "lesson": "3" }));
    let last = test.commits().await.pop().unwrap().events.pop().unwrap();
    assert_eq!(last.kind, "video.updated");
    assert_eq!(last.data, json!({ "metadata": { "title": null, "lesson": "3", "other": null } }));
    let count = test.commits().await.len();
    assert_eq!(
        update(json!({ "metadata": { "lesson": "3" } })).await.json()["metadata"],
        json!({ "lesson": "3" })
    );
    assert_eq!(test.commits().await.len(), count, "nothing changed");

    let full: Value =
        (0..31).map(|number| (format!("k{number}"), json!("v"))).collect::<serde_json::Map<_, _>>().into();
    assert_eq!(update(json!({ "metadata": full })).await.status, StatusCode::OK);
    assert_eq!(update(json!({ "metadata": { "one-more": "v" } })).await.problem(), "video-conflict");
    assert_eq!(update(json!({ "metadata": { "one-more": "v", "k0": null } })).await.status, StatusCode::OK);
    for body in [
        json!({}),
        json!({ "metadata": {} }),
        json!({ "metadata": [] }),
        json!({ "metadata": { "A": "v" } }),
        json!({ "metadata": { "a": 1 } }),
        json!({ "metadata": { "a": "\n" } }),
        json!({ "metadata": { "a": "b" }, "state": "ready" }),
    ] {
        assert_eq!(update(body.clone()).await.problem(), "invalid-body", "{body}");
    }
    test.send(Method::DELETE, &path, &Value::Null).await;
    assert_eq!(update(json!({ "metadata": { "a": "b" } })).await.problem(), "video-conflict");
    let unknown = "/videos/vid_aaaaaaaaaaaaaaaaaaaaaaaaaa";
    let unknown = test.send(Method::PATCH, unknown, &json!({ "metadata": { "a": "b" } })).await;
    assert_eq!(unknown.problem(), "no-such-video");
}

/// RFC 7396: `null` removes the member `metadata`, and so all entries, also those that the client does not know.
#[tokio::test]
async fn a_null_in_place_of_the_metadata_removes_all_entries() {
    let test = TestEdge::new();
    let path = format!("/videos/{}", test.ready_video().await);
    let update = async |key: &str, body: Value| {
        let headers = [
            ("x-api-key", test.target.upload.reveal()),
            ("idempotency-key", key),
            ("content-type", "application/merge-patch+json"),
        ];
        let body = Bytes::from(body.to_string());
        let mut request = Request::builder().method(Method::PATCH).uri(&path).body(body).unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
        }
        test.handle(request).await
    };
    let changed = update("key-1", json!({ "metadata": { "lesson": "3" } })).await;
    assert_eq!(changed.json()["metadata"], json!({ "title": "Summer", "lesson": "3" }), "{changed:?}");
    let removed = update("key-2", json!({ "metadata": null })).await;
    assert_eq!((removed.status, removed.json().get("metadata").cloned()), (StatusCode::OK, None));
    let last = test.commits().await.pop().unwrap().events.pop().unwrap();
    assert_eq!((&*last.kind, &last.data), ("video.updated", &json!({ "metadata": null })));
    let count = test.commits().await.len();
    let again = update("key-2", json!({ "metadata": null })).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (StatusCode::OK, Some("true")));
    assert_eq!(
        update("key-2", json!({ "metadata": { "a": "b" } })).await.problem(),
        "reused-idempotency-key"
    );
    assert_eq!(test.commits().await.len(), count);
    let added = update("key-3", json!({ "metadata": { "a": "b" } })).await;
    assert_eq!(added.json()["metadata"], json!({ "a": "b" }));
}

/// A merge patch is no description of an upload, and no other media type is a patch.
#[tokio::test]
async fn a_merge_patch_is_a_media_type_of_patches_only() {
    let test = TestEdge::new();
    let path = format!("/videos/{}", test.ready_video().await);
    for (method, path, content_type, is_accepted) in [
        (Method::PATCH, &*path, "Application/Merge-Patch+JSON; charset=utf-8", true),
        (Method::PATCH, &path, "application/json", true),
        (Method::PATCH, &path, "application/json-patch+json", false),
        (Method::POST, "/upload-url", "application/merge-patch+json", false),
    ] {
        let body = Bytes::from_static(br#"{ "filename": "a.mp4" }"#);
        let mut request = Request::builder().method(method).uri(path).body(body).unwrap();
        for (name, value) in [("x-api-key", test.target.admin.reveal()), ("content-type", content_type)] {
            request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
        }
        let answer = test.handle(request).await;
        let is_refused = answer.problem() == "unsupported-media-type";
        assert_eq!(is_refused, !is_accepted, "{content_type} {path}: {answer:?}");
    }
}

#[tokio::test]
async fn a_repeated_patch_is_recorded_once_and_its_key_belongs_to_it() {
    let test = TestEdge::new();
    let path = format!("/videos/{}", test.ready_video().await);
    let update = async |key: &str, body: Value| {
        let headers = [("x-api-key", test.target.upload.reveal()), ("idempotency-key", key)];
        test.send_with(&headers, Method::PATCH, &path, &body).await
    };
    let winter = || json!({ "metadata": { "title": "Winter" } });
    let first = update("key-1", winter()).await;
    update("key-2", json!({ "metadata": { "title": "Spring" } })).await;
    let again = update("key-1", winter()).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (StatusCode::OK, Some("true")));
    assert_eq!(again.json()["metadata"], json!({ "title": "Spring" }), "the status is the present one");
    assert_eq!(first.json()["metadata"], json!({ "title": "Winter" }));
    let reused = update("key-1", json!({ "metadata": { "title": "Autumn" } })).await;
    assert_eq!(
        (reused.problem().as_str(), &reused.json()["field"]),
        ("reused-idempotency-key", &json!("idempotency-key"))
    );
    assert_eq!(test.commits().await.len(), 8);
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
