//! The status of videos, now and at earlier times, and their lists and events.

use http::Method;
use serde_json::{Value, json};

use crate::history::{VIDEOS, VideoStage, at, video_id};
use crate::projects::{ACME, COMMANDS};
use crate::session::Session;

/// The state that a running platform reports. It dispatches an uploaded video immediately.
fn state(stage: VideoStage) -> &'static str {
    match stage {
        VideoStage::Waiting => "waiting",
        VideoStage::Uploaded | VideoStage::Processing => "processing",
        VideoStage::Ready => "ready",
        VideoStage::Errored => "errored",
        VideoStage::Deleted => "deleted",
    }
}

pub(crate) async fn shown_in_every_state(session: &Session<'_>) {
    for (filename, stage) in VIDEOS {
        let id = video_id(ACME, filename);
        let shown = session.get(&format!("/videos/{id}")).key(&session.keys().table.read);
        let shown = shown.send().await.expect(200);
        assert_eq!((shown.text("/state"), shown.text("/videoId")), (state(stage).to_owned(), id.to_string()));
        assert_eq!(shown.text("/s3Key"), format!("projects/acme/films/{filename}"));
    }
}

pub(crate) async fn shown_as_of_a_time(session: &Session<'_>) {
    let id = video_id(ACME, "ready.mp4");
    let shown = async |time: String| session.get(&format!("/videos/{id}?asOf={time}")).send().await;
    for (seconds, expected) in
        [(1000, "waiting"), (1003, "waiting"), (1004, "uploaded"), (1005, "processing"), (1010, "ready")]
    {
        let response = shown(at(seconds).to_string()).await.expect(200);
        assert_eq!(response.text("/state"), expected, "after {seconds} s");
    }
    shown(at(999).to_string()).await.expect_problem(404, "no-such-video");
    shown("2020-01-02T04:20:49.25%2B01:00".to_owned()).await.expect(200);
    shown("2098-01-01T00:00:00Z".to_owned()).await.expect(200);
    shown("9999-12-31T23:59:59.999Z".to_owned()).await.expect(200);
    for refused in ["", "now", "2020-13-01T00:00:00Z", "1577934245"] {
        shown(refused.to_owned()).await.expect_problem(400, "invalid-parameter");
    }
    let uploaded = video_id(ACME, "uploaded.mp4");
    let then = session.get(&format!("/videos/{uploaded}?asOf={}", at(1250))).send().await.expect(200);
    assert_eq!(then.text("/state"), "uploaded");
}

fn names(page: &Value) -> Vec<String> {
    let data = page["data"].as_array().unwrap();
    data.iter().map(|video| video["s3Key"].as_str().unwrap().replace("projects/acme/films/", "")).collect()
}

pub(crate) async fn listed_page_by_page(session: &Session<'_>) {
    // Newest first, without deleted videos.
    let expected: Vec<&str> = VIDEOS
        .iter()
        .rev()
        .filter(|(_, stage)| *stage != VideoStage::Deleted)
        .map(|(name, _)| *name)
        .collect();
    for limit in [1, 2, 100] {
        let mut received = Vec::new();
        let mut path = format!("/videos?limit={limit}");
        loop {
            let page = session.get(&path).send().await.expect(200).json();
            received.extend(names(&page));
            let Some(next) = page["nextCursor"].as_str() else { break };
            path = format!("/videos?limit={limit}&after={next}");
        }
        assert_eq!(received, expected, "{limit} at a time");
    }
    let whole = session.get("/videos").send().await.expect(200).json();
    assert_eq!(names(&whole), expected);
    for refused in ["?limit=101", "?limit=0", "?after=1.2", "?after=nonsense", "?state=lost", "?sort=name"] {
        session.get(&format!("/videos{refused}")).send().await.expect_problem(400, "invalid-parameter");
    }
}

pub(crate) async fn listed_by_state(session: &Session<'_>) {
    for requested in ["waiting", "uploaded", "processing", "ready", "errored", "deleted"] {
        let page = session.get(&format!("/videos?state={requested}")).send().await.expect(200).json();
        let expected: Vec<&str> = VIDEOS
            .iter()
            .rev()
            .filter(|(_, stage)| state(*stage) == requested)
            .map(|(name, _)| *name)
            .collect();
        assert_eq!(names(&page), expected, "{requested}");
    }
    let first = session.get("/videos?state=ready&limit=1").send().await.expect(200);
    let after = format!("/videos?state=ready&limit=1&after={}", first.text("/nextCursor"));
    let second = session.get(&after).send().await.expect(200).json();
    assert_eq!((names(&second), &second["nextCursor"]), (vec!["ready.mp4".to_owned()], &json!(null)));
}

