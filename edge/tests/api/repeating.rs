//! A repeated request gets the same grant, byte for byte.

use std::sync::atomic::Ordering;
use std::time::Duration;

use http::{Method, StatusCode};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::test_edge::{TestEdge, block_on};

fn uploads() -> impl Strategy<Value = Value> {
    let metadata = prop::collection::btree_map("[a-z0-9-]{1,6}", "[ -~é]{0,8}", 0..4);
    let size = prop_oneof![Just(None), (0u64..100_000_000).prop_map(Some), Just(Some(6_000_000_000))];
    (("[a-z +%é]{1,8}", "([a-z]{1,4}/){0,2}"), size, any::<[bool; 3]>(), metadata).prop_map(
        |((filename, path), size, [overwrite, multipart, typed], metadata)| {
            let mut body =
                json!({ "filename": filename, "path": path, "overwrite": overwrite, "metadata": metadata });
            if typed {
                body["contentType"] = json!("video/mp4");
            }
            if let Some(size) = size {
                body["size"] = json!(size);
                if multipart {
                    body["multipart"] = json!(true);
                }
            }
            body
        },
    )
}

fn playbacks() -> impl Strategy<Value = Value> {
    (1u32..100_000, any::<[bool; 3]>()).prop_map(|(ttl, [hls, starts_at, ip])| {
        let mut body = json!({ "ttl": ttl });
        if hls {
            body["format"] = json!("hls");
        }
        if starts_at {
            body["startsAt"] = json!("2026-01-02T03:10:00Z");
        }
        if ip {
            body["ip"] = json!("203.0.113.0/24");
        }
        body
    })
}

