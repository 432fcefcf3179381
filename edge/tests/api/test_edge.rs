//! An API with two projects, all ports in memory, and a clock that only tests advance.

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use streamio_edge::config::{CdnConfig, EdgeConfig, RateLimit, S3Config};
use streamio_edge::home::HomeJournal;
use streamio_edge::ports::Ports;
use streamio_edge::sign::key::{HashAlgorithm, KeyKind, KeyPairs, PrivateKey};
use streamio_edge::sign::s3::AddressStyle;
use streamio_edge::sign::sigv4::Credentials;
use streamio_edge::testing::Target;
use streamio_edge::{Context, Edge};
use streamio_events::api_key::ApiKey;
use streamio_events::commit::{Commit, NewCommit};
use streamio_events::event::{
    EventBody, ProcessingCompleted, ProcessingDispatched, ProcessingStarted, Scope, UploadCompleted,
    VideoReady,
};
use streamio_events::fault::FaultyLog;
use streamio_events::id::{CommitId, ProjectId, VideoId};
use streamio_events::job::{Job, MediaLimits};
use streamio_events::log::{EventLog as _, EventLogExt as _, Expected};
use streamio_events::media::{MediaSource, Outputs, Rendition};
use streamio_events::memory::MemoryLog;
use streamio_events::object_key::SourceKey;
use streamio_events::stream::StreamId;
use streamio_events::tenant::Tenant;
use streamio_events::timestamp::Timestamp;

use crate::cdn::Cdn;
use crate::description::assert_described;
use crate::ports::{Log, LogHome, ObjectStore, Signer, Tenants, TestJournal};

pub(crate) const SECRET_ACCESS_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
pub(crate) const CDN: &str = "https://d111111abcdef8.cloudfront.net";
pub(crate) const API: &str = "https://api.streamio.example";
/// The source key of [`TestEdge::ready_video`].
pub(crate) const SOURCE_KEY: &str = "projects/acme/films/clip.mp4";

/// The API under test.
///
/// Dropping it asserts that the grant of every issued URL is in the log, whatever faults the test injected.
pub(crate) struct TestEdge {
    pub(crate) edge: Edge,
    pub(crate) log: Log,
    pub(crate) tenants: Arc<Tenants>,
    pub(crate) journal: Arc<TestJournal>,
    pub(crate) store: Arc<ObjectStore>,
    pub(crate) signer: Arc<Signer>,
    pub(crate) target: Target,
    /// A key of the other project with all scopes.
    pub(crate) other: ApiKey,
    now: Arc<Mutex<Timestamp>>,
    requests: AtomicU64,
    /// The ids of all grants in responses.
    granted: Mutex<HashSet<String>>,
}

/// A response whose body was read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) extensions: http::Extensions,
}

impl Answer {
    pub(crate) fn of(response: Response<Bytes>) -> Self {
        let (parts, body) = response.into_parts();
        Self { status: parts.status, headers: parts.headers, body, extensions: parts.extensions }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn problem(&self) -> String {
        self.json()["type"].as_str().unwrap_or("no problem").replace("/problems/", "")
    }
}

pub(crate) fn api_key(number: u8) -> ApiKey {
    ApiKey::generate("live", [number; 32]).unwrap()
}

pub(crate) fn key_pairs() -> KeyPairs {
    KeyPairs::new(
        "K2JCJMDEHXQW5F",
        [("K2JCJMDEHXQW5F".to_owned(), PrivateKey::generate(KeyKind::P256, [7; 32]))],
    )
    .unwrap()
}

pub(crate) fn config() -> EdgeConfig {
    let s3 = S3Config {
        endpoint: "https://s3.eu-west-1.amazonaws.com".to_owned(),
        region: "eu-west-1".to_owned(),
        address_style: AddressStyle::VirtualHosted,
        raw_bucket: "streamio-raw".to_owned(),
        credentials: Credentials::new("AKIDEXAMPLE", SECRET_ACCESS_KEY).unwrap(),
    };
    let cdn = CdnConfig { base_url: CDN.to_owned(), hash: HashAlgorithm::Sha256, expiry_bucket: 1 };
    EdgeConfig { public_url: Some(API.to_owned()), ..EdgeConfig::new(s3, cdn) }
}

/// A configuration with a rate limit that tests with many requests do not reach.
pub(crate) fn unlimited() -> EdgeConfig {
    EdgeConfig { rate_limit: RateLimit { quota: u32::MAX, window_seconds: 60, tracked_keys: 10 }, ..config() }
}

/// Runs a future in a test that is not async.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// The clock's time at the start of each test.
pub(crate) fn start() -> Timestamp {
    "2026-01-02T03:04:05.250Z".parse().unwrap()
}

impl TestEdge {
    pub(crate) fn new() -> Self {
        Self::with(config())
    }

