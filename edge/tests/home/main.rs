//! The client of the home region against a scripted one that fails in every way.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use streamio_edge::home::{HomeClient, HomeConfig, InvalidHomeConfig, Service};
use streamio_edge::ports::Clock;
use streamio_edge::ports::outbound::{Outbound, OutboundError};
use streamio_edge::sign::sigv4::Credentials;
use streamio_events::api_key::ApiKey;
use streamio_events::commit::NewCommit;
use streamio_events::event::{ProjectCreated, RecordedEvent};
use streamio_events::home::{
    Commanded, FeedPage, Home as _, HomeCall, HomeError, HomeReply, HomeResult, MAX_REPLY_BYTES, Page,
    Recorded, ReplyError, VideoFilter,
};
use streamio_events::id::{CommitId, ProjectId, VideoId};
use streamio_events::metadata::MetadataPatch;
use streamio_events::retryable::Retryable as _;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::VideoStatus;

/// The outcome of a request.
enum Next {
    /// The connection is lost.
    Lost,
    Response(Response<Bytes>),
}

/// Responds from a script and records the requests.
#[derive(Default)]
struct ScriptedRegion {
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
struct ManualClock(AtomicI64);

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(1_767_323_045_000 + self.0.load(Ordering::Relaxed))
    }
}

/// A client of a scripted home region. Dropping it asserts that the client sent every request that the script expects.
struct TestClient {
    region: Arc<ScriptedRegion>,
    clock: Arc<ManualClock>,
    client: HomeClient,
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
    fn new() -> Self {
        Self::with(HomeConfig::new("https://home.example", "eu-west-1", credentials()))
    }

    fn with(config: HomeConfig) -> Self {
        let (region, clock) = (Arc::new(ScriptedRegion::default()), Arc::new(ManualClock::default()));
        let client = HomeClient::new(config, region.clone(), clock.clone()).unwrap();
        Self { region, clock, client }
    }

    fn script(&self, outcomes: impl IntoIterator<Item = Next>) {
        self.region.script.lock().unwrap().extend(outcomes);
    }

    /// The requests since the last call of this method.
    fn take_requests(&self) -> Vec<Request<Bytes>> {
        std::mem::take(&mut *self.region.requests.lock().unwrap())
    }

    fn count_requests(&self) -> usize {
        self.take_requests().len()
    }

    fn advance(&self, millis: i64) {
        self.clock.0.fetch_add(millis, Ordering::Relaxed);
    }

    async fn version(&self) -> u64 {
        self.client.video(&acme(), &film()).await.unwrap().unwrap().version
    }
}

fn commanded(status: VideoStatus) -> Commanded {
    Commanded { status, repeated: false }
}

fn credentials() -> Credentials {
    Credentials::new("AKIDEXAMPLE", "a-hidden-secret").unwrap()
}

fn reply(reply: &HomeReply) -> Next {
    Next::Response(Response::new(reply.to_json().into()))
}

fn ok(result: HomeResult) -> Next {
    reply(&HomeReply::Ok(result))
}

fn raw(status: u16, body: &str) -> Next {
    Next::Response(Response::builder().status(status).body(Bytes::from(body.to_owned())).unwrap())
}

fn acme() -> ProjectId {
    "acme".parse().unwrap()
}

fn film() -> VideoId {
    VideoId::of(&"projects/acme/film".parse().unwrap())
}

fn commit() -> CommitId {
    CommitId::derived_from(&["commit"])
}

fn status(version: u64) -> VideoStatus {
    serde_json::from_value(serde_json::json!({
        "videoId": film(), "projectId": "acme", "s3Key": "projects/acme/film", "state": "ready", "progress": 100,
        "generation": 1, "attempt": 1, "createdAt": "2026-01-02T03:04:05Z", "updatedAt": "2026-01-02T03:04:05Z",
        "version": version,
    }))
    .unwrap()
}

fn status_reply(version: u64) -> Next {
    ok(HomeResult::Video(Some(status(version))))
}

