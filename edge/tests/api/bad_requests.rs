use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::Value;
use streamio_edge::Context;
use streamio_edge::testing::{bad_requests, refuses_bad_requests};

use streamio_events::api_key::ApiKey;
use streamio_events::timestamp::Timestamp;

use crate::world::{World, start};

#[tokio::test]
async fn every_bad_request_of_the_table_is_refused_as_it_says() {
    let world = World::new();
    let sent = refuses_bad_requests(&world.target, async |request| {
        let answer = world.handle(request).await;
        let mut response = http::Response::new(answer.body);
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        response
    })
    .await;
    match sent {
        Ok(sent) => assert_eq!(sent, bad_requests().len()),
        Err(failures) => panic!("{} are answered otherwise:\n{}", failures.len(), failures.join("\n")),
    }
    assert_eq!(world.commits().await, [], "nothing of a refused request is recorded");
    assert_eq!(world.store.seen(), [], "and nothing is asked of the object store");
}

#[tokio::test]
async fn junk_for_an_api_key_costs_no_look_up() {
    let world = World::new();
    for bad in
        bad_requests().iter().filter(|bad| matches!(&*bad.r#type, "malformed-api-key" | "mistyped-api-key"))
    {
        world.handle(bad.request(&world.target)).await;
    }
    assert_eq!(world.tenants.lookups.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn an_expired_key_has_worked_until_its_expiry() {
    let world = World::new();
    let last = Context { now: Timestamp::from_unix_millis(start().unix_millis() - 1), random: [1; 32] };
    let request = |key: &ApiKey| {
        http::Request::get("/videos").header("x-api-key", key.reveal()).body(Bytes::new()).unwrap()
    };
    let before = world.edge.handle(last, request(&world.target.expired)).await;
    assert_eq!(before.status(), StatusCode::OK);
    let after = world
        .send_with(&[("x-api-key", world.target.expired.reveal())], Method::GET, "/videos", &Value::Null)
        .await;
    assert_eq!(after.problem(), "expired-api-key");
}
