//! A repeated request is the same grant, to the byte.

use std::sync::atomic::Ordering;
use std::time::Duration;

use http::{Method, StatusCode};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::world::{World, block_on};

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
            let world = World::new();
            let first = world.post_once(&key, path, body.clone()).await;
            prop_assert_eq!(first.status, StatusCode::OK, "{:?}", first);
            for wait in waits {
                // At most an hour in all: another hour's stream may have begun meanwhile.
                world.pass(Duration::from_secs(wait));
                let again = world.post_once(&key, path, body.clone()).await;
                prop_assert_eq!(again.status, StatusCode::OK);
                prop_assert_eq!(&again.body, &first.body);
            }
            prop_assert_eq!(world.commits().await.len(), 1);
            prop_assert!(world.store.seen().len() <= 1, "an upload in parts is begun once");
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn the_spelling_of_a_request_does_not_matter() {
    let world = World::new();
    let spellings = [
        r#"{"filename":"a.mp4","path":"films","metadata":{"a":"1","b":"2"}}"#,
        r#"{ "metadata": {"b":"2","a":"\u0031"}, "path": "films/", "filename": "a.mp4", "overwrite": true, "size": null }"#,
    ];
    let mut answers = Vec::new();
    for spelling in spellings {
        answers.push(
            world.post_once("key-1", "/upload-url", serde_json::from_str(spelling).unwrap()).await.body,
        );
    }
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test]
async fn another_key_request_call_or_project_is_another_grant() {
    let world = World::new();
    let grant = async |api_key: &str, key: Option<&str>, path: &str, body: Value| {
        let mut headers = vec![("x-api-key", api_key)];
        headers.extend(key.map(|key| ("idempotency-key", key)));
        let answer = world.send_with(&headers, Method::POST, path, &body).await;
        answer.json()["grantId"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
    };
    let (acme, globex) = (world.target.admin.reveal(), world.other.reveal());
    let body = || json!({ "filename": "a.mp4" });
    let mut grants = vec![
        grant(acme, Some("key-1"), "/upload-url", body()).await,
        grant(acme, Some("key-2"), "/upload-url", body()).await,
        grant(acme, Some("key-1"), "/upload-url", json!({ "filename": "a.mp4", "overwrite": false })).await,
        grant(acme, Some("key-1"), "/upload-url", json!({ "filename": "a.mp4", "expiresIn": 60 })).await,
        grant(acme, Some("key-1"), "/upload-url", json!({ "filename": "a.mp4", "metadata": { "a": "b" } }))
            .await,
        grant(acme, Some("key-1"), PLAYBACK, json!({})).await,
        grant(acme, Some("key-1"), PLAYBACK, json!({ "format": "hls" })).await,
        grant(acme, Some("key-1"), PLAYBACK, json!({ "ttl": 60 })).await,
        grant(acme, Some("key-1"), PLAYBACK, json!({ "ip": "203.0.113.7" })).await,
        grant(globex, Some("key-1"), "/upload-url", body()).await,
        grant(acme, None, "/upload-url", body()).await,
        grant(acme, None, "/upload-url", body()).await,
    ];
    let all = grants.len();
    grants.sort();
    grants.dedup();
    assert_eq!(grants.len(), all);
}

#[tokio::test]
async fn two_keys_of_one_project_share_what_was_granted() {
    let world = World::new();
    let body = json!({ "filename": "a.mp4" });
    let first = world.post_once("key-1", "/upload-url", body.clone()).await;
    let headers = [("x-api-key", world.target.upload.reveal()), ("idempotency-key", "key-1")];
    let second = world.send_with(&headers, Method::POST, "/upload-url", &body).await;
    assert_eq!(second.body, first.body);
}

#[tokio::test]
async fn a_playback_is_remembered_beyond_the_end_of_its_hour() {
    let world = World::new();
    world.pass(Duration::from_mins(55)); // 03:59:05
    let first = world.post_once("key-1", PLAYBACK, json!({})).await;
    world.pass(Duration::from_mins(59)); // 04:58:05
    assert_eq!(world.post_once("key-1", PLAYBACK, json!({})).await.body, first.body);
    assert_eq!(world.commits().await.len(), 1);
}

#[tokio::test]
async fn of_two_uploads_in_parts_that_begin_at_the_same_time_the_second_is_dropped() {
    let world = World::new();
    let body = json!({ "filename": "a.mp4", "size": 20_000_000, "multipart": true });
    let first = world.post_once("key-1", "/upload-url", body.clone()).await;
    world.journal.recalls_nothing.store(true, Ordering::Relaxed);
    let second = world.post_once("key-1", "/upload-url", body).await;
    assert_eq!(second.body, first.body);
    let seen = world.store.seen();
    let methods: Vec<&Method> = seen.iter().map(|(method, _)| method).collect();
    assert_eq!(methods, [&Method::POST, &Method::POST, &Method::DELETE]);
    assert!(seen[2].1.contains("uploadId=VXBsb2FkIElELTE.2"), "{seen:?}");
}

#[tokio::test]
async fn a_journal_without_memory_still_gives_the_same_grant() {
    let world = World::new();
    world.journal.forgets.store(true, Ordering::Relaxed);
    let mut grants = Vec::new();
    for _ in 0..2 {
        grants.push(
            world.post_once("key-1", "/upload-url", json!({ "filename": "a.mp4" })).await.json()["grantId"]
                .clone(),
        );
        world.pass(Duration::from_secs(10));
    }
    assert_eq!(grants[0], grants[1]);
    assert_eq!(world.commits().await.len(), 1, "the log drops the repetition");
}