    pub(crate) fn with(config: EdgeConfig) -> Self {
        let acme: ProjectId = "acme".parse().unwrap();
        let globex: ProjectId = "globex".parse().unwrap();
        let target = Target {
            project_id: acme.clone(),
            other_project_id: globex.clone(),
            admin: api_key(1),
            upload: api_key(2),
            playback: api_key(3),
            read: api_key(4),
            expired: api_key(5),
            revoked: api_key(6),
            suspended: api_key(7),
        };
        let other = api_key(8);
        let tenant = |key: &ApiKey, project_id: &ProjectId, scopes: &[Scope]| Tenant {
            project_id: project_id.clone(),
            key_id: key.hash().key_id(),
            scopes: scopes.to_vec(),
            expires_at: None,
            revoked: false,
            suspended: false,
            version: 1,
        };
        let tenants = [
            (&target.admin, tenant(&target.admin, &acme, &[Scope::Admin])),
            (&target.upload, tenant(&target.upload, &acme, &[Scope::Upload])),
            (&target.playback, tenant(&target.playback, &acme, &[Scope::Playback])),
            (&target.read, tenant(&target.read, &acme, &[Scope::Read])),
            (
                &target.expired,
                Tenant { expires_at: Some(start()), ..tenant(&target.expired, &acme, &[Scope::Admin]) },
            ),
            (&target.revoked, Tenant { revoked: true, ..tenant(&target.revoked, &acme, &[Scope::Admin]) }),
            (
                &target.suspended,
                Tenant {
                    suspended: true,
                    ..tenant(&target.suspended, &"initech".parse().unwrap(), &[Scope::Admin])
                },
            ),
            (&other, tenant(&other, &globex, &[Scope::Upload, Scope::Playback, Scope::Read])),
        ];
        let keys: HashMap<_, _> = tenants.into_iter().map(|(key, tenant)| (key.hash(), tenant)).collect();
        let tenants = Arc::new(Tenants { keys, ..Tenants::default() });

        let log: Log = Arc::new(FaultyLog::scripted(MemoryLog::new(), []));
        let now = Arc::new(Mutex::new(start()));
        let home = Arc::new(LogHome { log: log.clone(), now: now.clone() });
        let journal = Arc::new(TestJournal {
            home: Arc::new(HomeJournal(home.clone())),
            forgets: AtomicBool::new(false),
            recalls_nothing: AtomicBool::new(false),
            is_slow: AtomicBool::new(false),
        });
        let store = Arc::new(ObjectStore::with(Cdn::new(now.clone())));
        let signer = Arc::new(Signer { pairs: key_pairs(), is_down: AtomicBool::new(false) });
        let ports = Ports {
            directory: tenants.clone(),
            journal: journal.clone(),
            home,
            outbound: store.clone(),
            url_signer: signer.clone(),
        };
        let edge = Edge::new(config, ports).unwrap();
        let (requests, granted) = (AtomicU64::new(0), Mutex::default());
        Self { edge, log, tenants, journal, store, signer, target, other, now, requests, granted }
    }

    /// The API of another process with the same log, keys and clock.
    pub(crate) fn restarted(&self) -> Self {
        let (log, now) = (self.log.clone(), self.now.clone());
        let ports = Ports {
            directory: self.tenants.clone(),
            journal: self.journal.clone(),
            home: Arc::new(LogHome { log: log.clone(), now: now.clone() }),
            outbound: self.store.clone(),
            url_signer: self.signer.clone(),
        };
        Self {
            edge: Edge::new(config(), ports).unwrap(),
            log,
            tenants: self.tenants.clone(),
            journal: self.journal.clone(),
            store: self.store.clone(),
            signer: self.signer.clone(),
            target: self.target.clone(),
            other: self.other.clone(),
            now,
            requests: AtomicU64::new(0),
            granted: Mutex::default(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        *self.now.lock().unwrap()
    }

    pub(crate) fn advance(&self, time: Duration) {
        let mut now = self.now.lock().unwrap();
        *now = now.plus(time);
    }

    /// The time, and predictable bytes in place of random ones: the number of the request.
    pub(crate) fn context(&self) -> Context {
        let number = self.requests.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let mut random = [0; 32];
        random[8..16].copy_from_slice(&number);
        random[24..].copy_from_slice(&number);
        Context { now: self.now(), random }
    }

    /// The response, after a check against `openapi.yaml`.
    pub(crate) async fn handle(&self, request: Request<Bytes>) -> Answer {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let answer = Answer::of(self.edge.handle(self.context(), &request).await);
        assert_described(&method, &path, &answer);
        if method == Method::POST && answer.status == StatusCode::OK {
            let grant = answer.json()["grantId"].as_str().map(str::to_owned);
            self.granted.lock().unwrap().extend(grant);
        }
        answer
    }

    /// Sends a request with the admin key of the first project; `null` is no body.
    pub(crate) async fn send(&self, method: Method, path: &str, body: &Value) -> Answer {
        self.send_with(&[("x-api-key", self.target.admin.reveal())], method, path, body).await
    }

    /// A `POST` with JSON and the admin key of the first project.
    pub(crate) fn post_request(&self, path: &str, body: &Value) -> Request<Bytes> {
        Request::post(path)
            .header("x-api-key", self.target.admin.reveal())
            .header("content-type", "application/json")
            .body(Bytes::from(body.to_string()))
            .unwrap()
    }

    pub(crate) async fn send_with(
        &self,
        headers: &[(&str, &str)],
        method: Method,
        path: &str,
        body: &Value,
    ) -> Answer {
        let bytes = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let mut request = Request::builder().method(method).uri(path).body(bytes).unwrap();
        if !body.is_null() {
            request.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
        }
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            request.headers_mut().append(name, HeaderValue::from_str(value).unwrap());
        }
        self.handle(request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &Value::Null).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, &body).await
    }

