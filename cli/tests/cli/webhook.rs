//! `webhook`: registers, changes, tests and removes endpoints.

use serde_json::{Value, json};

use crate::fake_server::{FakeServer, problem};
use crate::run::client;
use crate::terminal::{Session, run_on_terminal};
use crate::video::call;

pub(crate) const WEBHOOK: &str = "whk_aaaaaaaaaaaaaaaaaaaaaaaaaa";
const OTHER: &str = "whk_bbbbbbbbbbbbbbbbbbbbbbbbbb";
const TIME: &str = "2026-01-02T03:04:05.000Z";
const SECRET: &str = "whsec_c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IDE=";

/// An endpoint that is enabled and has received nothing.
fn webhook(id: &str, path: &str) -> Value {
    json!({
        "webhookId": id, "projectId": "acme", "url": format!("https://example.com/{path}"), "types": ["*"],
        "enabled": true, "health": {}, "createdAt": TIME, "updatedAt": TIME, "somethingNew": {"a": 1},
    })
}

/// An endpoint to which attempts fail.
fn failing(id: &str, path: &str) -> Value {
    let mut webhook = webhook(id, path);
    webhook["types"] = json!(["video.ready", "video.next-release"]);
    webhook["health"] = json!({
        "succeededAt": "2026-01-01T00:00:00.000Z", "failingSince": TIME, "failedAt": "2026-01-02T04:00:00.000Z",
        "error": {"code": "status", "message": "the endpoint answered with status 500"}, "sameErrorSince": TIME,
    });
    webhook
}

fn with_secret(mut webhook: Value) -> Value {
    webhook["secret"] = SECRET.into();
    webhook
}

async fn server(responses: &[(&str, Value)]) -> FakeServer {
    let server = FakeServer::start().await;
    server.state().responses =
        responses.iter().map(|(line, body)| ((*line).to_owned(), body.clone())).collect();
    server
}

async fn on_terminal(server: &FakeServer, arguments: &[&str], typed: &str) -> Session {
    let state = tempfile::tempdir().unwrap();
    run_on_terminal(client(server, state.path(), arguments), typed).await
}

#[tokio::test]
async fn an_endpoint_is_registered_with_what_the_flags_state() {
    let server = server(&[("POST /webhooks", with_secret(webhook(WEBHOOK, "hooks")))]).await;
    let url = "https://example.com/hooks";
    let add = ["webhook", "add", url, "--type", "video.ready,video.errored", "--type", "webhook.disabled"];
    let options = ["--description", "backend", "--rate-limit", "10", "--json"];
    let run = call(&server, &[&add[..], &options].concat()).await.ok();
    assert_eq!(run.json(), with_secret(webhook(WEBHOOK, "hooks")));
    call(&server, &["webhook", "add", url]).await.ok();
    let [stated, plain] = &server.requests("POST /webhooks")[..] else { panic!("two requests") };
    let types = ["video.ready", "video.errored", "webhook.disabled"];
    assert_eq!(stated.json(), json!({"url": url, "types": types, "description": "backend", "rateLimit": 10}));
    assert_eq!(plain.json(), json!({ "url": url }));
    assert_eq!(plain.headers["idempotency-key"].len(), 32);
    assert_ne!(plain.headers["idempotency-key"], stated.headers["idempotency-key"]);
}

#[tokio::test]
async fn the_secret_alone_is_printed_where_standard_output_is_not_a_terminal() {
    let rotate = format!("POST /webhooks/{WEBHOOK}/rotate-secret");
    let with_secret = with_secret(webhook(WEBHOOK, "hooks"));
    let server = server(&[
        ("POST /webhooks", with_secret.clone()),
        (&rotate, with_secret),
        ("GET /webhooks/public-key", json!({"publicKey": "whpk_a2V5"})),
    ])
    .await;
    let added = call(&server, &["webhook", "add", "https://example.com/hooks"]).await.ok();
    assert_eq!((added.stdout, added.stderr), (format!("{SECRET}\n"), String::new()));
    let rotated = call(&server, &["webhook", "rotate-secret", WEBHOOK]).await.ok();
    assert_eq!(rotated.stdout, format!("{SECRET}\n"));
    let key = call(&server, &["webhook", "public-key"]).await.ok();
    assert_eq!(key.stdout, "whpk_a2V5\n");
}

