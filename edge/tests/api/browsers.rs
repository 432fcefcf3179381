use http::{Method, StatusCode};
use serde_json::Value;
use streamio_edge::config::AllowedOrigins;

use crate::config::config;
use crate::test_edge::TestEdge;

const PREFLIGHT: [(&str, &str); 3] = [
    ("origin", "https://app.example"),
    ("access-control-request-method", "POST"),
    ("access-control-request-headers", "content-type,x-api-key"),
];

#[tokio::test]
async fn a_preflight_needs_no_api_key() {
    let test = TestEdge::new();
    let answer = test.send_with(&PREFLIGHT, Method::OPTIONS, "/upload-url", &Value::Null).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    let headers = [
        "allow",
        "access-control-allow-origin",
        "access-control-allow-methods",
        "access-control-allow-headers",
    ];
    assert_eq!(
        headers.map(|name| answer.header(name).unwrap_or_default()),
        [
            "POST, OPTIONS",
            "*",
            "POST, OPTIONS",
            "authorization, content-type, idempotency-key, x-api-key, x-request-id"
        ]
    );
    assert_eq!(
        test.send_with(&PREFLIGHT, Method::OPTIONS, "/nothing", &Value::Null).await.status,
        StatusCode::NOT_FOUND
    );
    let plain = test.send_with(&[], Method::OPTIONS, "/videos/x", &Value::Null).await;
    assert_eq!(plain.header("allow"), Some("GET, HEAD, PATCH, DELETE, OPTIONS"));
    assert_eq!(plain.header("access-control-allow-methods"), None);
}

#[tokio::test]
async fn a_page_can_read_problem_responses() {
    let test = TestEdge::new();
    let answer = test.send_with(&PREFLIGHT[..1], Method::GET, "/videos", &Value::Null).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert!(answer.header("access-control-expose-headers").unwrap().contains("x-request-id"));
}

/// A cache may keep one response for all requests, with and without an origin.
#[tokio::test]
async fn where_every_page_may_read_responses_all_of_them_say_so() {
    let test = TestEdge::new();
    for path in ["/videos", "/healthz", "/nothing", "/openapi.json", "/play/processed/acme/a.m3u8"] {
        for headers in [&[][..], &PREFLIGHT[..1]] {
            let answer = test.send_with(headers, Method::GET, path, &Value::Null).await;
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{path} {headers:?}");
            assert_eq!(answer.header("vary"), None, "{path}");
        }
    }
}

#[tokio::test]
async fn only_allowed_origins_may_read_responses_and_caches_get_a_vary_header() {
    let mut config = config();
    config.allowed_origins = AllowedOrigins::Only(vec!["https://app.example".to_owned()]);
    let test = TestEdge::with(config);
    let shared = test.send_with(&PREFLIGHT, Method::OPTIONS, "/videos", &Value::Null).await;
    assert_eq!(shared.header("access-control-allow-origin"), Some("https://app.example"));
    let refused = [("origin", "https://evil.example"), PREFLIGHT[1]];
    let refused = test.send_with(&refused, Method::OPTIONS, "/videos", &Value::Null).await;
    assert_eq!(refused.header("access-control-allow-origin"), None);
    assert_eq!((shared.header("vary"), refused.header("vary")), (Some("origin"), Some("origin")));
}

#[tokio::test]
async fn only_the_description_may_be_cached() {
    let test = TestEdge::new();
    assert_eq!(test.get("/videos").await.header("cache-control"), Some("no-store"));
    assert_eq!(test.get("/nothing").await.header("cache-control"), Some("no-store"));
    assert_eq!(test.get("/openapi.json").await.header("cache-control"), Some("public, max-age=300"));
}
