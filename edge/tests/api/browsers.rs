use http::{Method, StatusCode};
use serde_json::Value;
use streamio_edge::config::AllowedOrigins;

use crate::world::{World, config};

const PREFLIGHT: [(&str, &str); 3] = [
    ("origin", "https://app.example"),
    ("access-control-request-method", "POST"),
    ("access-control-request-headers", "content-type,x-api-key"),
];

#[tokio::test]
async fn a_preflight_is_answered_without_an_api_key() {
    let world = World::new();
    let answer = world.send_with(&PREFLIGHT, Method::OPTIONS, "/upload-url", &Value::Null).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    let headers = [
        "allow",
        "access-control-allow-origin",
        "access-control-allow-methods",
        "access-control-allow-headers",
    ];
    assert_eq!(
        headers.map(|name| answer.header(name).unwrap_or_default()),
        ["POST, OPTIONS", "*", "POST, OPTIONS", "content-type, idempotency-key, x-api-key, x-request-id"]
    );
    assert_eq!(
        world.send_with(&PREFLIGHT, Method::OPTIONS, "/nothing", &Value::Null).await.status,
        StatusCode::NOT_FOUND
    );
    let plain = world.send_with(&[], Method::OPTIONS, "/videos/x", &Value::Null).await;
    assert_eq!(plain.header("allow"), Some("GET, HEAD, DELETE, OPTIONS"));
    assert_eq!(plain.header("access-control-allow-methods"), None);
}

#[tokio::test]
async fn refusals_are_shared_with_the_page_too_so_that_it_can_show_them() {
    let world = World::new();
    let answer = world.send_with(&PREFLIGHT[..1], Method::GET, "/videos", &Value::Null).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert!(answer.header("access-control-expose-headers").unwrap().contains("x-request-id"));
}

#[tokio::test]
async fn only_allowed_origins_may_read_and_caches_are_told() {
    let mut config = config();
    config.allowed_origins = AllowedOrigins::Only(vec!["https://app.example".to_owned()]);
    let world = World::with(config);
    let shared = world.send_with(&PREFLIGHT, Method::OPTIONS, "/videos", &Value::Null).await;
    assert_eq!(shared.header("access-control-allow-origin"), Some("https://app.example"));
    let refused = [("origin", "https://evil.example"), PREFLIGHT[1]];
    let refused = world.send_with(&refused, Method::OPTIONS, "/videos", &Value::Null).await;
    assert_eq!(refused.header("access-control-allow-origin"), None);
    assert_eq!((shared.header("vary"), refused.header("vary")), (Some("origin"), Some("origin")));
}

#[tokio::test]
async fn answers_are_kept_by_no_cache_but_the_description() {
    let world = World::new();
    assert_eq!(world.get("/videos").await.header("cache-control"), Some("no-store"));
    assert_eq!(world.get("/nothing").await.header("cache-control"), Some("no-store"));
    assert_eq!(world.get("/openapi.json").await.header("cache-control"), Some("public, max-age=300"));
}