fn chain(error: &dyn Error) -> String {
    std::iter::successors(Some(error), |&error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

#[tokio::test]
async fn a_call_is_one_signed_post() {
    let mut config = HomeConfig::new("https://api.example:8443/prod/", "eu-west-1", credentials());
    config.service = Service::ExecuteApi;
    let test = TestClient::with(config);
    let key = ApiKey::generate("live", [7; 32]).unwrap().hash();
    test.script([ok(HomeResult::Tenant(None))]);
    assert_eq!(test.client.tenant(&key).await.unwrap(), None);
    let request = test.take_requests().remove(0);
    assert_eq!(request.method(), "POST");
    assert_eq!(request.uri(), "https://api.example:8443/prod/home");
    assert_eq!(request.headers()["content-type"], "application/json");
    assert_eq!(request.headers()["x-amz-date"], "20260102T030405Z");
    let authorization = request.headers()["authorization"].to_str().unwrap();
    let expected = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/eu-west-1/execute-api/aws4_request, \
                    SignedHeaders=content-type;host;x-amz-date, Signature=";
    assert!(authorization.starts_with(expected), "{authorization}");
    assert_eq!(serde_json::from_slice::<HomeCall>(request.body()).unwrap(), HomeCall::Tenant { key });
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let refused = |change: fn(&mut HomeConfig)| {
        let mut config = HomeConfig::new("https://home.example", "eu-west-1", credentials());
        change(&mut config);
        HomeClient::new(config, Arc::new(ScriptedRegion::default()), Arc::new(ManualClock::default()))
            .unwrap_err()
    };
    assert_eq!(refused(|it| it.base_url = "home.example".to_owned()), InvalidHomeConfig::BaseUrl);
    assert_eq!(refused(|it| it.base_url = "https://u:p@home.example".to_owned()), InvalidHomeConfig::BaseUrl);
    assert_eq!(refused(|it| it.base_url = "https://home.example?a".to_owned()), InvalidHomeConfig::BaseUrl);
    assert_eq!(refused(|it| it.most_statuses = 0), InvalidHomeConfig::MostStatuses);
    assert!(matches!(refused(|it| it.region = "a/b".to_owned()), InvalidHomeConfig::Signing(_)));
}

#[tokio::test]
async fn a_call_without_a_response_is_sent_once_more_and_one_with_a_response_is_not() {
    let test = TestClient::new();
    test.script([Next::Lost, status_reply(1)]);
    assert_eq!(test.version().await, 1);
    let requests = test.take_requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].body(), requests[1].body());

    test.advance(10_000);
    test.script([Next::Lost, Next::Lost]);
    let error = test.client.video(&acme(), &film()).await.unwrap_err();
    let reported = chain(&error);
    assert!(
        reported.starts_with("the home region is not available: the home region did not respond: ")
            && reported.ends_with(": connection reset"),
        "{reported}"
    );
    assert!(error.is_retryable());
    assert_eq!(test.count_requests(), 2);

    for (code, body) in [(500, ""), (502, "<html>"), (503, r#"{"error":{"kind":"unavailable"}}"#), (429, "")]
    {
        test.script([raw(code, body)]);
        let error = test.client.video(&acme(), &film()).await.unwrap_err();
        let status = StatusCode::from_u16(code).unwrap();
        let expected = format!("the home region is not available: the home region responded with {status}");
        assert_eq!((chain(&error), test.count_requests()), (expected, 1));
        assert!(error.is_retryable());
    }
}

/// The commit's id makes the second call safe.
#[tokio::test]
async fn a_fact_whose_response_was_lost_is_recorded_under_the_same_id() {
    let test = TestClient::new();
    let event = RecordedEvent::new(test.clock.now(), &ProjectCreated { name: None }.into());
    let new = NewCommit { id: commit(), events: vec![event.clone()], recorded_at: test.clock.now() };
    test.script([Next::Lost, ok(HomeResult::Recorded(Some(event.clone())))]);
    let recorded = test.client.record(&StreamId::Project(acme()), new).await.unwrap();
    assert_eq!(recorded, Recorded::Repeated(event));
    assert_eq!(test.count_requests(), 2);
}

#[tokio::test]
async fn a_status_is_cached_for_two_seconds_from_the_request() {
    let test = TestClient::new();
    test.script([status_reply(1)]);
    assert_eq!(test.version().await, 1);
    test.advance(1999);
    assert_eq!(test.version().await, 1);
    assert_eq!(test.count_requests(), 1);
    test.advance(1);
    test.script([status_reply(2)]);
    assert_eq!(test.version().await, 2);
    assert_eq!(test.count_requests(), 1);

    // An older status from a region that lags is neither returned nor cached.
    test.advance(2000);
    test.script([status_reply(1), status_reply(3)]);
    assert_eq!(test.version().await, 2);
    assert_eq!(test.version().await, 3);
    assert_eq!(test.count_requests(), 2);
}

#[tokio::test]
async fn a_missing_video_is_not_cached_and_statuses_are_cached_by_project() {
    let test = TestClient::new();
    test.script([ok(HomeResult::Video(None)), status_reply(1), ok(HomeResult::Video(None))]);
    assert_eq!(test.client.video(&acme(), &film()).await.unwrap(), None);
    assert_eq!(test.version().await, 1);
    assert_eq!(test.client.video(&"globex".parse().unwrap(), &film()).await.unwrap(), None);
    assert_eq!(test.count_requests(), 3);
}

#[tokio::test]
async fn a_command_s_status_replaces_the_cached_one() {
    let test = TestClient::new();
    test.script([status_reply(1), ok(HomeResult::Command(commanded(status(2))))]);
    assert_eq!(test.version().await, 1);
    test.client.delete_video(&acme(), &film(), &commit()).await.unwrap();
    assert_eq!(test.version().await, 2);
    assert_eq!(test.count_requests(), 2);

    // After a failure with an unknown outcome the status is requested.
    for failure in [raw(500, ""), raw(200, "{"), ok(HomeResult::Tenant(None))] {
        test.script([failure, status_reply(3)]);
        let error = test.client.reprocess_video(&acme(), &film(), &commit()).await.unwrap_err();
        assert!(matches!(error, HomeError::Unavailable { .. } | HomeError::Failed { .. }), "{error:?}");
        assert_eq!(test.version().await, 3);
        assert_eq!(test.count_requests(), 2);
    }
}

#[tokio::test]
async fn refusals_of_the_home_region_are_returned_as_errors_of_the_port() {
    let test = TestClient::new();
    let reason = "the video is deleted; upload it again".to_owned();
    test.script([
        reply(&HomeReply::Error(ReplyError::Conflict { text: reason.clone() })),
        reply(&HomeReply::Error(ReplyError::NotFound)),
        reply(&HomeReply::Error(ReplyError::KeyReused)),
        reply(&HomeReply::Error(ReplyError::InvalidCursor)),
        reply(&HomeReply::Error(ReplyError::NotFound)),
    ]);
    let conflict = test.client.reprocess_video(&acme(), &film(), &commit()).await;
    assert!(matches!(conflict, Err(HomeError::Conflict { text: reported }) if reported == reason));
    let missing = test.client.delete_video(&acme(), &film(), &commit()).await;
    assert!(matches!(missing, Err(HomeError::NotFound)));
    let reused = test.client.update_video(&acme(), &film(), &commit(), &MetadataPatch::default()).await;
    assert!(matches!(reused, Err(HomeError::KeyReused)));
    let cursor = test.client.feed(&acme(), Some("x"), 5).await.unwrap_err();
    assert_eq!(chain(&cursor), "not a cursor of this list");
    let odd = test.client.feed(&acme(), None, 5).await.unwrap_err();
    assert!(
        chain(&odd).ends_with("the error belongs to another call: the project has no such video"),
        "{odd:?}"
    );
}

#[tokio::test]
async fn a_response_that_does_not_belong_to_the_call_is_an_error() {
    let test = TestClient::new();
    let large = format!(r#"{{"ok":{{"video":null}}}}{}"#, " ".repeat(MAX_REPLY_BYTES));
    for (response, reported) in [
        (
            raw(200, ""),
            "the home region's response cannot be used: EOF while parsing a value at line 1 column 0",
        ),
        (raw(200, "<html>"), "the home region's response cannot be used: expected value at line 1 column 1"),
        (
            raw(200, &large),
            "the home region's response cannot be used: it has 524309 bytes, more than 524288",
        ),
        (
            ok(HomeResult::Recalled(None)),
            "the home region's response cannot be used: `recalled` is the result of another call",
        ),
        (
            raw(403, r#"{"Message":"Credential=AKIDEXAMPLE is not authorized"}"#),
            "the home region refused the call with 403 Forbidden: the response is not the home region's own",
        ),
        (
            raw(403, r#"{"error":{"kind":"refused","text":"sign it"}}"#),
            "the home region refused the call with 403 Forbidden: sign it",
        ),
        (
            raw(302, ""),
            "the home region refused the call with 302 Found: the response is not the home region's own",
        ),
    ] {
        test.script([response]);
        let error = test.client.video(&acme(), &film()).await.unwrap_err();
        assert_eq!(chain(&error), format!("the home region cannot serve the call: {reported}"));
        assert!(!error.is_retryable());
        assert_eq!(test.count_requests(), 1);
    }
}

/// A fault of the home region must not show a project another one's videos.
#[tokio::test]
async fn a_response_about_another_project_or_video_is_an_error() {
    let test = TestClient::new();
    let mut other_project = status(1);
    other_project.project_id = "globex".parse().unwrap();
    let mut other_video = status(1);
    other_video.video_id = VideoId::of(&"projects/acme/other".parse().unwrap());
    for foreign in [other_project.clone(), other_video] {
        test.script([
            ok(HomeResult::Video(Some(foreign.clone()))),
            ok(HomeResult::Video(Some(foreign.clone()))),
            ok(HomeResult::Command(commanded(foreign.clone()))),
        ]);
        let (at, reason) = (test.clock.now(), "it is about another project or video than requested");
        assert!(chain(&test.client.video(&acme(), &film()).await.unwrap_err()).ends_with(reason));
        assert!(chain(&test.client.video_as_of(&acme(), &film(), at).await.unwrap_err()).ends_with(reason));
        assert!(
            chain(&test.client.delete_video(&acme(), &film(), &commit()).await.unwrap_err())
                .ends_with(reason)
        );
    }
    let event = |project: &str| {
        let value = serde_json::json!({
            "specversion": "1.0", "id": format!("video/{project}/{}/1", film()), "source": format!("/projects/{project}"),
            "type": "video.deleted", "time": "2026-01-02T03:04:05Z", "recordedtime": "2026-01-02T03:04:05Z",
            "streamversion": 1, "dataversion": 1,
        });
        Page { data: vec![serde_json::from_value(value).unwrap()], next: None }
    };
    let feed = |project: &str| FeedPage { data: event(project).data, position: None, more: false };
    test.script([
        ok(HomeResult::Videos(Page { data: vec![status(1), other_project], next: None })),
        ok(HomeResult::Feed(feed("globex"))),
        ok(HomeResult::VideoEvents(Some(event("globex")))),
        ok(HomeResult::Feed(feed("acme"))),
        ok(HomeResult::VideoEvents(Some(event("acme")))),
    ]);
    let filter = VideoFilter::default();
    assert!(test.client.list_videos(&acme(), &filter, None, 5).await.is_err());
    assert!(test.client.feed(&acme(), None, 5).await.is_err());
    assert!(test.client.video_events(&acme(), &film(), None, 5).await.is_err());
    assert_eq!(test.client.feed(&acme(), None, 5).await.unwrap().data.len(), 1);
    let events = test.client.video_events(&acme(), &film(), None, 5).await.unwrap();
    assert_eq!(events.unwrap().data.len(), 1);
}

#[tokio::test]
async fn debug_output_and_errors_hold_no_secret() {
    let test = TestClient::new();
    test.script([Next::Lost, Next::Lost]);
    let error = test.client.video(&acme(), &film()).await.unwrap_err();
    let config = HomeConfig::new("https://home.example", "eu-west-1", credentials());
    let shown = format!("{:?} {error:?} {config:?}", test.client);
    assert!(!shown.contains("hidden") && !shown.contains("Signature"), "{shown}");
    assert_eq!(config.statuses_for, Duration::from_secs(2));
}
