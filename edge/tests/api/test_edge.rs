//! An API with two projects, all ports in memory, and a clock that only tests advance.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use serde_json::Value;
use streamio_edge::config::EdgeConfig;
use streamio_edge::home::HomeJournal;
use streamio_edge::ports::Ports;
use streamio_edge::testing::Target;
use streamio_edge::{Context, Edge};
use streamio_events::api_key::ApiKey;
use streamio_events::commit::Commit;
use streamio_events::event::Scope;
use streamio_events::fault::FaultyLog;
use streamio_events::id::ProjectId;
use streamio_events::limits::{MeasuredLimit, MeasuredUse};
use streamio_events::log::EventLogExt as _;
use streamio_events::memory::MemoryLog;
use streamio_events::tenant::Tenant;
use streamio_events::timestamp::Timestamp;

use crate::answer::Answer;
use crate::cdn::Cdn;
use crate::config::{config, key_pairs};
use crate::description::assert_described;
use crate::ports::{Log, LogHome, ObjectStore, Signer, Tenants, TestJournal};

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
    /// A key of a project that has 990 of 1,000 stored bytes, and may upload 2,000 bytes a day.
    pub(crate) limited: ApiKey,
    /// A key of a project that has uploaded as many bytes today as it may.
    pub(crate) exhausted: ApiKey,
    now: Arc<Mutex<Timestamp>>,
    client_address: Mutex<IpAddr>,
    requests: AtomicU64,
    /// The ids of all grants in responses.
    granted: Mutex<HashSet<String>>,
}

pub(crate) fn api_key(number: u8) -> ApiKey {
    ApiKey::generate("live", [number; 32]).unwrap()
}

/// Runs a future in a test that is not async.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// The clock's time at the start of each test.
pub(crate) fn start() -> Timestamp {
    "2026-01-02T03:04:05.250Z".parse().unwrap()
}

/// The address from which requests come, unless a test states another.
fn client_address() -> IpAddr {
    Ipv4Addr::new(192, 0, 2, 1).into()
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
        let (other, limited, exhausted) = (api_key(8), api_key(9), api_key(10));
        let tenant = |key: &ApiKey, project_id: &ProjectId, scopes: &[Scope]| Tenant {
            project_id: project_id.clone(),
            key_id: key.hash().key_id(),
            scopes: scopes.to_vec(),
            expires_at: None,
            revoked: false,
            suspended: false,
            measured: None,
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
            (
                &limited,
                Tenant {
                    measured: Some(MeasuredUse {
                        measured_at: start(),
                        bytes_per_day: Some(MeasuredLimit { limit: 2000, used: 0 }),
                        minutes_per_day: None,
                        stored_bytes: Some(MeasuredLimit { limit: 1000, used: 990 }),
                    }),
                    ..tenant(&limited, &"limited".parse().unwrap(), &[Scope::Upload])
                },
            ),
            (
                &exhausted,
                Tenant {
                    measured: Some(MeasuredUse {
                        measured_at: start(),
                        bytes_per_day: Some(MeasuredLimit { limit: 100, used: 100 }),
                        minutes_per_day: None,
                        stored_bytes: None,
                    }),
                    ..tenant(&exhausted, &"exhausted".parse().unwrap(), &[Scope::Upload])
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
        Self {
            edge,
            log,
            tenants,
            journal,
            store,
            signer,
            target,
            other,
            limited,
            exhausted,
            now,
            client_address: Mutex::new(client_address()),
            requests: AtomicU64::new(0),
            granted: Mutex::default(),
        }
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
            limited: self.limited.clone(),
            exhausted: self.exhausted.clone(),
            now,
            requests: AtomicU64::new(0),
            client_address: Mutex::new(client_address()),
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

    pub(crate) fn set_back(&self, time: Duration) {
        let mut now = self.now.lock().unwrap();
        *now = Timestamp::from_unix_millis(now.unix_millis() - i64::try_from(time.as_millis()).unwrap());
    }

    /// From now on, requests come from this address.
    pub(crate) fn set_client_address(&self, address: &str) {
        *self.client_address.lock().unwrap() = address.parse().unwrap();
    }

    /// The time, the client's address, and predictable bytes in place of random ones: the number of the request.
    pub(crate) fn context(&self) -> Context {
        let number = self.requests.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let mut random = [0; 32];
        random[8..16].copy_from_slice(&number);
        random[24..].copy_from_slice(&number);
        Context { now: self.now(), random, client_address: Some(*self.client_address.lock().unwrap()) }
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
