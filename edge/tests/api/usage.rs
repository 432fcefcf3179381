use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use crate::test_edge::TestEdge;

#[tokio::test]
async fn the_usage_of_the_last_days_is_returned_with_the_limits() {
    let test = TestEdge::new();
    for filename in ["a.mp4", "b.mp4"] {
        assert_eq!(test.post("/upload-url", json!({ "filename": filename })).await.status, StatusCode::OK);
    }
    test.advance(Duration::from_hours(24));
    test.post("/upload-url", json!({ "filename": "c.mp4" })).await;
    let usage = test.get("/usage").await.json();
    assert_eq!((&usage["from"], &usage["to"]), (&json!("2025-12-05"), &json!("2026-01-03")));
    let granted: Vec<_> =
        usage["days"].as_array().unwrap().iter().map(|day| (&day["day"], &day["uploadsGranted"])).collect();
    assert_eq!(granted, [(&json!("2026-01-02"), &json!(2)), (&json!("2026-01-03"), &json!(1))]);
    assert_eq!(usage["storedBytes"], 0);
    assert_eq!(
        usage["limits"],
        json!({
            "concurrentEncodes": 4, "bytesPerDay": "unlimited", "minutesPerDay": "unlimited",
            "storedBytes": 500_000_000_000_u64,
        })
    );
    let day = test.get("/usage?from=2026-01-03&to=2026-01-03").await.json();
    assert_eq!(day["days"].as_array().unwrap().len(), 1);
    assert_eq!(test.get("/usage?to=2026-01-01").await.json()["days"], json!([]));
}

#[tokio::test]
async fn the_days_of_a_request_are_checked() {
    let test = TestEdge::new();
    for (query, field) in [
        ("from=yesterday", "from"),
        ("to=2026-02-29", "to"),
        ("from=2026-01-03", "from"),
        ("from=2024-01-01&to=2026-01-01", "from"),
        ("day=2026-01-01", "day"),
    ] {
        let refused = test.get(&format!("/usage?{query}")).await;
        assert_eq!(
            (refused.status, refused.json()["field"].as_str()),
            (StatusCode::BAD_REQUEST, Some(field)),
            "{query}"
        );
    }
    assert_eq!(test.get("/usage?from=2025-01-01&to=2026-01-01").await.status, StatusCode::OK);
}