const PLAYBACK: &str = "/playback-url?key=processed/acme/films/clip.mp4";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_same_key_and_request_get_the_same_bytes_and_one_record(
        request in prop_oneof![
            uploads().prop_map(|body| ("/upload-url", body)),
            playbacks().prop_map(|body| (PLAYBACK, body)),
        ],
        key in "[!-~]{1,255}",
        waits in prop::collection::vec(0u64..1_800, 1..3),
    ) {
        let (path, body) = request;
        block_on(async {
            let test = TestEdge::new();
            let first = test.post_once(&key, path, body.clone()).await;
            prop_assert_eq!(first.status, StatusCode::OK, "{:?}", first);
            for wait in waits {
                // At most an hour in all, but the stream of another hour may have begun.
                test.advance(Duration::from_secs(wait));
                let again = test.post_once(&key, path, body.clone()).await;
                prop_assert_eq!(again.status, StatusCode::OK);
                prop_assert_eq!(&again.body, &first.body);
                prop_assert_eq!(again.header("idempotency-replayed"), Some("true"));
            }
            prop_assert_eq!(first.header("idempotency-replayed"), None);
            prop_assert_eq!(test.commits().await.len(), 1);
            prop_assert!(test.store.requests().len() <= 1, "a multipart upload is created once");
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn the_spelling_of_a_request_does_not_matter() {
    let test = TestEdge::new();
    let spellings = [
        r#"{"filename":"a.mp4","path":"films","metadata":{"a":"1","b":"2"}}"#,
        r#"{ "metadata": {"b":"2","a":"\u0031"}, "path": "films/", "filename": "a.mp4", "overwrite": null, "size": null }"#,
    ];
    let mut answers = Vec::new();
    for spelling in spellings {
        answers
            .push(test.post_once("key-1", "/upload-url", serde_json::from_str(spelling).unwrap()).await.body);
    }
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test]
async fn another_key_call_or_project_is_another_grant() {
    let test = TestEdge::new();
    let grant = async |api_key: &str, key: Option<&str>, path: &str, body: Value| {
        let mut headers = vec![("x-api-key", api_key)];
        headers.extend(key.map(|key| ("idempotency-key", key)));
        let answer = test.send_with(&headers, Method::POST, path, &body).await;
        answer.json()["grantId"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
    };
    let (acme, globex) = (test.target.admin.reveal(), test.other.reveal());
    let body = || json!({ "filename": "a.mp4" });
    let mut grants = vec![
        grant(acme, Some("key-1"), "/upload-url", body()).await,
        grant(acme, Some("key-2"), "/upload-url", body()).await,
        grant(acme, Some("key-1"), PLAYBACK, json!({})).await,
        grant(globex, Some("key-1"), "/upload-url", body()).await,
        grant(acme, None, "/upload-url", body()).await,
        grant(acme, None, "/upload-url", body()).await,
    ];
    let all = grants.len();
    grants.sort();
    grants.dedup();
    assert_eq!(grants.len(), all);
}

/// Requests that differ from the first one in each field.
fn different_requests() -> Vec<(&'static str, Value, Vec<Value>)> {
    let uploads = vec![
        json!({ "filename": "a.mp4", "overwrite": false }),
        json!({ "filename": "a.mp4", "expiresIn": 60 }),
        json!({ "filename": "a.mp4", "metadata": { "a": "b" } }),
        json!({ "filename": "a.mp4", "unique": true }),
        json!({ "filename": "b.mp4" }),
    ];
    let playbacks = vec![json!({ "format": "hls" }), json!({ "ttl": 60 }), json!({ "ip": "203.0.113.7" })];
    vec![("/upload-url", json!({ "filename": "a.mp4" }), uploads), (PLAYBACK, json!({}), playbacks)]
}

#[tokio::test]
async fn the_same_key_with_another_request_is_refused() {
    for forgets in [false, true] {
        for (path, first, others) in different_requests() {
            let test = TestEdge::new();
            test.journal.forgets.store(forgets, Ordering::Relaxed);
            let granted = test.post_once("key-1", path, first.clone()).await;
            for other in others {
                let refused = test.post_once("key-1", path, other.clone()).await;
                assert_eq!(refused.problem(), "reused-idempotency-key", "{other}");
                assert_eq!(refused.json()["field"], "idempotency-key");
            }
            let again = test.post_once("key-1", path, first).await;
            assert_eq!(again.json()["grantId"], granted.json()["grantId"]);
            assert_eq!(test.commits().await.len(), 1);
        }
    }
}

/// Another process knows the first request from the log: an upload's by its video, a playback's by its hour.
#[tokio::test]
async fn another_process_refuses_the_same_key_with_another_request_by_its_record() {
    for (path, first, others) in different_requests() {
        let test = TestEdge::new();
        let granted = test.post_once("key-1", path, first.clone()).await;
        let other_process = test.restarted();
        for other in others {
            let answer = other_process.post_once("key-1", path, other.clone()).await;
            if other["filename"] == "b.mp4" || other["unique"] == true {
                assert_ne!(answer.json()["grantId"], granted.json()["grantId"], "another video");
            } else {
                assert_eq!(answer.problem(), "reused-idempotency-key", "{other}");
            }
            // Each request to a process that does not know the key yet.
            assert_eq!(test.restarted().post_once("key-1", path, first.clone()).await.body, granted.body);
        }
    }
}

#[tokio::test]
async fn two_api_keys_of_one_project_share_idempotency_keys() {
    let test = TestEdge::new();
    let body = json!({ "filename": "a.mp4" });
    let first = test.post_once("key-1", "/upload-url", body.clone()).await;
    let headers = [("x-api-key", test.target.upload.reveal()), ("idempotency-key", "key-1")];
    let second = test.send_with(&headers, Method::POST, "/upload-url", &body).await;
    assert_eq!(second.body, first.body);
}

#[tokio::test]
async fn a_playback_grant_is_found_after_the_end_of_its_hour() {
    let test = TestEdge::new();
    test.advance(Duration::from_mins(55)); // 03:59:05
    let first = test.post_once("key-1", PLAYBACK, json!({})).await;
    test.advance(Duration::from_mins(59)); // 04:58:05
    assert_eq!(test.post_once("key-1", PLAYBACK, json!({})).await.body, first.body);
    assert_eq!(test.commits().await.len(), 1);
}

#[tokio::test]
async fn of_two_concurrent_multipart_uploads_the_second_is_aborted() {
    let test = TestEdge::new();
    let body = json!({ "filename": "a.mp4", "size": 20_000_000, "multipart": true });
    let first = test.post_once("key-1", "/upload-url", body.clone()).await;
    test.journal.recalls_nothing.store(true, Ordering::Relaxed);
    let second = test.post_once("key-1", "/upload-url", body).await;
    assert_eq!(second.body, first.body);
    let requests = test.store.requests();
    let methods: Vec<&Method> = requests.iter().map(|(method, _)| method).collect();
    assert_eq!(methods, [&Method::POST, &Method::POST, &Method::DELETE]);
    assert!(requests[2].1.contains("uploadId=VXBsb2FkIElELTE.2"), "{requests:?}");
}

#[tokio::test]
async fn a_journal_without_memory_gives_the_same_grant() {
    let test = TestEdge::new();
    test.journal.forgets.store(true, Ordering::Relaxed);
    let mut grants = Vec::new();
    for _ in 0..2 {
        grants.push(
            test.post_once("key-1", "/upload-url", json!({ "filename": "a.mp4" })).await.json()["grantId"]
                .clone(),
        );
        test.advance(Duration::from_secs(10));
    }
    assert_eq!(grants[0], grants[1]);
    // Each URL that was issued is in the log with its expiry; the video has one grant with the latest.
    let recorded: Vec<Value> =
        test.commits().await.iter().map(|commit| commit.events[0].data["expiresAt"].clone()).collect();
    assert_eq!(recorded, ["2026-01-02T03:19:05.000Z", "2026-01-02T03:19:15.000Z"]);
}

/// Whatever the call, an upload or a playback until the end of the URL that was issued last is one of its grant.
#[tokio::test]
async fn without_memory_every_expiry_that_was_issued_is_recorded_and_the_same_one_once() {
    let parts = json!({ "filename": "a.mp4", "size": 20_000_000, "multipart": true });
    for (path, body) in [
        ("/upload-url", json!({ "filename": "a.mp4" })),
        ("/upload-url", parts),
        (PLAYBACK, json!({})),
        (PLAYBACK, json!({ "format": "hls", "ip": "203.0.113.7" })),
    ] {
        let test = TestEdge::new();
        test.journal.forgets.store(true, Ordering::Relaxed);
        let mut issued = Vec::new();
        for wait in [0, 0, 600, 86_400] {
            test.advance(Duration::from_secs(wait));
            let answer = test.post_once("key-1", path, body.clone()).await;
            assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
            issued.push((answer.json()["grantId"].clone(), answer.json()["expiresAt"].clone()));
        }
        issued.dedup();
        let recorded: Vec<(Value, Value)> = test
            .commits()
            .await
            .iter()
            .map(|commit| &commit.events[0].data)
            .map(|data| (data["grantId"].clone(), data["expiresAt"].clone()))
            .collect();
        assert_eq!(recorded, issued, "{path} {body}");
        assert_eq!(recorded.len(), 3);
    }
}

/// The process knows the uploads that it created.
#[tokio::test]
async fn without_memory_a_repeated_multipart_grant_continues_the_upload_that_this_process_created() {
    let test = TestEdge::new();
    test.journal.forgets.store(true, Ordering::Relaxed);
    let body = json!({ "filename": "a.mp4", "size": 20_000_000, "multipart": true });
    let upload = async |test: &TestEdge, key: Option<&str>| {
        let answer = match key {
            Some(key) => test.post_once(key, "/upload-url", body.clone()).await,
            None => test.post("/upload-url", body.clone()).await,
        };
        answer.json()["multipart"]["uploadId"].as_str().unwrap().to_owned()
    };
    let first = upload(&test, Some("key-1")).await;
    test.advance(Duration::from_secs(10));
    assert_eq!(upload(&test, Some("key-1")).await, first);
    assert_eq!(test.store.requests().len(), 1, "nothing is left in the bucket that nobody continues");
    assert_ne!(upload(&test, Some("key-2")).await, first);
    assert_ne!(upload(&test, None).await, upload(&test, None).await);
    assert_ne!(upload(&test.restarted(), Some("key-1")).await, first, "another process cannot know it");
}
