//! Endpoints, deliveries and jobs that send messages again. What an attempt does is not recorded: no request leaves the machine, and when it
//! fails depends on its resolver.

use http::Method;
use serde_json::{Value, json};

use crate::exchange::ApiResponse;
use crate::session::{Call, Session};

const URL: &str = "https://hooks.example.com/streamio";

fn call<'a>(session: &'a Session<'_>, method: Method, path: &str) -> Call<'a> {
    session.call(method, path).key(&session.keys().webhooks)
}

fn get<'a>(session: &'a Session<'_>, path: &str) -> Call<'a> {
    call(session, Method::GET, path)
}

/// A change with an Idempotency-Key, so that the ids that follow from it are the same for all targets.
fn change<'a>(session: &'a Session<'_>, method: Method, path: &str, key: &str) -> Call<'a> {
    call(session, method, path).header("idempotency-key", key.replace(' ', "-"))
}

async fn create(session: &Session<'_>, key: &str, body: &Value) -> ApiResponse {
    let call = change(session, Method::POST, "/webhooks", key).json(body);
    let response = call.send().await;
    if response.status == 201 {
        session.keep_secret(&response.text("/secret"));
    }
    response
}

/// Creates an endpoint for a scenario. Returns its path.
async fn endpoint(session: &Session<'_>, name: &str) -> String {
    let created = create(session, name, &json!({ "url": format!("{URL}/{name}") })).await.expect(201);
    format!("/webhooks/{}", created.text("/webhookId"))
}

async fn remove(session: &Session<'_>, path: &str) {
    let key = format!("remove {path}");
    change(session, Method::DELETE, path, &key).send().await.expect(204);
}

pub(crate) async fn endpoints(session: &Session<'_>) {
    get(session, "/webhooks").send().await.expect(200);
    let body = json!({ "url": URL, "types": ["video.ready", "video.errored"], "description": "CRM", "rateLimit": 10 });
    let created = create(session, "endpoints", &body).await.expect(201);
    let again = create(session, "endpoints", &body).await.expect(201);
    assert_eq!(again.text("/webhookId"), created.text("/webhookId"));
    create(session, "endpoints", &json!({ "url": URL })).await.expect_problem(422, "reused-idempotency-key");
    let path = format!("/webhooks/{}", created.text("/webhookId"));
    get(session, "/webhooks").send().await.expect(200);
    get(session, &path).send().await.expect(200);
    for (key, changes) in [
        ("types", json!({ "types": ["*"], "description": null, "rateLimit": null })),
        ("url", json!({ "url": format!("{URL}/new") })),
        ("disable", json!({ "enabled": false })),
        ("enable", json!({ "enabled": true })),
    ] {
        change(session, Method::PATCH, &path, key).json(&changes).send().await.expect(200);
    }
    let rotate = format!("{path}/rotate-secret");
    let rotated = change(session, Method::POST, &rotate, "rotate").json(&json!({ "overlapSeconds": 60 }));
    let rotated = rotated.send().await.expect(200);
    assert_ne!(rotated.text("/secret"), created.text("/secret"));
    session.keep_secret(&rotated.text("/secret"));
    get(session, "/webhooks/public-key").send().await.expect(200);
    remove(session, &path).await;
    get(session, &path).send().await.expect_problem(404, "no-such-webhook");
    change(session, Method::PATCH, &path, "again")
        .json(&json!({}))
        .send()
        .await
        .expect_problem(404, "no-such-webhook");
    // Another project has its own.
    session.get(&path).send().await.expect_problem(404, "no-such-webhook");
}

pub(crate) async fn refused(session: &Session<'_>) {
    for (key, body) in [
        ("no url", json!({})),
        ("http", json!({ "url": "http://hooks.example.com/" })),
        ("port", json!({ "url": "https://hooks.example.com:22/" })),
        ("network", json!({ "url": "https://10.0.0.1/" })),
        ("loopback", json!({ "url": "https://localhost/" })),
        ("user", json!({ "url": "https://user:password@hooks.example.com/" })),
        ("types", json!({ "url": URL, "types": ["video.redy"] })),
        ("no types", json!({ "url": URL, "types": [] })),
        ("rate", json!({ "url": URL, "rateLimit": 1_000_000 })),
    ] {
        create(session, key, &body).await.expect_problem(422, "invalid-body");
    }
    for path in [
        "/webhooks/whk_1",
        "/webhooks/whk_1/replays",
        "/webhook-deliveries/1",
        "/webhook-deliveries?state=lost",
    ] {
        let response = get(session, path).send().await;
        assert!(response.status.is_client_error(), "{path}: {response:?}");
    }
    let id = "whk_aaaaaaaaaaaaaaaaaaaaaaaaaa";
    let unknown = format!("/webhooks/{id}");
    for path in
        [unknown.clone(), format!("{unknown}/replays"), format!("{unknown}/replays/rpl_{}", "a".repeat(26))]
    {
        get(session, &path).send().await.expect_problem(404, "no-such-webhook");
    }
    for (action, body) in [
        ("test", json!({})),
        ("rotate-secret", json!({})),
        ("recover", json!({ "since": "2026-01-02T03:04:05Z" })),
        ("replay", json!({ "from": 0 })),
    ] {
        let path = format!("{unknown}/{action}");
        let sent = change(session, Method::POST, &path, action).json(&body).send().await;
        sent.expect_problem(404, "no-such-webhook");
    }
    let delivery = format!("/webhook-deliveries/{id}.msg_{}", "a".repeat(26));
    get(session, &delivery).send().await.expect_problem(404, "no-such-webhook");
    let resend = change(session, Method::POST, &format!("{delivery}/resend"), "resend");
    resend.send().await.expect_problem(404, "no-such-webhook");
    // The scope `read` is enough to see endpoints, and not to register one.
    session.get("/webhooks").key(&session.keys().table.read).send().await.expect(200);
    let register =
        session.post("/webhooks").key(&session.keys().table.read).header("idempotency-key", "read");
    register.json(&json!({ "url": URL })).send().await.expect_problem(403, "missing-scope");
}

