use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::Value;
use streamio_edge::Context;
use streamio_edge::testing::{bad_requests, check_bad_requests};

use streamio_events::api_key::ApiKey;
use streamio_events::timestamp::Timestamp;

use crate::test_edge::{TestEdge, start};

#[tokio::test]
async fn every_bad_request_of_the_table_is_refused_as_expected() {
    let test = TestEdge::new();
    let sent = check_bad_requests(&test.target, async |request| {
        let answer = test.handle(request).await;
        let mut response = http::Response::new(answer.body);
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        response
    })
    .await;
    match sent {
        Ok(sent) => assert_eq!(sent, bad_requests().len()),
        Err(failures) => panic!("{} have other responses:\n{}", failures.len(), failures.join("\n")),
    }
    assert_eq!(test.commits().await, [], "refused requests record nothing");
    assert_eq!(test.store.requests(), [], "refused requests send nothing to the object store");
}

#[tokio::test]
async fn an_invalid_api_key_causes_no_lookup() {
    let test = TestEdge::new();
    for bad in
        bad_requests().iter().filter(|bad| matches!(&*bad.r#type, "malformed-api-key" | "mistyped-api-key"))
    {
        test.handle(bad.request(&test.target)).await;
    }
    assert_eq!(test.tenants.lookups.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn an_expired_key_works_until_its_expiry() {
    let test = TestEdge::new();
    let last = Context {
        now: Timestamp::from_unix_millis(start().unix_millis() - 1),
        random: [1; 32],
        client_address: None,
    };
    let request = |key: &ApiKey| {
        http::Request::get("/videos").header("x-api-key", key.reveal()).body(Bytes::new()).unwrap()
    };
    let before = test.edge.handle(last, &request(&test.target.expired)).await;
    assert_eq!(before.status(), StatusCode::OK);
    let after = test
        .send_with(&[("x-api-key", test.target.expired.reveal())], Method::GET, "/videos", &Value::Null)
        .await;
    assert_eq!(after.problem(), "expired-api-key");
}
