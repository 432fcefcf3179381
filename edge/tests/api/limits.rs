use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::Value;
use streamio_edge::config::{EdgeConfig, RateLimits};
use streamio_events::api_key::ApiKey;

use crate::config::config;
use crate::test_edge::TestEdge;

#[tokio::test]
async fn a_key_beyond_its_quota_is_refused_until_retry_after_and_others_are_not() {
    let test = TestEdge::with(EdgeConfig {
        rate_limits: RateLimits { key: 3, ..RateLimits::default() },
        ..config()
    });
    for left in ["\"key\";r=2;t=20", "\"key\";r=1;t=40", "\"key\";r=0;t=60"] {
        let answer = test.get("/videos").await;
        assert_eq!(
            (answer.header("ratelimit"), answer.header("ratelimit-policy")),
            (Some(left), Some("\"key\";q=3;w=60, \"project\";q=30000;w=60"))
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
        rate_limits: RateLimits { key: 1, ..RateLimits::default() },
        ..config()
    });
    assert_eq!(test.get("/videos?limit=0").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(test.get("/videos").await.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn the_keys_of_a_project_have_a_quota_together() {
    let test = TestEdge::with(EdgeConfig {
        rate_limits: RateLimits { key: 2, project: 3, ..RateLimits::default() },
        ..config()
    });
    let other_key = [("x-api-key", test.target.playback.reveal())];
    for left in ["\"key\";r=1;t=30", "\"key\";r=0;t=60"] {
        assert_eq!(test.get("/videos").await.header("ratelimit"), Some(left));
    }
    let last = test.send_with(&other_key, Method::GET, "/videos", &Value::Null).await;
    assert_eq!(
        (last.header("ratelimit"), last.header("ratelimit-policy")),
        (Some("\"project\";r=0;t=60"), Some("\"key\";q=2;w=60, \"project\";q=3;w=60"))
    );
    let refused = test.send_with(&other_key, Method::GET, "/videos", &Value::Null).await;
    assert_eq!((refused.status, refused.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, Some("20")));
    assert_eq!(
        refused.json()["detail"],
        "The project of this API key may send the next request in 20.0 seconds."
    );
    let other_project = [("x-api-key", test.other.reveal())];
    let served = test.send_with(&other_project, Method::GET, "/videos", &Value::Null).await;
    assert_eq!(served.status, StatusCode::OK);
}

#[tokio::test]
async fn an_address_with_many_failed_authentications_is_refused_except_for_keys_that_work() {
    let test = TestEdge::with(EdgeConfig {
        rate_limits: RateLimits { failed_authentications: 3, ..RateLimits::default() },
        ..config()
    });
    assert_eq!(test.get("/videos").await.status, StatusCode::OK);
    let unknown = ApiKey::generate("live", [77; 32]).unwrap();
    for wrong in [&[("x-api-key", "sio_junk")][..], &[("x-api-key", unknown.reveal())], &[]] {
        let failed = test.send_with(wrong, Method::GET, "/videos", &Value::Null).await;
        assert_eq!(failed.status, StatusCode::UNAUTHORIZED);
    }
    for wrong in [&[("x-api-key", unknown.reveal())][..], &[("x-api-key", test.other.reveal())], &[]] {
        let refused = test.send_with(wrong, Method::GET, "/videos", &Value::Null).await;
        assert_eq!(
            (refused.status, refused.header("retry-after")),
            (StatusCode::TOO_MANY_REQUESTS, Some("20"))
        );
        assert!(refused.json()["detail"].as_str().unwrap().contains("no valid API key"));
    }
    assert_eq!(test.get("/videos").await.status, StatusCode::OK, "a key that was accepted before");
    assert_eq!(test.get("/healthz").await.status, StatusCode::OK);
    test.set_client_address("192.0.2.2");
    let other = [("x-api-key", test.other.reveal())];
    assert_eq!(test.send_with(&other, Method::GET, "/videos", &Value::Null).await.status, StatusCode::OK);
    test.set_client_address("192.0.2.1");
    test.advance(Duration::from_secs(20));
    let failed = test.send_with(&[("x-api-key", "sio_junk")], Method::GET, "/videos", &Value::Null).await;
    assert_eq!(failed.status, StatusCode::UNAUTHORIZED, "one more after a third of the window");
}

#[tokio::test]
async fn a_clock_that_is_set_back_or_forward_refuses_nobody() {
    let limits = RateLimits { key: 10, project: 10, failed_authentications: 2, ..RateLimits::default() };
    for set_back in [true, false] {
        let test = TestEdge::with(EdgeConfig { rate_limits: limits, ..config() });
        for _ in 0..3 {
            assert_eq!(test.get("/videos").await.status, StatusCode::OK);
            test.send_with(&[], Method::GET, "/videos", &Value::Null).await;
        }
        let hour = Duration::from_hours(1);
        if set_back {
            test.set_back(hour);
        } else {
            test.advance(hour);
        }
        assert_eq!(test.get("/videos").await.header("ratelimit"), Some("\"key\";r=9;t=6"));
        let failed = test.send_with(&[], Method::GET, "/videos", &Value::Null).await;
        assert_eq!(failed.status, StatusCode::UNAUTHORIZED);
    }
}