pub(crate) async fn deliveries(session: &Session<'_>) {
    let path = endpoint(session, "deliveries").await;
    let webhook_id = path.rsplit('/').next().unwrap();
    let test = format!("{path}/test");
    let sent = change(session, Method::POST, &test, "test").json(&json!({ "type": "video.errored" }));
    let sent = sent.send().await.expect(202);
    let id = sent.text("/deliveryId");
    let other = change(session, Method::POST, &test, "test").json(&json!({ "type": "video.ready" }));
    other.send().await.expect_problem(422, "reused-idempotency-key");
    let shown = get(session, &format!("/webhook-deliveries/{id}")).send_unrecorded().await.expect(200);
    assert_eq!((shown.text("/deliveryId"), shown.text("/cause")), (id.clone(), "test".to_owned()));
    let list = format!("/webhook-deliveries?webhookId={webhook_id}&limit=10");
    let is_listed = |response: &ApiResponse| response.json()["data"].as_array().unwrap().len() == 1;
    let listed = get(session, &list).until_unrecorded(is_listed).await;
    assert_eq!(listed.text("/data/0/deliveryId"), id);
    for filter in ["type=video.ready", "to=2026-01-02T03:04:05Z", "videoId=vid_aaaaaaaaaaaaaaaaaaaaaaaaaa"] {
        get(session, &format!("{list}&{filter}")).send().await.expect(200);
    }
    get(session, &format!("{list}&after=1")).send().await.expect_problem(400, "invalid-parameter");
    // A disabled endpoint is sent nothing, not even on request.
    let disable = change(session, Method::PATCH, &path, "disable it").json(&json!({ "enabled": false }));
    disable.send_unrecorded().await.expect(200);
    let resend = format!("/webhook-deliveries/{id}/resend");
    for (path, body) in [(&test, json!({})), (&resend, json!({}))] {
        let refused = change(session, Method::POST, path, "disabled").json(&body).send().await;
        refused.expect_problem(409, "webhook-conflict");
    }
    remove(session, &path).await;
}

/// The first commit of the project leads to no message, and what failed is nothing.
pub(crate) async fn jobs(session: &Session<'_>) {
    let path = endpoint(session, "jobs").await;
    let (replay, recover, replays) =
        (format!("{path}/replay"), format!("{path}/recover"), format!("{path}/replays"));
    get(session, &replays).send().await.expect(200);
    let body = json!({ "from": 0, "to": 1, "types": ["video.*"], "rate": 1000 });
    let started = change(session, Method::POST, &replay, "replay it").json(&body).send().await.expect(202);
    assert_eq!(started.text("/state"), "running");
    let id = started.text("/replayId");
    let job = format!("{replays}/{id}");
    let has_ended = |response: &ApiResponse| response.json()["state"] == "ended";
    let ended = get(session, &job).until(has_ended).await;
    assert_eq!((ended.text("/reason"), ended.json()["nextSeq"].clone()), ("completed".to_owned(), json!(1)));
    let again = change(session, Method::POST, &replay, "replay it").json(&body).send().await.expect(202);
    assert_eq!(again.text("/replayId"), id);
    let other = change(session, Method::POST, &replay, "replay it").json(&json!({ "from": 1 })).send().await;
    other.expect_problem(422, "reused-idempotency-key");
    let other_kind = json!({ "since": "2026-01-02T03:04:05Z" });
    let other_kind = change(session, Method::POST, &recover, "replay it").json(&other_kind).send().await;
    other_kind.expect_problem(422, "reused-idempotency-key");
    let since = json!({ "since": "2100-01-01T00:00:00Z" });
    let recovered = change(session, Method::POST, &recover, "recover it").json(&since);
    let recovered = recovered.send_unrecorded().await.expect(202);
    let recovered = format!("{replays}/{}", recovered.text("/replayId"));
    get(session, &recovered).until_unrecorded(has_ended).await;
    // A job that has ended stays as it is.
    let cancelled = change(session, Method::DELETE, &job, "cancel it").send().await.expect(200);
    assert_eq!(cancelled.json(), ended.json());
    let listed = get(session, &replays).send_unrecorded().await.expect(200);
    assert_eq!(listed.json()["data"].as_array().unwrap().len(), 2);
    for (key, body) in [
        ("rate", json!({ "from": 0, "rate": 1001 })),
        ("reversed", json!({ "from": 3, "to": 2 })),
        ("bound", json!({ "from": "yesterday" })),
        ("no bound", json!({})),
        ("types", json!({ "from": 0, "types": ["video.redy"] })),
    ] {
        let refused = change(session, Method::POST, &replay, key).json(&body).send().await;
        refused.expect_problem(422, "invalid-body");
    }
    change(session, Method::POST, &recover, "no time")
        .json(&json!({}))
        .send()
        .await
        .expect_problem(422, "invalid-body");
    let disable = change(session, Method::PATCH, &path, "disable").json(&json!({ "enabled": false }));
    disable.send_unrecorded().await.expect(200);
    let refused = change(session, Method::POST, &replay, "disabled").json(&json!({ "from": 0 })).send().await;
    refused.expect_problem(409, "webhook-conflict");
    remove(session, &path).await;
}
