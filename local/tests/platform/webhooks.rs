//! Webhooks over real HTTP: from an upload to a request at a receiver.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::ffi::OsString;
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use streamio_events::webhook::endpoint_url::Rules;
use streamio_local::operator::{IfMissing, Operator};
use streamio_local::platform::{Config, Platform};
use tokio::net::TcpListener;

use super::{TestPlatform, config, until};

/// A receiver of webhooks on this machine.
struct Receiver {
    url: String,
    status: Arc<AtomicU16>,
    received: Arc<Mutex<Vec<(http::HeaderMap, String)>>>,
}

impl Receiver {
    /// A receiver that answers with `status`.
    async fn start(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks", listener.local_addr().unwrap());
        let this = Self { url, status: Arc::new(AtomicU16::new(status)), received: Arc::default() };
        let (status, received) = (Arc::clone(&this.status), Arc::clone(&this.received));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (status, received) = (Arc::clone(&status), Arc::clone(&received));
                let service = service_fn(move |request: Request<Incoming>| {
                    let (status, received) = (Arc::clone(&status), Arc::clone(&received));
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await.unwrap().to_bytes();
                        let body = String::from_utf8(body.to_vec()).unwrap();
                        received.lock().unwrap().push((head.headers, body));
                        let status = status.load(Ordering::SeqCst);
                        let answer =
                            http::Response::builder().status(status).body(Empty::<bytes::Bytes>::new());
                        Ok::<_, Infallible>(answer.unwrap())
                    }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        this
    }

    /// The ids of the messages, in the order of their arrival.
    fn ids(&self) -> Vec<String> {
        let received = self.received.lock().unwrap();
        received.iter().map(|(headers, _)| headers["webhook-id"].to_str().unwrap().to_owned()).collect()
    }

    fn bodies(&self) -> Vec<Value> {
        let received = self.received.lock().unwrap();
        received.iter().map(|(_, body)| serde_json::from_str(body).unwrap()).collect()
    }

    /// The types of the messages about the video.
    fn types(&self, video_id: &str) -> BTreeSet<String> {
        let bodies = self.bodies();
        let of_video = bodies.iter().filter(|body| body["data"]["videoId"] == video_id);
        of_video.map(|body| body["type"].as_str().unwrap().to_owned()).collect()
    }
}

async fn open(directory: &Path) -> Platform {
    let idle: Vec<OsString> = ["sh", "-c", "exec sleep 600"].map(OsString::from).to_vec();
    let webhook_urls = Rules { loopback: true, ..Rules::default() };
    Platform::start(Config { worker_command: idle, webhook_urls, ..config(directory) }).await.unwrap()
}

async fn start() -> TestPlatform {
    let directory = tempfile::tempdir().unwrap();
    let platform = open(directory.path()).await;
    let operator = Operator::open(directory.path(), IfMissing::Fail).unwrap();
    let key = operator.create_project(&"acme".parse().unwrap(), None).await.unwrap().api_key;
    TestPlatform { directory, platform, key }
}

#[tokio::test]
async fn a_registered_endpoint_receives_signed_messages() {
    let (test, receiver) = (start().await, Receiver::start(204).await);
    let created = test.call("POST", "/webhooks", &json!({ "url": receiver.url }).to_string()).await;
    let video_id = test.upload("clip.mp4").await;
    until("the first message is received", async || receiver.types(&video_id).contains("video.uploaded"))
        .await;
    test.call("DELETE", &format!("/videos/{video_id}"), "").await;
    until("both messages are received", async || {
        ["video.uploaded", "video.deleted"].iter().all(|kind| receiver.types(&video_id).contains(*kind))
    })
    .await;
    let webhook = Webhook::new(created["secret"].as_str().unwrap()).unwrap();
    for (headers, body) in receiver.received.lock().unwrap().iter() {
        webhook.verify(body.as_bytes(), headers).unwrap();
        assert_eq!(headers["content-type"], "application/json");
    }
    let path = format!("/webhook-deliveries?videoId={video_id}&state=delivered");
    until("deliveries are listed", async || {
        let listed = test.call("GET", &path, "").await;
        listed["data"].as_array().unwrap().iter().any(|it| it["type"] == "video.deleted")
    })
    .await;
    let shown = test.call("GET", &format!("/webhooks/{}", created["webhookId"].as_str().unwrap()), "").await;
    assert!(shown["health"]["succeededAt"].is_string(), "{shown}");
    assert_eq!(shown.get("secret"), None, "it is shown once");
    test.stop().await;
}

/// What the endpoint did not take before a restart is sent after it, with the same id and body.
#[tokio::test]
async fn a_message_that_was_not_taken_is_sent_again_after_a_restart() {
    let (test, receiver) = (start().await, Receiver::start(503).await);
    test.call("POST", "/webhooks", &json!({ "url": receiver.url, "types": ["video.uploaded"] }).to_string())
        .await;
    let video_id = test.upload("clip.mp4").await;
    until("an attempt is made", async || !receiver.types(&video_id).is_empty()).await;
    let TestPlatform { directory, platform, key } = test;
    platform.run_until(async {}).await;
    let before = receiver.received.lock().unwrap().clone();
    receiver.status.store(200, Ordering::SeqCst);
    let platform = open(directory.path()).await;
    let test = TestPlatform { directory, platform, key };
    until("it is delivered", async || {
        test.call("GET", "/webhook-deliveries?state=delivered", "").await["data"][0].is_object()
    })
    .await;
    let after = receiver.received.lock().unwrap().clone();
    assert!(after.len() > before.len());
    for (headers, body) in &after {
        assert_eq!((&headers["webhook-id"], body), (&before[0].0["webhook-id"], &before[0].1));
    }
    test.stop().await;
}

#[tokio::test]
async fn an_address_of_this_machine_is_refused_unless_the_operator_allows_it() {
    let test = TestPlatform::start().await;
    let authority = test.platform.addresses().api.strip_prefix("http://").unwrap().to_owned();
    for url in ["http://127.0.0.1:8080/", "https://localhost/", "https://[::1]/"] {
        let request = Request::post("/webhooks").header("x-api-key", test.key.reveal());
        let body = bytes::Bytes::from(json!({ "url": url }).to_string());
        let refused = super::send(&authority, request.body(body).unwrap()).await;
        assert_eq!(refused.status(), 422, "{url}");
    }
    test.stop().await;
}

/// What was sent again is what was sent first, also if the platform is stopped while the job is in progress.
#[tokio::test]
async fn a_replay_goes_on_after_a_restart_and_sends_each_message_once() {
    let (test, receiver) = (start().await, Receiver::start(204).await);
    let body = json!({ "url": receiver.url, "types": ["video.uploaded"] }).to_string();
    let created = test.call("POST", "/webhooks", &body).await;
    for number in 0..6 {
        test.upload(&format!("{number}.mp4")).await;
    }
    until("all messages are received", async || receiver.ids().len() == 6).await;
    let first = receiver.ids();
    let path = format!("/webhooks/{}", created["webhookId"].as_str().unwrap());
    let job = test.call("POST", &format!("{path}/replay"), r#"{"from": 0, "rate": 3}"#).await;
    let path = format!("{path}/replays/{}", job["replayId"].as_str().unwrap());
    until("the job makes progress", async || test.call("GET", &path, "").await["scheduled"] != 0).await;
    let TestPlatform { directory, platform, key } = test;
    platform.run_until(async {}).await;
    let platform = open(directory.path()).await;
    let test = TestPlatform { directory, platform, key };
    until("the job ends", async || test.call("GET", &path, "").await["state"] == "ended").await;
    let ended = test.call("GET", &path, "").await;
    assert_eq!((&ended["reason"], &ended["scheduled"]), (&json!("completed"), &json!(6)), "{ended}");
    until("all messages are received again", async || receiver.ids().len() == 12).await;
    let counted = receiver.ids().into_iter().fold(std::collections::BTreeMap::new(), |mut counts, id| {
        *counts.entry(id).or_insert(0) += 1;
        counts
    });
    assert_eq!(counted, first.into_iter().map(|id| (id, 2)).collect());
    test.stop().await;
}

#[tokio::test]
async fn what_has_failed_is_recovered_and_a_job_can_be_cancelled() {
    let (test, receiver) = (start().await, Receiver::start(204).await);
    let body = json!({ "url": receiver.url, "types": ["video.uploaded"] }).to_string();
    let created = test.call("POST", "/webhooks", &body).await;
    let path = format!("/webhooks/{}", created["webhookId"].as_str().unwrap());
    receiver.status.store(410, Ordering::SeqCst);
    test.upload("clip.mp4").await;
    until("the endpoint is disabled", async || test.call("GET", &path, "").await["enabled"] == false).await;
    receiver.status.store(204, Ordering::SeqCst);
    test.call("PATCH", &path, r#"{"enabled": true}"#).await;
    let job = test.call("POST", &format!("{path}/recover"), r#"{"since": "2026-01-01T00:00:00Z"}"#).await;
    assert_eq!((&job["kind"], &job["state"]), (&json!("recover"), &json!("running")), "{job}");
    until("it is received again", async || receiver.ids().len() == 2).await;
    assert_eq!(receiver.ids()[0], receiver.ids()[1]);
    let job_path = format!("{path}/replays/{}", job["replayId"].as_str().unwrap());
    until("the job ends", async || test.call("GET", &job_path, "").await["reason"] == "completed").await;

    // More than a job schedules in its first step, which is at most ten seconds of messages.
    for number in 0..12 {
        test.upload(&format!("{number}.mp4")).await;
    }
    until("the uploads are announced", async || receiver.ids().len() == 14).await;
    let job = test.call("POST", &format!("{path}/replay"), r#"{"from": 0, "rate": 1}"#).await;
    let job_path = format!("{path}/replays/{}", job["replayId"].as_str().unwrap());
    let cancelled = test.call("DELETE", &job_path, "").await;
    assert_eq!(cancelled["reason"], "cancelled", "{cancelled}");
    let listed = test.call("GET", &format!("{path}/replays"), "").await;
    assert_eq!(listed["data"].as_array().unwrap().len(), 2, "{listed}");
    test.stop().await;
}

/// Their next attempts would be due in minutes.
#[tokio::test]
async fn what_is_pending_ends_when_its_endpoint_is_disabled_or_removed() {
    let (test, receiver) = (start().await, Receiver::start(503).await);
    let body = json!({ "url": receiver.url, "types": ["video.uploaded"] }).to_string();
    for (method, patch, code) in
        [("PATCH", r#"{"enabled": false}"#, "webhook_disabled"), ("DELETE", "", "webhook_removed")]
    {
        let created = test.call("POST", "/webhooks", &body).await;
        let id = created["webhookId"].as_str().unwrap();
        test.upload(&format!("{code}.mp4")).await;
        let deliveries = format!("/webhook-deliveries?webhookId={id}");
        until("two attempts have failed", async || {
            test.call("GET", &deliveries, "").await["data"][0]["attemptsMade"] == 2
        })
        .await;
        test.call(method, &format!("/webhooks/{id}"), patch).await;
        until("the delivery ends", async || {
            let delivery = test.call("GET", &deliveries, "").await["data"][0].clone();
            let last = delivery["attempts"].as_array().and_then(|attempts| attempts.last().cloned());
            delivery["state"] == "failed" && last.is_some_and(|last| last["error"]["code"] == code)
        })
        .await;
    }
    test.stop().await;
}
