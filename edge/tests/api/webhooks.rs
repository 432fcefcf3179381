//! Calls about webhooks, and the messages that the description promises.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use streamio_events::id::MessageId;
use streamio_events::timestamp::Timestamp;
use streamio_events::webhook::{Message, MessageType};

use crate::description::{DESCRIPTION, mistakes};
use crate::test_edge::TestEdge;

async fn send(method: Method, path: &str, body: Value) -> (StatusCode, Value) {
    let test = TestEdge::new();
    let headers = [("x-api-key", test.target.admin.reveal())];
    let answer = test.send_with(&headers, method, path, &body).await;
    let body = if answer.status == StatusCode::NO_CONTENT { Value::Null } else { answer.json() };
    (answer.status, body)
}

#[tokio::test]
async fn an_endpoint_receives_all_types_unless_some_are_stated() {
    let (status, created) = send(Method::POST, "/webhooks", json!({ "url": "https://example.com" })).await;
    assert_eq!((status, &created["types"]), (StatusCode::CREATED, &json!(["*"])));
}

#[tokio::test]
async fn invalid_fields_are_named() {
    for (body, field) in [
        (json!({}), "url"),
        (json!({ "url": 1 }), "url"),
        (json!({ "url": "http://example.com" }), "url"),
        (json!({ "url": "https://example.com", "types": ["video.redy"] }), "types"),
        (json!({ "url": "https://example.com", "types": "video.ready" }), "types"),
        (json!({ "url": "https://example.com", "types": [1] }), "types"),
        (json!({ "url": "https://example.com", "rateLimit": -1 }), "rateLimit"),
        (json!({ "url": "https://example.com", "secret": "x" }), "secret"),
    ] {
        let (status, problem) = send(Method::POST, "/webhooks", body.clone()).await;
        assert_eq!((status, &problem["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!(field)), "{body}");
    }
    for path in ["/webhooks/x", "/webhooks/whk_x", "/webhook-deliveries/x", "/webhook-deliveries/whk_a.msg_b"]
    {
        let (status, problem) = send(Method::GET, path, Value::Null).await;
        assert_eq!((status, &problem["field"]), (StatusCode::BAD_REQUEST, &json!("id")), "{path}");
    }
    for query in ["type=video.redy", "state=sent", "from=yesterday", "webhookId=x", "videoId=x"] {
        let (status, problem) = send(Method::GET, &format!("/webhook-deliveries?{query}"), Value::Null).await;
        let name = query.split('=').next().unwrap();
        assert_eq!((status, &problem["field"]), (StatusCode::BAD_REQUEST, &json!(name)), "{query}");
    }
}

#[tokio::test]
async fn invalid_fields_of_replays_are_named() {
    let since = "2026-01-01T00:00:00Z";
    for (call, body, field) in [
        ("recover", json!({}), "since"),
        ("recover", json!({ "since": "yesterday" }), "since"),
        ("recover", json!({ "since": 41 }), "since"),
        ("recover", json!({ "since": since, "types": ["video.redy"] }), "types"),
        ("recover", json!({ "since": since, "to": since }), "to"),
        ("replay", json!({}), "from"),
        ("replay", json!({ "from": -1 }), "from"),
        ("replay", json!({ "from": 1.5 }), "from"),
        ("replay", json!({ "from": "41" }), "from"),
        ("replay", json!({ "from": 41, "to": [] }), "to"),
        ("replay", json!({ "from": 41, "rate": "fast" }), "rate"),
    ] {
        let path = format!("/webhooks/whk_tbkj5m62dvafwldlqbvftya3f3/{call}");
        let (status, problem) = send(Method::POST, &path, body.clone()).await;
        assert_eq!((status, &problem["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!(field)), "{body}");
    }
    for (path, name) in [
        ("/webhooks/whk_x/replays/rpl_aaaaaaaaaaaaaaaaaaaaaaaaaa", "id"),
        ("/webhooks/whk_tbkj5m62dvafwldlqbvftya3f3/replays/x", "replayId"),
    ] {
        let (status, problem) = send(Method::GET, path, Value::Null).await;
        assert_eq!((status, &problem["field"]), (StatusCode::BAD_REQUEST, &json!(name)), "{path}");
    }
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let none = "whk_aaaaaaaaaaaaaaaaaaaaaaaaaa";
    for (method, path) in [
        (Method::GET, format!("/webhooks/{none}")),
        (Method::PATCH, format!("/webhooks/{none}")),
        (Method::DELETE, format!("/webhooks/{none}")),
        (Method::POST, format!("/webhooks/{none}/test")),
        (Method::POST, format!("/webhooks/{none}/rotate-secret")),
        (Method::GET, format!("/webhooks/{none}/replays")),
        (
            Method::GET,
            "/webhooks/whk_tbkj5m62dvafwldlqbvftya3f3/replays/rpl_aaaaaaaaaaaaaaaaaaaaaaaaaa".to_owned(),
        ),
        (Method::DELETE, format!("/webhooks/{none}/replays/rpl_aaaaaaaaaaaaaaaaaaaaaaaaaa")),
        (Method::GET, format!("/webhook-deliveries/{none}.msg_aaaaaaaaaaaaaaaaaaaaaaaaaa")),
        (Method::POST, format!("/webhook-deliveries/{none}.msg_aaaaaaaaaaaaaaaaaaaaaaaaaa/resend")),
    ] {
        let (status, problem) = send(method.clone(), &path, json!({})).await;
        let expected = (StatusCode::NOT_FOUND, &json!("/problems/no-such-webhook"));
        assert_eq!((status, &problem["type"]), expected, "{method} {path}");
    }
}

#[tokio::test]
async fn a_null_in_a_patch_removes_what_it_names() {
    let id = "whk_tbkj5m62dvafwldlqbvftya3f3";
    let patch = json!({ "rateLimit": null, "description": null });
    let (status, changed) = send(Method::PATCH, &format!("/webhooks/{id}"), patch).await;
    assert_eq!((status, changed.get("rateLimit")), (StatusCode::OK, None));
    for name in ["url", "types", "enabled"] {
        let (status, problem) = send(Method::PATCH, &format!("/webhooks/{id}"), json!({ name: null })).await;
        assert_eq!((status, &problem["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!(name)));
    }
}

/// Every type of message has a schema in the description, which its example satisfies.
#[test]
fn every_message_is_described() {
    let mut described: Vec<&str> =
        DESCRIPTION["webhooks"].as_object().unwrap().keys().map(String::as_str).collect();
    described.sort_unstable();
    let mut existing: Vec<&str> = MessageType::ALL.iter().map(|it| it.as_str()).collect();
    existing.sort_unstable();
    assert_eq!(described, existing);
    let project_id = "acme".parse().unwrap();
    for message_type in MessageType::ALL {
        let id = MessageId::derived_from(&[message_type.as_str()]);
        let message =
            Message::example(&project_id, id, *message_type, Timestamp::from_unix_seconds(1_767_323_045));
        let body: Value = serde_json::from_str(&message.body).unwrap();
        let operation = &DESCRIPTION["webhooks"][message_type.as_str()]["post"];
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        let wrong = mistakes(schema, &body);
        assert!(wrong.is_empty(), "{message_type}: {wrong:?}");
        assert_eq!(body["type"], message_type.as_str());
    }
}
