//! Signatures, verified by the official library of Standard Webhooks.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};
use standardwebhooks::Webhook;
use streamio_core::testing::notification;
use streamio_core::webhooks::keys::WebhookKeys;
use streamio_events::home::{WebhookCall, WebhookResult};
use streamio_events::timestamp::Timestamp;

use crate::harness::{Harness, Received, SECRET};

const URL: &str = "https://hooks.example.com/a";

/// Whether one of the request's signatures is that of the official library with `secret`.
fn verifies(secret: &str, request: &Received) -> bool {
    let webhook = Webhook::new(secret).unwrap();
    let timestamp = request.header("webhook-timestamp").parse().unwrap();
    let expected = webhook.sign(request.header("webhook-id"), timestamp, request.body.as_bytes()).unwrap();
    request.header("webhook-signature").split(' ').any(|signature| signature == expected)
}

/// Verifies the signature `v1a` of a request.
fn verifies_asymmetrically(public_key: &str, request: &Received) -> bool {
    let bytes = STANDARD.decode(public_key.strip_prefix("whpk_").unwrap()).unwrap();
    let key = VerifyingKey::from_bytes(&bytes.try_into().unwrap()).unwrap();
    let signed =
        format!("{}.{}.{}", request.header("webhook-id"), request.header("webhook-timestamp"), request.body);
    let signatures = request.header("webhook-signature").split(' ');
    signatures.filter_map(|it| it.strip_prefix("v1a,")).any(|text| {
        let signature = Signature::from_slice(&STANDARD.decode(text).unwrap()).unwrap();
        key.verify(signed.as_bytes(), &signature).is_ok()
    })
}

/// The library accepts a timestamp of the last five minutes only, so this test has the time of the machine.
#[tokio::test]
async fn the_official_library_verifies_a_request() {
    let mut harness = Harness::new().await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    harness.set(Timestamp::from_unix_millis(i64::try_from(now.as_millis()).unwrap()));
    let secret = harness.endpoint(URL, &["*"]).await.secret;
    harness.region.receive(notification("a.mp4", "01")).await;
    harness.settle().await;
    let request = harness.received().pop().unwrap();
    let webhook = Webhook::new(&secret).unwrap();
    webhook.verify(request.body.as_bytes(), &request.headers).unwrap();
    webhook.verify(b"{}", &request.headers).unwrap_err();
}

#[tokio::test]
async fn every_request_verifies_with_the_secret_and_with_the_public_key() {
    let mut harness = Harness::new().await;
    let secret = harness.endpoint(URL, &["*"]).await.secret;
    let other = harness.endpoint("https://other.example.com", &["*"]).await.secret;
    harness.region.receive(notification("\u{2028} 🎬 \"x\".mp4", "01")).await;
    harness.settle().await;
    let WebhookResult::PublicKey(public_key) = harness.call(WebhookCall::PublicKey).await.unwrap() else {
        panic!("a key")
    };
    assert_ne!(secret, other);
    let received = harness.received();
    let request = received.iter().find(|it| it.url.starts_with(URL)).unwrap();
    assert!(verifies(&secret, request));
    assert!(!verifies(&other, request), "another endpoint's secret");
    assert!(verifies_asymmetrically(&public_key, request));
    let changed = Received { body: request.body.replace("uploaded", "uploadee"), ..request.clone() };
    assert!(!verifies(&secret, &changed));
    assert!(!verifies_asymmetrically(&public_key, &changed));
    let keys = WebhookKeys::new(&SECRET).unwrap();
    assert_ne!(keys.public_key(&"zebra".parse().unwrap()), public_key, "each project has its own");
}

#[tokio::test]
async fn both_secrets_verify_during_a_rotation_and_only_the_new_one_afterwards() {
    let mut harness = Harness::new().await;
    let created = harness.endpoint(URL, &["*"]).await;
    let (old, webhook_id) = (created.secret, created.endpoint.webhook_id);
    let commit_id = harness.request();
    let rotate = WebhookCall::RotateSecret { webhook_id, commit_id, overlap_seconds: 86_400 };
    let WebhookResult::Created(rotated) = harness.call(rotate).await.unwrap() else { panic!("a secret") };
    for (name, hours, old_verifies) in [("a.mp4", 0, true), ("b.mp4", 23, true), ("c.mp4", 1, false)] {
        harness.wait(Duration::from_hours(hours));
        harness.region.receive(notification(name, "01")).await;
        harness.settle().await;
        let request = harness.received().pop().unwrap();
        assert!(verifies(&rotated.secret, &request), "{name}");
        assert_eq!(verifies(&old, &request), old_verifies, "{name}");
    }
}