#[tokio::test]
async fn a_terminal_shows_the_secret_with_what_to_do() {
    let rotate = format!("POST /webhooks/{WEBHOOK}/rotate-secret");
    let mut rotated = with_secret(webhook(WEBHOOK, "hooks"));
    rotated["previousSecretUntil"] = TIME.into();
    let server =
        server(&[("POST /webhooks", with_secret(webhook(WEBHOOK, "hooks"))), (&rotate, rotated)]).await;
    let session = on_terminal(&server, &["webhook", "add", "https://example.com/hooks"], "").await;
    insta::assert_snapshot!(session.screen, @r"
    Messages are sent to https://example.com/hooks (whk_aaaaaaaaaaaaaaaaaaaaaaaaaa)

    Secret (shown only once; store it where your server verifies messages):
      whsec_c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IDE=

    Send an example with `streamio webhook test whk_aaaaaaaaaaaaaaaaaaaaaaaaaa`.
    ");
    let session = on_terminal(&server, &["webhook", "rotate-secret", WEBHOOK, "--overlap", "90m"], "").await;
    insta::assert_snapshot!(session.screen, @r"
    whk_aaaaaaaaaaaaaaaaaaaaaaaaaa has a new secret

    Secret (shown only once; store it where your server verifies messages):
      whsec_c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IDE=

    Messages are also signed with the old secret until 2026-01-02T03:04:05.000Z.
    ");
    assert_eq!(server.requests(&rotate)[0].json(), json!({"overlapSeconds": 5400}));
}

#[tokio::test]
async fn endpoints_are_listed_with_their_state_and_last_error() {
    let mut disabled = webhook(OTHER, "old");
    disabled["enabled"] = false.into();
    disabled["disabled"] = json!({"at": TIME, "reason": "gone"});
    let all = json!({"data": [failing(WEBHOOK, "hooks"), disabled], "nextCursor": null});
    let server = server(&[("GET /webhooks", all.clone())]).await;
    assert_eq!(call(&server, &["webhook", "list", "--json"]).await.ok().json(), all);
    insta::assert_snapshot!(call(&server, &["webhook", "list"]).await.ok().stdout, @r"
    WEBHOOK                         STATE     URL                        TYPES                           LAST SUCCESS              LAST ERROR
    whk_aaaaaaaaaaaaaaaaaaaaaaaaaa  failing   https://example.com/hooks  video.ready,video.next-release  2026-01-01T00:00:00.000Z  2026-01-02T04:00:00.000Z the endpoint answered with status 500
    whk_bbbbbbbbbbbbbbbbbbbbbbbbbb  disabled  https://example.com/old    *
    ");
    server.state().responses = [("GET /webhooks".to_owned(), json!({"data": [], "nextCursor": null}))].into();
    insta::assert_snapshot!(call(&server, &["webhook", "list"]).await.ok().stdout, @"There are no webhooks yet. Register an endpoint with `streamio webhook add URL`.");
}

#[tokio::test]
async fn an_endpoint_is_shown_with_why_nothing_arrives() {
    let show = format!("GET /webhooks/{WEBHOOK}");
    let mut shown = failing(WEBHOOK, "hooks");
    shown["description"] = "back\u{1b}[2Jend".into();
    shown["rateLimit"] = 5.into();
    let server = server(&[(&show, shown.clone())]).await;
    insta::assert_snapshot!(call(&server, &["webhook", "show", WEBHOOK]).await.ok().stdout, @r"
    Webhook:       whk_aaaaaaaaaaaaaaaaaaaaaaaaaa
    URL:           https://example.com/hooks
    State:         failing
    Types:         video.ready,video.next-release
    Description:   back\u{1b}[2Jend
    Rate limit:    5 messages a second
    Last success:  2026-01-01T00:00:00.000Z
    Failing since: 2026-01-02T03:04:05.000Z
    Last error:    2026-01-02T04:00:00.000Z: the endpoint answered with status 500 (status)
    Created:       2026-01-02T03:04:05.000Z
    Updated:       2026-01-02T03:04:05.000Z
    ");
    for (disabled, expected) in [
        (json!({"at": TIME, "reason": "requested"}), format!("disabled since {TIME}: on request")),
        (
            json!({"at": TIME, "reason": "gone"}),
            format!("disabled since {TIME}: the endpoint answered 410 (gone)"),
        ),
        (
            json!({"at": TIME, "reason": "failing", "failingSince": "2026-01-01T00:00:00.000Z"}),
            format!("disabled since {TIME}: no attempt had succeeded since 2026-01-01T00:00:00.000Z"),
        ),
    ] {
        shown["enabled"] = false.into();
        shown["disabled"] = disabled;
        server.state().responses = [(show.clone(), shown.clone())].into();
        let text = call(&server, &["webhook", "show", WEBHOOK]).await.ok().stdout;
        assert!(text.contains(&format!("State:         {expected}\n")), "{text}");
    }
}

#[tokio::test]
async fn an_update_sends_only_what_changes() {
    let path = format!("PATCH /webhooks/{WEBHOOK}");
    let server = server(&[(&path, webhook(WEBHOOK, "hooks"))]).await;
    for (arguments, expected) in [
        (
            &["update", WEBHOOK, "--endpoint-url", "https://b.example"][..],
            json!({"url": "https://b.example"}),
        ),
        (&["update", WEBHOOK, "--type", "video.*"], json!({"types": ["video.*"]})),
        (&["update", WEBHOOK, "--description", ""], json!({"description": ""})),
        (&["update", WEBHOOK, "--rate-limit", "0"], json!({"rateLimit": 0})),
        (&["enable", WEBHOOK], json!({"enabled": true})),
        (&["disable", WEBHOOK], json!({"enabled": false})),
    ] {
        let run = call(&server, &[&["webhook"], arguments].concat()).await.ok();
        assert!(run.stdout.starts_with("Webhook: "), "{run:?}");
        let request = server.requests(&path).pop().unwrap();
        assert_eq!(request.json(), expected);
        assert_eq!(request.headers["idempotency-key"].len(), 32);
    }
    let nothing = call(&server, &["webhook", "update", WEBHOOK]).await;
    assert_eq!(nothing.code, Some(2), "{nothing:?}");
}

#[tokio::test]
async fn the_address_of_an_endpoint_is_not_taken_for_that_of_the_api() {
    let server = server(&[]).await;
    let arguments = ["webhook", "update", WEBHOOK, "--type", "video.ready", "--url", "https://hooks.example"];
    insta::assert_snapshot!(call(&server, &arguments).await.transcript(), @r"
    exit 2
    --- stdout
    --- stderr
    error: --url is the address of the API, to which the API key is sent, and not the endpoint's; set the endpoint's address with --endpoint-url; if you mean another API, set STREAMIO_URL to its address
    ");
}

#[tokio::test]
async fn a_port_that_does_not_exist_cannot_be_allowed() {
    let run = call(&server(&[]).await, &["up", "--webhook-port", "0"]).await;
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(run.stderr.contains("--webhook-port"), "{run:?}");
}

#[tokio::test]
async fn an_answer_that_is_not_of_the_api_is_an_error() {
    let server = server(&[(&format!("PATCH /webhooks/{WEBHOOK}"), Value::Null)]).await;
    let run = call(&server, &["webhook", "enable", WEBHOOK]).await;
    assert_ne!(run.code, Some(0), "{run:?}");
    assert!(run.stderr.contains("it has no webhookId"), "{run:?}");
}

#[tokio::test]
async fn an_endpoint_is_removed_only_after_a_yes() {
    let path = format!("DELETE /webhooks/{WEBHOOK}");
    let server = server(&[(&path, Value::Null)]).await;
    insta::assert_snapshot!(call(&server, &["webhook", "remove", WEBHOOK]).await.transcript(), @r"
    exit 2
    --- stdout
    --- stderr
    error: whk_aaaaaaaaaaaaaaaaaaaaaaaaaa was not removed: there is no terminal to ask for a confirmation; add --yes to remove it without a question
    ");
    let session = on_terminal(&server, &["webhook", "remove", WEBHOOK], "n\n").await;
    assert_eq!(session.code, Some(1), "{session:?}");
    assert!(session.screen.contains("are not sent any more. [y/N] "), "{session:?}");
    assert!(server.requests("").is_empty());
    let session = on_terminal(&server, &["webhook", "remove", WEBHOOK], "y\n").await;
    assert!(session.screen.contains("Removed whk_"), "{session:?}");
    let removed = call(&server, &["webhook", "remove", WEBHOOK, "--yes", "--json"]).await.ok();
    assert_eq!(removed.json(), json!({"webhookId": WEBHOOK, "state": "removed"}));
    assert_eq!(server.requests(&path).len(), 2);
}

#[tokio::test]
async fn an_example_goes_to_the_named_endpoint_or_to_the_only_one() {
    let path = format!("POST /webhooks/{WEBHOOK}/test");
    let delivery = format!("{WEBHOOK}.msg_aaaaaaaaaaaaaaaaaaaaaaaaaa");
    let scheduled = json!({"deliveryId": delivery, "type": "video.ready", "state": "pending"});
    let of = |webhooks: &[Value]| {
        [
            ("GET /webhooks".to_owned(), json!({"data": webhooks, "nextCursor": null})),
            (path.clone(), scheduled.clone()),
        ]
    };
    let server = FakeServer::start().await;
    server.state().responses = of(&[webhook(WEBHOOK, "hooks")]).into();
    assert_eq!(call(&server, &["webhook", "test"]).await.ok().stdout, format!("{delivery}\n"));
    let session = on_terminal(&server, &["webhook", "test", WEBHOOK, "--type", "video.progress"], "").await;
    insta::assert_snapshot!(session.screen, @r"
    An example of video.ready is sent to whk_aaaaaaaaaaaaaaaaaaaaaaaaaa

    See how the endpoint answers:
      streamio webhook deliveries whk_aaaaaaaaaaaaaaaaaaaaaaaaaa.msg_aaaaaaaaaaaaaaaaaaaaaaaaaa
    ");
    let bodies: Vec<Value> =
        server.requests(&path).iter().map(crate::fake_server::ReceivedRequest::json).collect();
    assert_eq!(bodies, [Value::Null, json!({"type": "video.progress"})]);

    server.state().responses = of(&[webhook(WEBHOOK, "hooks"), webhook(OTHER, "old")]).into();
    insta::assert_snapshot!(call(&server, &["webhook", "test"]).await.stderr, @"error: the project has 2 webhooks; name one with WEBHOOK; `streamio webhook list` prints their ids");
    server.state().responses = of(&[]).into();
    let none = call(&server, &["webhook", "test"]).await;
    assert_eq!(none.code, Some(3));
    insta::assert_snapshot!(none.stderr, @"error: the project has no webhooks; register an endpoint with `streamio webhook add URL`");
    assert_eq!(server.requests(&path).len(), 2);
}

#[tokio::test]
async fn a_refusal_names_the_option_and_what_does_not_exist_where_to_find_it() {
    let server = FakeServer::start().await;
    let refused = |detail: &str, field| {
        problem(422, "invalid-body", "The body's fields are invalid", detail, Some(field))
    };
    for (arguments, fault, expected) in [
        (
            &["add", "http://example.com"][..],
            refused(
                "`url` cannot be used: the URL does not begin with https://; use an https:// URL.",
                "url",
            ),
            "error: the endpoint's URL cannot be used: the URL does not begin with https://; use an https:// URL (HTTP 422, request req_0123456789)\n",
        ),
        (
            &["add", "https://example.com", "--rate-limit", "10001"],
            refused("`rateLimit` must be at most 10000 attempts a second.", "rateLimit"),
            "error: `--rate-limit` must be at most 10000 attempts a second (HTTP 422, request req_0123456789)\n",
        ),
        (
            &["rotate-secret", WEBHOOK, "--overlap", "8d"],
            refused("`overlapSeconds` must be at most 604800.", "overlapSeconds"),
            "error: `--overlap` must be at most 604800 (HTTP 422, request req_0123456789)\n",
        ),
        (
            &["show", WEBHOOK],
            problem(
                404,
                "no-such-webhook",
                "The project has no such webhook or delivery",
                "Check the id.",
                None,
            ),
            "error: The project has no such webhook or delivery: Check the id (HTTP 404, request req_0123456789); list the webhooks with `streamio webhook list`, or what was sent with `streamio webhook deliveries`\n",
        ),
    ] {
        server.inject("", [fault]);
        let run = call(&server, &[&["webhook"], arguments].concat()).await;
        assert_eq!(run.stderr, expected);
    }
    let unknown = call(&server, &["webhook", "add", "https://example.com", "--type", "video.redy"]).await;
    assert!(unknown.code == Some(2) && unknown.stderr.contains("video.ready, video.errored"), "{unknown:?}");
    let not_an_id = call(&server, &["webhook", "show", "projects/acme/clip.mp4"]).await;
    assert!(not_an_id.code == Some(2) && not_an_id.stderr.contains("whk_ followed by"), "{not_an_id:?}");
}

#[tokio::test]
async fn a_misconfigured_endpoint_is_shown_with_what_to_do() {
    let mut wrong = failing(WEBHOOK, "hooks");
    wrong["misconfiguration"] =
        json!({"code": "tls_name_mismatch", "since": TIME, "message": "install another certificate"});
    let show = format!("GET /webhooks/{WEBHOOK}");
    let list = json!({"data": [wrong.clone()], "nextCursor": null});
    let server = server(&[("GET /webhooks", list), (&show, wrong)]).await;
    let listed = call(&server, &["webhook", "list"]).await.ok();
    assert!(listed.stdout.contains(" misconfigured "), "{}", listed.stdout);
    let shown = call(&server, &["webhook", "show", WEBHOOK]).await.ok();
    let expected = format!("misconfigured since {TIME}: install another certificate");
    assert!(shown.stdout.contains(&expected), "{}", shown.stdout);
}
