//! `webhook deliveries` and `webhook resend`.

use serde_json::{Value, json};

use crate::fake_server::FakeServer;
use crate::video::call;
use crate::webhook::WEBHOOK;

const DELIVERY: &str = "whk_aaaaaaaaaaaaaaaaaaaaaaaaaa.msg_aaaaaaaaaaaaaaaaaaaaaaaaaa";

/// A delivery whose first attempt failed.
fn delivery() -> Value {
    json!({
        "deliveryId": DELIVERY, "projectId": "acme", "webhookId": WEBHOOK, "messageId": "msg_aaaaaaaaaaaaaaaaaaaaaaaaaa",
        "type": "video.ready", "videoId": "vid_aaaaaaaaaaaaaaaaaaaaaaaaaa", "cause": "event", "state": "pending",
        "scheduledAt": "2026-01-02T03:04:05.000Z", "nextAttemptAt": "2026-01-02T03:04:11.000Z", "attemptsMade": 1,
        "attempts": [{
            "number": 1, "at": "2026-01-02T03:04:06.000Z", "durationMilliseconds": 120, "status": 500, "answer": "oops\n",
            "error": {"code": "status", "message": "the endpoint answered with status 500"},
            "retryAt": "2026-01-02T03:04:11.000Z",
        }],
    })
}

async fn server() -> FakeServer {
    let server = FakeServer::start().await;
    let mut shown = delivery();
    shown["body"] = r#"{"type":"video.ready"}"#.into();
    server.state().responses = [
        ("GET /webhook-deliveries".to_owned(), json!({"data": [delivery()], "nextCursor": "acme.1.x"})),
        (format!("GET /webhook-deliveries/{DELIVERY}"), shown),
        (format!("POST /webhook-deliveries/{DELIVERY}/resend"), delivery()),
    ]
    .into();
    server
}

#[tokio::test]
async fn deliveries_are_listed_with_filters_and_pages() {
    let server = server().await;
    let plain = call(&server, &["webhook", "deliveries"]).await.ok();
    insta::assert_snapshot!(plain.stdout, @r"
    SCHEDULED                 TYPE         STATE    ATTEMPTS  NEXT ATTEMPT              DELIVERY                                                       LAST ERROR
    2026-01-02T03:04:05.000Z  video.ready  pending  1         2026-01-02T03:04:11.000Z  whk_aaaaaaaaaaaaaaaaaaaaaaaaaa.msg_aaaaaaaaaaaaaaaaaaaaaaaaaa  the endpoint answered with status 500

    There are more: use --after acme.1.x or --all
    ");
    let filter = ["--webhook", WEBHOOK, "--video", "projects/acme/films/clip.mp4", "--type", "video.ready"];
    let times = ["--state", "failed", "--from", "2026-01-02T04:00:00+01:00", "--to", "2026-01-03T00:00:00Z"];
    let paging = ["--limit", "5", "--after", "acme.2.y", "--json"];
    let page = call(&server, &[&["webhook", "deliveries"], &filter[..], &times, &paging].concat()).await.ok();
    assert_eq!(page.json(), json!({"data": [delivery()], "nextCursor": "acme.1.x"}));
    let targets: Vec<String> = server.requests("GET ").into_iter().map(|request| request.target).collect();
    assert_eq!(
        targets,
        [
            "/webhook-deliveries".to_owned(),
            format!(
                "/webhook-deliveries?webhookId={WEBHOOK}&videoId=vid_tbkj5m62dvafwldlqbvftya3f3&type=video.ready&state=failed\
                 &from=2026-01-02T03%3A00%3A00.000Z&to=2026-01-03T00%3A00%3A00.000Z&limit=5&after=acme.2.y"
            ),
        ]
    );
}

#[tokio::test]
async fn an_empty_list_says_whether_anything_was_sent() {
    let server = FakeServer::start().await;
    let empty = json!({"data": [], "nextCursor": null});
    server.state().responses = [("GET /webhook-deliveries".to_owned(), empty)].into();
    let nothing = call(&server, &["webhook", "deliveries"]).await.ok();
    assert_eq!(nothing.stdout, "Nothing was sent yet. Send an example with `streamio webhook test`.\n");
    let none = call(&server, &["webhook", "deliveries", "--state", "failed"]).await.ok();
    assert_eq!(none.stdout, "There are no such deliveries.\n");
}

/// A page of a filtered list may be empty before the end of the list.
#[tokio::test]
async fn empty_pages_are_followed_until_one_has_a_delivery() {
    let server = FakeServer::start().await;
    let page = |data: &[Value], next| json!({"data": data, "nextCursor": next});
    let path = "GET /webhook-deliveries?state=failed";
    server.state().responses = [
        (path.to_owned(), page(&[], json!("acme.1"))),
        (format!("{path}&after=acme.1"), page(&[], json!("acme.2"))),
        (format!("{path}&after=acme.2"), page(&[delivery()], json!("acme.3"))),
    ]
    .into();
    let found = call(&server, &["webhook", "deliveries", "--state", "failed", "--json"]).await.ok();
    assert_eq!(found.json(), page(&[delivery()], json!("acme.3")));
    server.state().responses = [
        (path.to_owned(), page(&[], json!("acme.1"))),
        (format!("{path}&after=acme.1"), page(&[], json!("acme.1"))),
    ]
    .into();
    let endless = call(&server, &["webhook", "deliveries", "--state", "failed"]).await;
    assert_ne!(endless.code, Some(0), "{endless:?}");
}

#[tokio::test]
async fn a_delivery_is_shown_with_its_attempts_and_body() {
    let server = server().await;
    insta::assert_snapshot!(call(&server, &["webhook", "deliveries", DELIVERY]).await.ok().stdout, @r#"
    Delivery:     whk_aaaaaaaaaaaaaaaaaaaaaaaaaa.msg_aaaaaaaaaaaaaaaaaaaaaaaaaa
    Type:         video.ready
    Video:        vid_aaaaaaaaaaaaaaaaaaaaaaaaaa
    State:        pending
    Cause:        event
    Scheduled:    2026-01-02T03:04:05.000Z
    Next attempt: 2026-01-02T03:04:11.000Z
    Attempts:     1

    #  ENDED                     TOOK    STATUS  RESULT                                          ANSWER
    1  2026-01-02T03:04:06.000Z  120 ms  500     the endpoint answered with status 500 (status)  oops\n

    Body:
    {"type":"video.ready"}
    "#);
    let shown = call(&server, &["webhook", "deliveries", DELIVERY, "--json"]).await.ok();
    assert_eq!(shown.json()["body"], r#"{"type":"video.ready"}"#);
    for conflict in [&["--state", "failed"][..], &["--all"], &["--webhook", WEBHOOK]] {
        let run = call(&server, &[&["webhook", "deliveries", DELIVERY], conflict].concat()).await;
        assert_eq!(run.code, Some(2), "{run:?}");
    }
    let invalid = call(&server, &["webhook", "deliveries", WEBHOOK]).await;
    assert!(invalid.code == Some(2) && invalid.stderr.contains("a dot and a message id"), "{invalid:?}");
}

#[tokio::test]
async fn a_message_is_sent_again() {
    let server = server().await;
    let run = call(&server, &["webhook", "resend", DELIVERY]).await.ok();
    assert_eq!(run.stdout, format!("{DELIVERY}\n"));
    let request = &server.requests("POST ")[0];
    assert_eq!(request.target, format!("/webhook-deliveries/{DELIVERY}/resend"));
    assert_eq!(request.headers["idempotency-key"].len(), 32);
}
