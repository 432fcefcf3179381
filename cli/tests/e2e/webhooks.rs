//! `streamio webhook` against a real platform. That messages arrive and verify is tested with the official libraries, in
//! `cli/tests/clients/webhooks.test.mjs`.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::commands::error_of;
use crate::harness::{TestPlatform, json_of};

/// Much longer than anything in these tests takes; only a defect makes a test wait this long.
const TIMEOUT: Duration = Duration::from_mins(2);

async fn webhook(platform: &TestPlatform, arguments: &[&str]) -> Value {
    json_of(&platform.client(&[&["webhook"], arguments].concat()).await)
}

/// Repeats a command until its result meets `condition`, and returns that.
async fn eventually(
    platform: &TestPlatform,
    arguments: &[&str],
    condition: impl Fn(&Value) -> bool,
) -> Value {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let result = webhook(platform, arguments).await;
        if condition(&result) {
            return result;
        }
        assert!(Instant::now() < deadline, "the condition does not become true: {result}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_is_registered_changed_and_removed() {
    let platform = TestPlatform::start().await;
    let url = "https://example.com/hooks";
    let options = ["--type", "video.errored,video.ready", "--description", "backend", "--rate-limit", "5"];
    let added = webhook(&platform, &[&["add", url], &options[..]].concat()).await;
    let id = added["webhookId"].as_str().unwrap();
    assert!(added["secret"].as_str().unwrap().starts_with("whsec_"), "{added}");
    let shown = webhook(&platform, &["show", id]).await;
    assert_eq!(shown["types"], json!(["video.ready", "video.errored"]));
    assert_eq!((&shown["description"], &shown["rateLimit"]), (&json!("backend"), &json!(5)));
    assert_eq!((&shown["enabled"], shown.get("secret")), (&json!(true), None), "{shown}");

    let updated = webhook(&platform, &["update", id, "--rate-limit", "0", "--description", ""]).await;
    assert_eq!((updated.get("description"), updated.get("rateLimit")), (None, None), "{updated}");
    assert_eq!(webhook(&platform, &["disable", id]).await["disabled"]["reason"], "requested");
    let (code, error) = error_of(&platform.client(&["webhook", "test"]).await);
    assert!(code == Some(4) && error["message"].as_str().unwrap().contains("is disabled"), "{error}");
    assert_eq!(webhook(&platform, &["enable", id]).await["enabled"], true);

    let rotated = webhook(&platform, &["rotate-secret", id, "--overlap", "0s"]).await;
    assert_ne!(rotated["secret"], added["secret"]);
    assert_eq!(rotated.get("previousSecretUntil"), None, "{rotated}");
    assert!(webhook(&platform, &["public-key"]).await["publicKey"].as_str().unwrap().starts_with("whpk_"));

    assert_eq!(webhook(&platform, &["list"]).await["data"].as_array().unwrap().len(), 1);
    webhook(&platform, &["remove", id, "--yes"]).await;
    assert_eq!(webhook(&platform, &["list"]).await["data"], json!([]));
    let (code, error) = error_of(&platform.client(&["webhook", "show", id]).await);
    assert!(code == Some(3) && error["hint"].as_str().unwrap().contains("webhook list"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_allowed_is_refused_with_the_option_at_fault() {
    let platform = TestPlatform::start().await;
    let added = webhook(&platform, &["add", "https://example.com"]).await;
    let id = added["webhookId"].as_str().unwrap();
    let long = "a".repeat(501);
    for (arguments, expected) in [
        (
            &["add", "http://127.0.0.1:9000"][..],
            "the endpoint's URL cannot be used: the URL does not begin with https://",
        ),
        (
            &["update", id, "--endpoint-url", "https://10.0.0.1"],
            "the endpoint's URL cannot be used: the URL's host is an address",
        ),
        (&["add", "https://example.com", "--rate-limit", "10001"], "`--rate-limit` must be at most 10000"),
        (&["update", id, "--description", &long], "`--description` must be at most 500 bytes"),
        (&["rotate-secret", id, "--overlap", "8d"], "`--overlap` must be at most 604800"),
        (&["deliveries", "--limit", "0"], "`--limit` must be a whole number "),
        (&["deliveries", "--after", "x"], "`--after` "),
    ] {
        let (code, error) = error_of(&platform.client(&[&["webhook"], arguments].concat()).await);
        let message = error["message"].as_str().unwrap();
        assert!(code == Some(4) && message.starts_with(expected), "{arguments:?}: {error}");
    }
}

/// The lists of deliveries page and filter, and show why a message did not arrive.
#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_fails_is_listed_with_its_reason() {
    let platform = TestPlatform::start_with(&["--webhook-loopback"]).await;
    // Accepts and closes each connection, and answers nothing.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let closing = tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    webhook(&platform, &["add", &url]).await;
    let ids =
        [webhook(&platform, &["test"]).await, webhook(&platform, &["test", "--type", "video.errored"]).await]
            .map(|delivery| delivery["deliveryId"].as_str().unwrap().to_owned());
    for id in &ids {
        let shown =
            eventually(&platform, &["deliveries", id], |shown| shown["attempts"][0].is_object()).await;
        let error = &shown["attempts"][0]["error"];
        assert_eq!(
            (&error["code"], &shown["state"]),
            (&json!("connection_reset"), &json!("pending")),
            "{shown}"
        );
        assert!(shown["body"].as_str().unwrap().contains("\"test\":true"), "{shown}");
    }
    let listed = async |filter: &[&str]| -> Vec<String> {
        let page = webhook(&platform, &[&["deliveries"], filter].concat()).await;
        let all = page["data"].as_array().unwrap().iter();
        all.map(|delivery| delivery["deliveryId"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(listed(&["--limit", "1"]).await, ids[1..]);
    assert_eq!(listed(&["--all"]).await, [ids[1].clone(), ids[0].clone()]);
    assert_eq!(listed(&["--type", "video.ready", "--state", "pending"]).await, ids[..1]);
    assert_eq!(listed(&["--state", "failed"]).await, [""; 0]);
    assert_eq!(listed(&["--video", "projects/acme/examples/example.mp4"]).await.len(), 2);
    // The view of the endpoint's health follows the log.
    let list = eventually(&platform, &["list"], |list| list["data"][0]["health"]["error"].is_object()).await;
    assert_eq!(list["data"][0]["health"]["error"]["code"], "connection_reset", "{list}");
    closing.abort();
}
