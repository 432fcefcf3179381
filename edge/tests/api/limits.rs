use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::Value;
use streamio_edge::config::{EdgeConfig, RateLimit};

use crate::config::config;
use crate::test_edge::TestEdge;

#[tokio::test]
async fn a_key_beyond_its_quota_is_refused_until_retry_after_and_others_are_not() {
    let test = TestEdge::with(EdgeConfig {
        rate_limit: RateLimit { quota: 3, window_seconds: 60, tracked_keys: 10 },
        ..config()
    });
    for left in ["\"key\";r=2;t=20", "\"key\";r=1;t=40", "\"key\";r=0;t=60"] {
        let answer = test.get("/videos").await;
        assert_eq!(
            (answer.header("ratelimit"), answer.header("ratelimit-policy")),
            (Some(left), Some("\"key\";q=3;w=60"))
        );
    }
    test.advance(Duration::from_millis(500));
    let refused = test.get("/videos").await;
    assert_eq!((refused.status, refused.problem().as_str()), (StatusCode::TOO_MANY_REQUESTS, "rate-limited"));
    assert_eq!(
        (refused.header("retry-after"), refused.header("ratelimit")),
        (Some("20"), Some("\"key\";r=0;t=60"))
    );
    let other =
        test.send_with(&[("x-api-key", test.other.reveal())], Method::GET, "/videos", &Value::Null).await;
    assert_eq!(other.status, StatusCode::OK);
    test.advance(Duration::from_secs(20));
    assert_eq!(test.get("/videos").await.status, StatusCode::OK);
    assert_eq!(test.get("/healthz").await.header("ratelimit"), None, "calls without a key are not counted");
}

#[tokio::test]
async fn refused_requests_count_as_well() {
    let test = TestEdge::with(EdgeConfig {
        rate_limit: RateLimit { quota: 1, window_seconds: 60, tracked_keys: 10 },
        ..config()
    });
    assert_eq!(test.get("/videos?limit=0").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(test.get("/videos").await.status, StatusCode::TOO_MANY_REQUESTS);
}
