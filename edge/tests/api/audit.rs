//! Calls about the transparency log.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use streamio_edge::config::AllowedOrigins;

use crate::answer::Answer;
use crate::audit_home::{CHECKPOINT, TILE_BYTES};
use crate::config::config;
use crate::test_edge::TestEdge;

async fn get(test: &TestEdge, path: &str) -> Answer {
    test.send_with(&[("x-api-key", test.target.admin.reveal())], Method::GET, path, &Value::Null).await
}

#[tokio::test]
async fn a_checkpoint_is_served_as_the_text_that_was_signed() {
    let answer = get(&TestEdge::new(), "/audit/checkpoint").await;
    assert_eq!((answer.status, &*answer.body), (StatusCode::OK, CHECKPOINT.as_bytes()));
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(answer.header("cache-control"), Some("no-store"), "it changes");
}

#[tokio::test]
async fn a_tile_is_served_as_bytes_that_may_be_cached_for_ever() {
    let test = TestEdge::new();
    let answer = get(&test, "/audit/tile/0/000.p/1").await;
    assert_eq!((answer.status, &*answer.body), (StatusCode::OK, TILE_BYTES.as_slice()));
    assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
    assert_eq!(answer.header("cache-control"), Some("private, max-age=31536000, immutable"));
    for path in ["/audit/tile/0/000", "/audit/tile/0/../0/000.p/1", "/audit/tile/x", "/audit/tile//"] {
        let answer = get(&test, path).await;
        let expected = (StatusCode::NOT_FOUND, json!("/problems/no-such-tile"));
        assert_eq!((answer.status, answer.json()["type"].clone()), expected, "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "it may appear");
    }
}

/// All projects have their tiles under the same URLs.
#[tokio::test]
async fn a_cached_tile_is_for_the_same_key_only() {
    let mut config = config();
    for (origins, expected) in [
        (AllowedOrigins::Any, "authorization, x-api-key"),
        (AllowedOrigins::Only(vec!["https://app.example".to_owned()]), "authorization, x-api-key, origin"),
    ] {
        config.allowed_origins = origins;
        let answer = get(&TestEdge::with(config.clone()), "/audit/tile/0/000.p/1").await;
        assert_eq!(answer.status, StatusCode::OK);
        let vary: Vec<_> = answer.headers.get_all("vary").iter().map(|it| it.to_str().unwrap()).collect();
        assert_eq!(vary.join(", "), expected);
    }
}

#[tokio::test]
async fn a_deployment_without_a_log_and_a_project_without_a_checkpoint_say_so() {
    for path in [
        "/audit/checkpoint",
        "/audit/public-key",
        "/audit/tile/0/000",
        "/videos/vid_tbkj5m62dvafwldlqbvftya3f3/proof",
    ] {
        let test = TestEdge::new();
        let answer =
            test.send_with(&[("x-api-key", test.other.reveal())], Method::GET, path, &Value::Null).await;
        let problem = answer.json();
        assert_eq!(answer.status, StatusCode::CONFLICT, "{path}");
        assert_eq!(problem["type"], "/problems/no-audit-log");
        assert_eq!(problem["detail"], "This deployment has no audit log yet.");
    }
}

#[tokio::test]
async fn a_video_that_does_not_exist_has_no_proof() {
    let test = TestEdge::new();
    let answer = get(&test, "/videos/vid_aaaaaaaaaaaaaaaaaaaaaaaaaa/proof").await;
    let expected = (StatusCode::NOT_FOUND, json!("/problems/no-such-video"));
    assert_eq!((answer.status, answer.json()["type"].clone()), expected);
}

#[tokio::test]
async fn a_key_without_the_scope_read_gets_nothing() {
    let test = TestEdge::new();
    for path in ["/audit/checkpoint", "/audit/tile/0/000.p/1"] {
        let headers = [("x-api-key", test.target.upload.reveal())];
        let answer = test.send_with(&headers, Method::GET, path, &Value::Null).await;
        assert_eq!(answer.json()["type"], "/problems/missing-scope", "{path}");
    }
}
