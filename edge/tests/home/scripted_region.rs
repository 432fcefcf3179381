//! A home region that responds from a script, and a client of it.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use streamio_edge::home::{HomeClient, HomeConfig};
use streamio_edge::ports::Clock;
use streamio_edge::ports::outbound::{Outbound, OutboundError};
use streamio_edge::sign::sigv4::Credentials;
use streamio_events::home::{Commanded, Home as _, HomeReply, HomeResult};
use streamio_events::id::{CommitId, ProjectId, VideoId};
use streamio_events::timestamp::Timestamp;
use streamio_events::video::VideoStatus;

/// The outcome of a request.
pub(crate) enum Next {
    /// The connection is lost.
    Lost,
    Response(Response<Bytes>),
}

/// Responds from a script and records the requests.
#[derive(Default)]
pub(crate) struct ScriptedRegion {
    script: Mutex<VecDeque<Next>>,
    requests: Mutex<Vec<Request<Bytes>>>,
}

#[async_trait]
impl Outbound for ScriptedRegion {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, OutboundError> {
        self.requests.lock().unwrap().push(request);
        let next =
            self.script.lock().unwrap().pop_front().expect("the script has an outcome for each request");
        match next {
            Next::Lost => Err(OutboundError("connection reset".into())),
            Next::Response(response) => Ok(response),
        }
    }
}

/// A clock that tests set.
#[derive(Default)]
pub(crate) struct ManualClock(AtomicI64);

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(1_767_323_045_000 + self.0.load(Ordering::Relaxed))
    }
}

/// A client of a scripted home region. Dropping it asserts that the client sent every request that the script expects.
pub(crate) struct TestClient {
    region: Arc<ScriptedRegion>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) client: HomeClient,
}

impl Drop for TestClient {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let left = self.region.script.lock().unwrap().len();
            assert_eq!(left, 0, "the client sent fewer requests than the script expects");
        }
    }
}

impl TestClient {
    pub(crate) fn new() -> Self {
        Self::with(HomeConfig::new("https://home.example", "eu-west-1", credentials()))
    }

    pub(crate) fn with(config: HomeConfig) -> Self {
        let (region, clock) = (Arc::new(ScriptedRegion::default()), Arc::new(ManualClock::default()));
        let client = HomeClient::new(config, region.clone(), clock.clone()).unwrap();
        Self { region, clock, client }
    }

    pub(crate) fn script(&self, outcomes: impl IntoIterator<Item = Next>) {
        self.region.script.lock().unwrap().extend(outcomes);
    }

    /// The requests since the last call of this method.
    pub(crate) fn take_requests(&self) -> Vec<Request<Bytes>> {
        std::mem::take(&mut *self.region.requests.lock().unwrap())
    }

    pub(crate) fn count_requests(&self) -> usize {
        self.take_requests().len()
    }

    pub(crate) fn advance(&self, millis: i64) {
        self.clock.0.fetch_add(millis, Ordering::Relaxed);
    }

    pub(crate) async fn version(&self) -> u64 {
        self.client.video(&acme(), &film()).await.unwrap().unwrap().version
    }
}

pub(crate) fn commanded(status: VideoStatus) -> Commanded {
    Commanded { status, repeated: false }
}

pub(crate) fn credentials() -> Credentials {
    Credentials::new("AKIDEXAMPLE", "a-hidden-secret").unwrap()
}

pub(crate) fn reply(reply: &HomeReply) -> Next {
    Next::Response(Response::new(reply.to_json().into()))
}

pub(crate) fn ok(result: HomeResult) -> Next {
    reply(&HomeReply::Ok(result))
}

pub(crate) fn raw(status: u16, body: &str) -> Next {
    Next::Response(Response::builder().status(status).body(Bytes::from(body.to_owned())).unwrap())
}

pub(crate) fn acme() -> ProjectId {
    "acme".parse().unwrap()
}

pub(crate) fn film() -> VideoId {
    VideoId::of(&"projects/acme/film".parse().unwrap())
}

pub(crate) fn commit() -> CommitId {
    CommitId::derived_from(&["commit"])
}

pub(crate) fn status(version: u64) -> VideoStatus {
    serde_json::from_value(serde_json::json!({
        "videoId": film(), "projectId": "acme", "s3Key": "projects/acme/film", "state": "ready", "progress": 100,
        "generation": 1, "attempt": 1, "createdAt": "2026-01-02T03:04:05Z", "updatedAt": "2026-01-02T03:04:05Z",
        "version": version,
    }))
    .unwrap()
}

pub(crate) fn status_reply(version: u64) -> Next {
    ok(HomeResult::Video(Some(status(version))))
}

pub(crate) fn chain(error: &dyn Error) -> String {
    std::iter::successors(Some(error), |&error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