pub(crate) async fn listed_by_prefix_and_metadata(session: &Session<'_>) {
    let uploads = &session.keys().uploads;
    for (path, filename, customer) in
        [("lists/a", "one.mp4", "1"), ("lists/b", "two.mp4", "1"), ("lists/b", "three.mp4", "\u{e9} & 2")]
    {
        let body = json!({ "path": path, "filename": filename, "metadata": { "customer": customer } });
        let granted = session.post("/upload-url").key(uploads).json(&body).send().await.expect(200);
        // In the order of their creation.
        let shown = session.get(&format!("/videos/{}", granted.text("/videoId"))).key(uploads);
        shown.until(|response| response.status == 200).await;
    }
    let list = async |query: &str| {
        let page = session.get(&format!("/videos?{query}")).key(uploads);
        // The list follows the statuses.
        let page = page.until(|response| !response.json()["data"].as_array().unwrap().is_empty()).await;
        let data = page.json()["data"].as_array().unwrap().clone();
        data.iter()
            .map(|video| video["s3Key"].as_str().unwrap().replace("projects/uploads/lists/", ""))
            .collect::<Vec<_>>()
    };
    assert_eq!(list("prefix=lists/b/&limit=1&metadata.customer=1").await, ["b/two.mp4"]);
    assert_eq!(list("prefix=lists/&metadata.customer=1").await, ["b/two.mp4", "a/one.mp4"]);
    assert_eq!(list("metadata.customer=%C3%A9+%26+2").await, ["b/three.mp4"]);
    assert_eq!(list("prefix=lists/b&state=waiting").await, ["b/three.mp4", "b/two.mp4"]);
    for refused in ["prefix=", "prefix=/lists", "metadata.A=1", "metadata=1", "metadata.a=%00"] {
        let page = session.get(&format!("/videos?{refused}")).key(uploads).send().await;
        page.expect_problem(400, "invalid-parameter");
    }
}

pub(crate) async fn metadata_changed(session: &Session<'_>) {
    let commands = &session.keys().commands;
    let path = format!("/videos/{}", video_id(COMMANDS, "processing.mp4"));
    let update = |body: &Value| session.call(Method::PATCH, &path).key(commands).json(body);
    let changed = update(&json!({ "metadata": { "title": "Été", "old": null } })).send().await.expect(200);
    assert_eq!(changed.text("/metadata/title"), "Été");
    let removed =
        update(&json!({ "metadata": { "title": null, "a": "b" } })).header("idempotency-key", "patch-1");
    removed.send().await.expect(200);
    let again =
        update(&json!({ "metadata": { "title": null, "a": "b" } })).header("idempotency-key", "patch-1");
    assert_eq!(again.send().await.expect(200).header("idempotency-replayed"), Some("true"));
    let other = update(&json!({ "metadata": { "a": "c" } })).header("idempotency-key", "patch-1");
    other.send().await.expect_problem(422, "reused-idempotency-key");
    let shown = session.get(&path).key(commands).send().await.expect(200);
    assert_eq!((shown.text("/metadata/a").as_str(), &shown.json()["metadata"]["title"]), ("b", &Value::Null));
    update(&json!({ "metadata": {} })).send().await.expect_problem(422, "invalid-body");
    let deleted = format!("/videos/{}", video_id(COMMANDS, "deleted.mp4"));
    let deleted =
        session.call(Method::PATCH, &deleted).key(commands).json(&json!({ "metadata": { "a": "b" } }));
    deleted.send().await.expect_problem(409, "video-conflict");
}

pub(crate) async fn events(session: &Session<'_>) {
    for (filename, _) in VIDEOS {
        let path = format!("/videos/{}/events", video_id(ACME, filename));
        session.get(&path).send().await.expect(200);
    }
    let path = format!("/videos/{}/events", video_id(ACME, "ready.mp4"));
    let mut received = Vec::new();
    let mut query = "?limit=4".to_owned();
    loop {
        let page = session.get(&format!("{path}{query}")).send().await.expect(200).json();
        received.extend(page["data"].as_array().unwrap().iter().map(|event| event["type"].clone()));
        let Some(next) = page["nextCursor"].as_str() else { break };
        query = format!("?limit=4&after={next}");
    }
    let all = [
        "upload.granted",
        "upload.completed",
        "processing.dispatched",
        "processing.started",
        "processing.completed",
        "video.ready",
    ];
    assert_eq!(received, all);
    session.get(&format!("{path}?after=100")).send().await.expect(200);
    session.get(&format!("{path}?after=x")).send().await.expect_problem(400, "invalid-parameter");
}