    /// A POST with an Idempotency-Key.
    pub(crate) async fn post_once(&self, idempotency_key: &str, path: &str, body: Value) -> Answer {
        let headers = [("x-api-key", self.target.admin.reveal()), ("idempotency-key", idempotency_key)];
        self.send_with(&headers, Method::POST, path, &body).await
    }

    /// All commits of the log, read without faults.
    pub(crate) async fn commits(&self) -> Vec<Commit> {
        self.log.inner().scan_to_end().await.unwrap()
    }

    /// Appends an event of another component.
    async fn append(&self, stream: &StreamId, event: impl Into<EventBody>) {
        let count = self.commits().await.len();
        let id = CommitId::derived_from(&["test", &count.to_string()]);
        let commit = NewCommit::new(id, self.now(), [event.into()]);
        self.log.inner().append(stream, Expected::Any, commit).await.unwrap();
    }

    /// Creates a video and takes it from its grant to `ready`: six events within nine seconds.
    pub(crate) async fn ready_video(&self) -> VideoId {
        let upload = json!({ "filename": "clip.mp4", "path": "films", "metadata": { "title": "Summer" } });
        let granted = self.post("/upload-url", upload).await;
        assert_eq!(granted.status, StatusCode::OK, "{granted:?}");
        let s3_key: SourceKey = SOURCE_KEY.parse().unwrap();
        let video_id = VideoId::of(&s3_key);
        let stream = StreamId::Video(self.target.project_id.clone(), video_id.clone());
        self.advance(Duration::from_secs(4));
        let completed = UploadCompleted {
            s3_key: s3_key.clone(),
            generation: 1,
            bytes: 1_055_736,
            etag: "9b2cf535f27731c974343645a3985328".to_owned(),
            sequencer: "0055AED6DCD90281E5".to_owned(),
            found: false,
            version_id: None,
            created_at: None,
            grant_id: None,
        };
        self.append(&stream, completed).await;
        let job = Job {
            project_id: self.target.project_id.clone(),
            video_id: video_id.clone(),
            s3_key: s3_key.clone(),
            version_id: None,
            etag: None,
            generation: 1,
            attempt: 1,
            client_token: Job::client_token_of(&video_id, 1, 1),
            raw_bucket: "streamio-raw".to_owned(),
            processed_bucket: "streamio-processed".to_owned(),
            limits: MediaLimits::default(),
        };
        self.append(&stream, ProcessingDispatched { job }).await;
        self.advance(Duration::from_secs(1));
        self.append(&stream, ProcessingStarted { generation: 1, attempt: 1, task: "task-1".to_owned() })
            .await;
        self.advance(Duration::from_secs(3));
        let processed = s3_key.processed();
        let source = MediaSource {
            duration_seconds: 5.28,
            width: Some(1280),
            height: Some(720),
            rotation: 0,
            frame_rate: Some(25.0),
            video_codec: Some("h264".to_owned()),
            audio_codec: Some("aac".to_owned()),
            bytes: 1_055_736,
            warnings: Vec::new(),
        };
        let rendition = |width, height, bandwidth, codecs: &str| Rendition {
            width: Some(width),
            height: Some(height),
            bandwidth,
            codecs: codecs.to_owned(),
        };
        let outputs = Outputs {
            mp4_key: processed.clone(),
            hls_key: processed.hls_master(),
            poster_key: Some(processed.poster()),
            renditions: vec![
                rendition(1280, 720, 2_811_000, "avc1.64001f,mp4a.40.2"),
                rendition(640, 360, 912_000, "avc1.64001e,mp4a.40.2"),
            ],
        };
        let completed = ProcessingCompleted {
            generation: 1,
            attempt: 1,
            source: source.clone(),
            outputs: outputs.clone(),
        };
        self.append(&stream, completed).await;
        self.advance(Duration::from_secs(1));
        self.append(&stream, VideoReady { generation: 1, attempt: 1, source, outputs }).await;
        video_id
    }
}

impl Drop for TestEdge {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let commits = pin!(self.commits()).poll(&mut std::task::Context::from_waker(Waker::noop()));
        let Poll::Ready(commits) = commits else { panic!("the log in memory is always ready") };
        let recorded: HashSet<&str> = commits
            .iter()
            .flat_map(|commit| &commit.events)
            .filter_map(|event| event.data["grantId"].as_str())
            .collect();
        for grant in &*self.granted.lock().unwrap() {
            assert!(recorded.contains(grant.as_str()), "the URL of {grant} was issued and is not in the log");
        }
    }
}
