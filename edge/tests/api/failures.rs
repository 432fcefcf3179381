//! An unavailable port is a 503; a grant that may not have been recorded gives no URL.

use std::sync::atomic::Ordering;

use http::{Method, StatusCode};
use proptest::prelude::*;
use serde_json::{Value, json};
use streamio_edge::Served;
use streamio_events::fault::Fault;

use crate::answer::Answer;
use crate::test_edge::{TestEdge, block_on};

fn grants() -> [(&'static str, Value); 5] {
    [
        ("/upload-url", json!({ "filename": "a.mp4" })),
        ("/upload-url", json!({ "filename": "a.mp4", "size": 1, "multipart": true })),
        ("/upload-url", json!({ "filename": "a.mp4", "size": 1, "uploadId": "x" })),
        ("/playback-url?key=processed/acme/a.mp4", json!({})),
        ("/playback-url?key=processed/acme/a.mp4", json!({ "format": "hls" })),
    ]
}

/// Panics unless the response is a 503 with `retry-after` and no internals, and the operator's log gets the cause.
fn assert_unavailable(answer: &Answer, cause: &str) {
    assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    let body = answer.json().to_string();
    assert!(!body.contains("http") && !body.contains("Signature") && !body.contains("grt_"), "{body}");
    let served = answer.extensions.get::<Served>().unwrap();
    let mut chain = Vec::new();
    let mut next: Option<&(dyn std::error::Error + 'static)> =
        served.cause.as_deref().map(|cause| cause as _);
    while let Some(error) = next {
        chain.push(error.to_string());
        next = error.source();
    }
    assert!(chain.iter().any(|message| message.contains(cause)), "{chain:?}");
    assert!(chain.iter().all(|message| !body.contains(message)), "{chain:?} is in the response: {body}");
}

#[tokio::test]
async fn a_grant_that_is_not_recorded_gives_no_url_and_can_be_requested_again() {
    for (path, body) in grants() {
        for fault in [Fault::Before, Fault::After] {
            let test = TestEdge::new();
            test.log.plan_appends([fault.clone()]);
            let refused = test.post_once("key-1", path, body.clone()).await;
            assert_unavailable(&refused, "fault was injected");
            assert_eq!(test.log.injected(), 1);
            assert_eq!(test.commits().await.len(), usize::from(fault == Fault::After));
            let answer = test.post_once("key-1", path, body.clone()).await;
            assert_eq!(answer.status, StatusCode::OK, "{path} {body}");
            assert_eq!(test.post_once("key-1", path, body.clone()).await.body, answer.body);
            assert_eq!(test.commits().await.len(), 1);
        }
    }
}

#[tokio::test]
async fn a_pending_grant_is_recorded_before_its_url_leaves() {
    for (path, body) in grants() {
        let test = TestEdge::new();
        test.journal.is_slow.store(true, Ordering::Relaxed);
        let pending = test.edge.handle_without_waiting(test.context(), &test.post_request(path, &body)).await;
        assert_eq!(pending.response.status(), StatusCode::OK, "{path} {body}");
        assert!(test.commits().await.is_empty(), "the journal records when its receipt is awaited");
        pending.receipt.expect("a receipt").accepted().await.unwrap();
        assert_eq!(test.commits().await.len(), 1);

        let answer = test.post(path, body.clone()).await;
        assert_eq!(answer.status, StatusCode::OK, "{path} {body}");
        assert_eq!(test.commits().await.len(), 2, "the response waited for the receipt");
    }
}

#[tokio::test]
async fn a_pending_grant_that_is_not_accepted_gives_no_url_and_can_be_requested_again() {
    for (path, body) in grants() {
        for fault in [Fault::Before, Fault::After] {
            let test = TestEdge::new();
            test.journal.is_slow.store(true, Ordering::Relaxed);
            test.log.plan_appends([fault.clone()]);
            let refused = test.post_once("key-1", path, body.clone()).await;
            assert_unavailable(&refused, "fault was injected");
            assert_eq!(test.log.injected(), 1);
            let answer = test.post_once("key-1", path, body.clone()).await;
            assert_eq!(answer.status, StatusCode::OK, "{path} {body}");
            assert_eq!(test.commits().await.len(), 1);
        }
    }
}

#[tokio::test]
async fn a_journal_that_cannot_be_read_gives_no_url() {
    for (path, body) in [grants()[1].clone(), grants()[3].clone()] {
        let test = TestEdge::new();
        test.log.plan_reads([Fault::Before]);
        assert_unavailable(&test.post_once("key-1", path, body).await, "fault was injected");
        assert_eq!((test.commits().await, test.store.requests()), (vec![], vec![]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_url_is_returned_without_its_grant_in_the_log(
        steps in prop::collection::vec((0usize..5, 0u8..4, prop_oneof![
            3 => Just(Fault::None), 1 => Just(Fault::Before), 1 => Just(Fault::After), 1 => Just(Fault::Race),
        ]), 1..12),
    ) {
        block_on(async {
            let test = TestEdge::new();
            for (grant, key, fault) in steps {
                test.log.plan_appends([fault]);
                let (path, body) = grants()[grant].clone();
                let answer = test.post_once(&format!("key-{grant}-{key}"), path, body).await;
                let text = String::from_utf8(answer.body.to_vec()).unwrap();
                if answer.status == StatusCode::OK {
                    let grant = answer.json()["grantId"].clone();
                    let commits = test.commits().await;
                    prop_assert!(commits.iter().flat_map(|commit| &commit.events).any(|event| event.data["grantId"] == grant));
                } else {
                    prop_assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
                    prop_assert!(!text.contains("http") && !text.contains("Signature"), "{}", text);
                }
            }
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn a_damaged_record_gives_no_url() {
    let test = TestEdge::new();
    let granted = test.post_once("key-1", "/upload-url", json!({ "filename": "a.mp4" })).await;
    assert_eq!(granted.status, StatusCode::OK);
    let mut damaged = test.commits().await[0].clone();
    damaged.events[0].data["s3Key"] = json!("projects/globex/../a");
    let fresh = TestEdge::new();
    let commit = streamio_events::commit::NewCommit {
        id: damaged.id.clone(),
        events: damaged.events.clone(),
        recorded_at: damaged.recorded_at,
    };
    fresh.log.plan_appends([Fault::RaceWith(commit)]);
    let refused = fresh.post_once("key-1", "/upload-url", json!({ "filename": "a.mp4" })).await;
    assert_unavailable(&refused, "cannot be read");
}

#[tokio::test]
async fn a_signer_that_fails_gives_no_url() {
    let test = TestEdge::new();
    test.signer.is_down.store(true, Ordering::Relaxed);
    for (path, body) in &grants()[3..] {
        assert_unavailable(&test.post(path, body.clone()).await, "the signer's pin is 0000");
    }
}

#[tokio::test]
async fn a_grant_whose_signer_fails_is_still_waited_for() {
    let test = TestEdge::new();
    test.journal.is_slow.store(true, Ordering::Relaxed);
    test.signer.is_down.store(true, Ordering::Relaxed);
    for (count, (path, body)) in grants()[3..].iter().enumerate() {
        let pending = test.edge.handle_without_waiting(test.context(), &test.post_request(path, body)).await;
        assert_eq!(pending.response.status(), StatusCode::SERVICE_UNAVAILABLE);
        pending.receipt.expect("the grant's receipt").accepted().await.unwrap();
        assert_eq!(test.commits().await.len(), count + 1);
    }
}

#[tokio::test]
async fn without_an_object_store_no_multipart_upload_is_created() {
    let test = TestEdge::new();
    test.store.is_down.store(true, Ordering::Relaxed);
    let (path, body) = grants()[1].clone();
    assert_unavailable(&test.post(path, body).await, "no route to the store");
    assert_eq!(test.commits().await, []);
}

#[tokio::test]
async fn without_a_directory_no_key_is_accepted() {
    let test = TestEdge::new();
    test.tenants.is_down.store(true, Ordering::Relaxed);
    for (method, path) in
        [(Method::GET, "/videos"), (Method::POST, "/upload-url"), (Method::DELETE, "/videos/x")]
    {
        assert_unavailable(&test.send(method, path, &Value::Null).await, "hunter2");
    }
    assert_eq!(test.get("/healthz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn without_a_home_region_views_and_commands_are_unavailable() {
    let test = TestEdge::new();
    let id = test.ready_video().await;
    for (method, path) in [
        (Method::GET, "/videos".to_owned()),
        (Method::GET, "/events".to_owned()),
        (Method::GET, format!("/videos/{id}")),
        (Method::GET, format!("/videos/{id}?asOf=2026-01-02T03:04:05Z")),
        (Method::GET, format!("/videos/{id}/events")),
        (Method::DELETE, format!("/videos/{id}")),
        (Method::POST, format!("/videos/{id}/reprocess")),
    ] {
        test.log.plan_reads([Fault::Before]);
        assert_unavailable(&test.send(method, &path, &Value::Null).await, "fault was injected");
    }
}
