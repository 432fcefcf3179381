//! Webhooks: from the upload to a verified message at the tenant's endpoint, with faults of the queue and of the function that delivers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use streamio_emulator::fault_proxy;
use streamio_emulator::lambda::Fault;
use streamio_events::log::EventLogExt as _;
use streamio_events::stream::StreamId;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::clips::clip;
use crate::test_cloud::TestCloud;

/// A request that an endpoint received.
#[derive(Clone)]
pub(crate) struct Received {
    path: String,
    headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Received {
    pub(crate) fn id(&self) -> String {
        self.headers["webhook-id"].to_str().unwrap().to_owned()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What a receiver shares with its server.
#[derive(Default)]
struct Shared {
    received: Mutex<Vec<Received>>,
    is_down: AtomicBool,
}

/// A tenant's server: it answers 500 at `/dead`, 200 elsewhere, and 503 everywhere while it is down.
pub(crate) struct Receiver {
    url: String,
    shared: Arc<Shared>,
    _stop: DropGuard,
}

async fn receive(State(shared): State<Arc<Shared>>, uri: Uri, headers: HeaderMap, body: Bytes) -> StatusCode {
    let path = uri.path().to_owned();
    let status = match path.as_str() {
        _ if shared.is_down.load(Ordering::SeqCst) => StatusCode::SERVICE_UNAVAILABLE,
        "/dead" => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::OK,
    };
    shared.received.lock().unwrap().push(Received { path, headers, body });
    status
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (shared, stop) = (Arc::default(), CancellationToken::new());
        let router = Router::new().fallback(receive).with_state(Arc::clone(&shared));
        let stopped = stop.clone().cancelled_owned();
        tokio::spawn(axum::serve(listener, router).with_graceful_shutdown(stopped).into_future());
        Self { url, shared, _stop: stop.drop_guard() }
    }

    /// Whether it answers everything with 503 from now on.
    pub(crate) fn set_down(&self, is_down: bool) {
        self.shared.is_down.store(is_down, Ordering::SeqCst);
    }

    /// What was received at `path`.
    pub(crate) fn at(&self, path: &str) -> Vec<Received> {
        self.shared
            .received
            .lock()
            .unwrap()
            .iter()
            .filter(|received| received.path == path)
            .cloned()
            .collect()
    }

    /// The types that were received at `path`.
    fn types(&self, path: &str) -> BTreeSet<String> {
        self.at(path).iter().map(|received| received.json()["type"].as_str().unwrap().to_owned()).collect()
    }
}

/// Registers the endpoint at `path`. Returns it with its secret.
pub(crate) async fn register(cloud: &TestCloud, receiver: &Receiver, path: &str) -> Value {
    let url = format!("{}{path}", receiver.url);
    cloud.post("/webhooks", &json!({ "url": url })).await
}

/// The types about a video that is uploaded and can be played.
fn types_of_a_video() -> BTreeSet<String> {
    ["video.uploaded", "video.processing", "video.ready"].map(str::to_owned).into()
}

/// Uploads a video, and waits until the endpoint at `path` has the messages about it.
async fn upload_and_wait(cloud: &TestCloud, receiver: &Receiver, path: &str) {
    let video_id = cloud.upload("clip.mp4", clip()).await;
    cloud.wait_until_ready(&video_id, 1).await;
    cloud.wait_until("all messages have arrived", async || receiver.types(path) == types_of_a_video()).await;
}

/// The bodies that the endpoint at `/live` received, by the id of the message.
fn bodies_by_id(receiver: &Receiver) -> BTreeMap<String, Vec<Bytes>> {
    let mut bodies: BTreeMap<String, Vec<Bytes>> = BTreeMap::new();
    for received in receiver.at("/live") {
        bodies.entry(received.id()).or_default().push(received.body);
    }
    bodies
}

/// The number of events of `kind` in the streams of deliveries.
async fn count(cloud: &TestCloud, kind: &str) -> usize {
    let commits = cloud.log().scan_to_end().await.unwrap();
    let deliveries = commits.iter().filter(|commit| matches!(commit.stream, StreamId::Delivery(..)));
    deliveries.flat_map(|commit| &commit.events).filter(|event| event.kind == kind).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_video_is_followed_by_verified_messages_at_the_endpoint() {
    let (cloud, receiver) = (TestCloud::start().await, Receiver::start().await);
    let created = register(&cloud, &receiver, "/live").await;
    let secret = created["secret"].as_str().unwrap();
    upload_and_wait(&cloud, &receiver, "/live").await;
    for received in receiver.at("/live") {
        let webhook = Webhook::new(secret).unwrap();
        webhook.verify(&received.body, &received.headers).unwrap();
        assert_eq!(received.json()["data"]["projectId"], "acme");
    }
    // The views follow.
    cloud
        .wait_until("the deliveries are listed", async || {
            let listed = cloud.get("/webhook-deliveries?state=delivered").await;
            listed["data"].as_array().unwrap().len() == 3
        })
        .await;
    let other = register(&cloud, &receiver, "/other").await;
    let path = format!("/webhooks/{}/test", other["webhookId"].as_str().unwrap());
    cloud.post(&path, &json!({ "type": "video.errored" })).await;
    cloud
        .wait_until("the example has arrived", async || receiver.types("/other").contains("video.errored"))
        .await;
    cloud.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_the_queue_delivers_twice_are_recorded_once_and_have_one_id() {
    let (cloud, receiver) = (TestCloud::start().await, Receiver::start().await);
    register(&cloud, &receiver, "/live").await;
    cloud.sqs().duplicate_next(1000);
    upload_and_wait(&cloud, &receiver, "/live").await;
    let ids: BTreeSet<String> = receiver.at("/live").iter().map(Received::id).collect();
    assert_eq!(ids.len(), 3, "a duplicate has the id of the message");
    cloud.wait_until("all are recorded", async || count(&cloud, "webhook.delivered").await >= 3).await;
    assert_eq!(count(&cloud, "webhook.delivered").await, 3);
    cloud.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_is_killed_between_a_request_and_its_record_makes_the_same_attempt_again() {
    let (cloud, receiver) = (TestCloud::start().await, Receiver::start().await);
    register(&cloud, &receiver, "/live").await;
    let refused =
        cloud.dynamo_proxy().inject("PutItem", "webhook.delivered", 1000, fault_proxy::Fault::Refuse);
    cloud.functions().fail_next("webhooks", Fault::CrashBeforeResponse).unwrap();
    let video_id = cloud.upload("clip.mp4", clip()).await;
    // The second request follows only if the function of the first one has ended and its record is lost.
    cloud
        .wait_until("the function is killed after a request, and the request is made again", async || {
            let is_killed = cloud.functions().faults_left("webhooks").unwrap() == 0;
            is_killed && refused.hits() > 0 && bodies_by_id(&receiver).values().any(|bodies| bodies.len() > 1)
        })
        .await;
    assert_eq!(count(&cloud, "webhook.delivered").await, 0);
    refused.cancel();
    cloud.wait_until_ready(&video_id, 1).await;
    cloud.wait_until("all are recorded", async || count(&cloud, "webhook.delivered").await == 3).await;
    let bodies = bodies_by_id(&receiver);
    assert_eq!(bodies.len(), 3, "no message is lost");
    let is_same = |bodies: &Vec<Bytes>| bodies.iter().all(|body| *body == bodies[0]);
    assert!(bodies.values().all(is_same), "every attempt has the same bytes");
    cloud.finish().await;
}

/// The checks at the end compute from the log which messages there must be.
#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_is_killed_while_it_schedules_loses_no_message() {
    let (cloud, receiver) = (TestCloud::start().await, Receiver::start().await);
    for path in ["/live", "/other"] {
        register(&cloud, &receiver, path).await;
    }
    let refused = cloud.dynamo_proxy().inject("PutItem", "webhook.scheduled", 2, fault_proxy::Fault::Refuse);
    for _ in 0..3 {
        cloud.functions().fail_next("react", Fault::CrashBeforeResponse).unwrap();
    }
    upload_and_wait(&cloud, &receiver, "/live").await;
    cloud.wait_until("react was killed", async || cloud.functions().faults_left("react").unwrap() == 0).await;
    assert!(refused.hits() > 0, "a message was not scheduled at first");
    refused.cancel();
    cloud
        .wait_until("all are recorded", async || {
            ["/live", "/other"].iter().all(|path| receiver.types(path) == types_of_a_video())
        })
        .await;
    cloud.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_a_throttled_queue_refuses_are_found_by_the_sweep() {
    let (cloud, receiver) = (TestCloud::start().await, Receiver::start().await);
    register(&cloud, &receiver, "/live").await;
    let throttled = cloud.sqs_proxy().inject("SendMessageBatch", "", 1000, fault_proxy::Fault::Throttle);
    let video_id = cloud.upload("clip.mp4", clip()).await;
    cloud.wait_until_ready(&video_id, 1).await;
    cloud.wait_until("all are scheduled", async || count(&cloud, "webhook.scheduled").await == 3).await;
    cloud.mappings().react.wait_until_caught_up().await;
    assert!(throttled.hits() > 0);
    assert!(receiver.at("/live").is_empty(), "nothing is queued");
    throttled.cancel();
    cloud
        .wait_until("the sweep has queued them", async || receiver.types("/live") == types_of_a_video())
        .await;
    cloud.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_fails_is_tried_again_and_delays_no_other() {
    let (cloud, receiver) = (TestCloud::start().await, Receiver::start().await);
    register(&cloud, &receiver, "/dead").await;
    register(&cloud, &receiver, "/live").await;
    upload_and_wait(&cloud, &receiver, "/live").await;
    cloud
        .wait_until("each message has a second attempt, after its delay in the queue", async || {
            let mut attempts: BTreeMap<String, usize> = BTreeMap::new();
            for received in receiver.at("/dead") {
                *attempts.entry(received.id()).or_default() += 1;
            }
            attempts.len() == 3 && attempts.values().all(|attempts| *attempts >= 2)
        })
        .await;
    cloud
        .wait_until("the failures are listed", async || {
            let listed = cloud.get("/webhook-deliveries?state=pending").await;
            let pending = listed["data"].as_array().unwrap();
            pending.len() == 3 && pending.iter().all(|delivery| delivery["attemptsMade"].as_u64() >= Some(2))
        })
        .await;
    cloud.finish().await;
}
