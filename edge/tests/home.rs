//! The client of the home region against one that fails in every way.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use streamio_edge::commands::{CommandError, Commands as _};
use streamio_edge::home::{HomeClient, HomeConfig, InvalidHomeConfig, Service};
use streamio_edge::journal::{Journal as _, Recorded};
use streamio_edge::outbound::{Outbound, OutboundError};
use streamio_edge::port::Clock;
use streamio_edge::sign::sigv4::Credentials;
use streamio_edge::views::{VideoFilter, Views as _};
use streamio_events::api_key::ApiKey;
use streamio_events::commit::NewCommit;
use streamio_events::event::{ProjectCreated, RecordedEvent};
use streamio_events::home::{HomeAnswer, HomeCall, HomeError, HomePage, HomeReply, MAX_ANSWER_BYTES};
use streamio_events::id::{CommitId, ProjectId, VideoId};
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::VideoStatus;

/// What comes back.
enum Next {
    /// The connection is lost.
    Lost,
    Answer(Response<Bytes>),
}

/// Answers from a script, and keeps what it was asked.
#[derive(Default)]
struct Region {
    script: Mutex<VecDeque<Next>>,
    asked: Mutex<Vec<Request<Bytes>>>,
}

#[async_trait]
impl Outbound for Region {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, OutboundError> {
        self.asked.lock().unwrap().push(request);
        let next = self.script.lock().unwrap().pop_front().expect("the script has an answer to each request");
        match next {
            Next::Lost => Err(OutboundError("connection reset".into())),
            Next::Answer(answer) => Ok(answer),
        }
    }
}

#[derive(Default)]
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(1_767_323_045_000 + self.0.load(Ordering::Relaxed))
    }
}

struct World {
    region: Arc<Region>,
    clock: Arc<Hand>,
    client: HomeClient,
}

impl World {
    fn new() -> Self {
        Self::with(HomeConfig::new("https://home.example", "eu-west-1", credentials()))
    }

    fn with(config: HomeConfig) -> Self {
        let (region, clock) = (Arc::new(Region::default()), Arc::new(Hand::default()));
        let client = HomeClient::new(config, region.clone(), clock.clone()).unwrap();
        Self { region, clock, client }
    }

    fn answers(&self, answers: impl IntoIterator<Item = Next>) {
        self.region.script.lock().unwrap().extend(answers);
    }

    /// How many requests came since the last time.
    fn asked(&self) -> usize {
        std::mem::take(&mut *self.region.asked.lock().unwrap()).len()
    }

    fn passes(&self, millis: i64) {
        self.clock.0.fetch_add(millis, Ordering::Relaxed);
    }

    async fn version(&self) -> u64 {
        self.client.video(&acme(), &film()).await.unwrap().unwrap().version
    }
}

fn credentials() -> Credentials {
    Credentials::new("AKIDEXAMPLE", "a-hidden-secret").unwrap()
}

fn reply(reply: &HomeReply) -> Next {
    Next::Answer(Response::new(reply.to_json().into()))
}

fn ok(answer: HomeAnswer) -> Next {
    reply(&HomeReply::Ok(answer))
}

fn raw(status: u16, body: &str) -> Next {
    Next::Answer(Response::builder().status(status).body(Bytes::from(body.to_owned())).unwrap())
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

fn seen(version: u64) -> Next {
    ok(HomeAnswer::Video(Some(status(version))))
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
    let world = World::with(config);
    let key = ApiKey::generate("live", [7; 32]).unwrap().hash();
    world.answers([ok(HomeAnswer::Tenant(None))]);
    assert_eq!(world.client.tenant(&key).await.unwrap(), None);
    let asked = world.region.asked.lock().unwrap().remove(0);
    assert_eq!(asked.method(), "POST");
    assert_eq!(asked.uri(), "https://api.example:8443/prod/home");
    assert_eq!(asked.headers()["content-type"], "application/json");
    assert_eq!(asked.headers()["x-amz-date"], "20260102T030405Z");
    let authorization = asked.headers()["authorization"].to_str().unwrap();
    let expected = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/eu-west-1/execute-api/aws4_request, \
                    SignedHeaders=content-type;host;x-amz-date, Signature=";
    assert!(authorization.starts_with(expected), "{authorization}");
    assert_eq!(serde_json::from_slice::<HomeCall>(asked.body()).unwrap(), HomeCall::Tenant { key });
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let refused = |change: fn(&mut HomeConfig)| {
        let mut config = HomeConfig::new("https://home.example", "eu-west-1", credentials());
        change(&mut config);
        HomeClient::new(config, Arc::new(Region::default()), Arc::new(Hand::default())).unwrap_err()
    };
    assert_eq!(refused(|it| it.base_url = "home.example".to_owned()), InvalidHomeConfig::BaseUrl);
    assert_eq!(refused(|it| it.base_url = "https://u:p@home.example".to_owned()), InvalidHomeConfig::BaseUrl);
    assert_eq!(refused(|it| it.base_url = "https://home.example?a".to_owned()), InvalidHomeConfig::BaseUrl);
    assert_eq!(refused(|it| it.most_statuses = 0), InvalidHomeConfig::MostStatuses);
    assert!(matches!(refused(|it| it.region = "a/b".to_owned()), InvalidHomeConfig::Signing(_)));
}

#[tokio::test]
async fn a_call_without_an_answer_is_made_once_more_and_an_answered_one_is_not() {
    let world = World::new();
    world.answers([Next::Lost, seen(1)]);
    assert_eq!(world.version().await, 1);
    let asked = std::mem::take(&mut *world.region.asked.lock().unwrap());
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].body(), asked[1].body());

    world.passes(10_000);
    world.answers([Next::Lost, Next::Lost]);
    let error = world.client.video(&acme(), &film()).await.unwrap_err();
    assert_eq!(
        chain(&error),
        "the view is not available: the home region did not answer: the request got no answer: connection reset"
    );
    assert_eq!(world.asked(), 2);

    for (code, body) in [(500, ""), (502, "<html>"), (503, r#"{"error":{"kind":"unavailable"}}"#), (429, "")]
    {
        world.answers([raw(code, body)]);
        let error = world.client.video(&acme(), &film()).await.unwrap_err();
        let status = StatusCode::from_u16(code).unwrap();
        let expected =
            format!("the view is not available: the home region is not available: it answered {status}");
        assert_eq!((chain(&error), world.asked()), (expected, 1));
    }
}

/// The commit's id makes it safe: the log has it or has it not.
#[tokio::test]
async fn a_fact_whose_answer_was_lost_is_recorded_under_the_same_id() {
    let world = World::new();
    let event = RecordedEvent::new(world.clock.now(), &ProjectCreated { name: None }.into());
    let new = NewCommit { id: commit(), events: vec![event.clone()], recorded_at: world.clock.now() };
    world.answers([Next::Lost, ok(HomeAnswer::Recorded(Some(event.clone())))]);
    let recorded = world.client.record(&StreamId::Project(acme()), new).await.unwrap();
    assert_eq!(recorded, Recorded::Repeated(event));
    assert_eq!(world.asked(), 2);
}

#[tokio::test]
async fn a_status_is_remembered_for_two_seconds_from_the_question() {
    let world = World::new();
    world.answers([seen(1)]);
    assert_eq!(world.version().await, 1);
    world.passes(1999);
    assert_eq!(world.version().await, 1);
    assert_eq!(world.asked(), 1);
    world.passes(1);
    world.answers([seen(2)]);
    assert_eq!(world.version().await, 2);
    assert_eq!(world.asked(), 1);

    // A region that has not caught up takes nobody back, and is asked again.
    world.passes(2000);
    world.answers([seen(1), seen(3)]);
    assert_eq!(world.version().await, 2);
    assert_eq!(world.version().await, 3);
    assert_eq!(world.asked(), 2);
}

#[tokio::test]
async fn that_there_is_no_video_is_not_remembered_and_one_project_s_status_is_no_other_s() {
    let world = World::new();
    world.answers([ok(HomeAnswer::Video(None)), seen(1), ok(HomeAnswer::Video(None))]);
    assert_eq!(world.client.video(&acme(), &film()).await.unwrap(), None);
    assert_eq!(world.version().await, 1);
    assert_eq!(world.client.video(&"globex".parse().unwrap(), &film()).await.unwrap(), None);
    assert_eq!(world.asked(), 3);
}

#[tokio::test]
async fn a_command_s_answer_takes_the_place_of_what_was_remembered() {
    let world = World::new();
    world.answers([seen(1), ok(HomeAnswer::Command(status(2)))]);
    assert_eq!(world.version().await, 1);
    world.client.delete(&acme(), &film(), &commit()).await.unwrap();
    assert_eq!(world.version().await, 2);
    assert_eq!(world.asked(), 2);

    // Nobody knows what became of these: ask.
    for failure in [raw(500, ""), raw(200, "{"), ok(HomeAnswer::Tenant(None))] {
        world.answers([failure, seen(3)]);
        let error = world.client.reprocess(&acme(), &film(), &commit()).await.unwrap_err();
        assert!(matches!(error, CommandError::Unavailable(_)), "{error:?}");
        assert_eq!(world.version().await, 3);
        assert_eq!(world.asked(), 2);
    }
}

#[tokio::test]
async fn refusals_of_the_home_region_are_the_port_s_own() {
    let world = World::new();
    let text = "the video is deleted; upload it again".to_owned();
    world.answers([
        reply(&HomeReply::Error(HomeError::Conflict { text: text.clone() })),
        reply(&HomeReply::Error(HomeError::NotFound)),
        reply(&HomeReply::Error(HomeError::InvalidCursor)),
        reply(&HomeReply::Error(HomeError::NotFound)),
    ]);
    let conflict = world.client.reprocess(&acme(), &film(), &commit()).await;
    assert!(matches!(conflict, Err(CommandError::Conflict(told)) if told == text));
    let missing = world.client.delete(&acme(), &film(), &commit()).await;
    assert!(matches!(missing, Err(CommandError::NotFound)));
    let cursor = world.client.feed(&acme(), Some("x"), 5).await.unwrap_err();
    assert_eq!(chain(&cursor), "not a cursor of this list");
    let odd = world.client.feed(&acme(), None, 5).await.unwrap_err();
    assert!(
        chain(&odd).ends_with("it is an error of another call: the project has no such video"),
        "{odd:?}"
    );
}

#[tokio::test]
async fn what_is_no_answer_to_the_call_is_told_as_such() {
    let world = World::new();
    let large = format!(r#"{{"ok":{{"video":null}}}}{}"#, " ".repeat(MAX_ANSWER_BYTES));
    for (answer, told) in [
        (
            raw(200, ""),
            "the home region's answer cannot be used: EOF while parsing a value at line 1 column 0",
        ),
        (raw(200, "<html>"), "the home region's answer cannot be used: expected value at line 1 column 1"),
        (raw(200, &large), "the home region's answer cannot be used: it has 524309 bytes, more than 524288"),
        (
            ok(HomeAnswer::Recalled(None)),
            "the home region's answer cannot be used: it is the answer `recalled` to another call",
        ),
        (
            raw(403, r#"{"Message":"Credential=AKIDEXAMPLE is not authorized"}"#),
            "the home region refused the call with 403 Forbidden: the answer is not the home region's own",
        ),
        (
            raw(403, r#"{"error":{"kind":"refused","text":"sign it"}}"#),
            "the home region refused the call with 403 Forbidden: sign it",
        ),
        (
            raw(302, ""),
            "the home region refused the call with 302 Found: the answer is not the home region's own",
        ),
    ] {
        world.answers([answer]);
        let error = world.client.video(&acme(), &film()).await.unwrap_err();
        assert_eq!(chain(&error), format!("the view is not available: {told}"));
        assert_eq!(world.asked(), 1);
    }
}

/// Whatever is wrong on the other side, no project sees another one's videos.
#[tokio::test]
async fn an_answer_about_another_project_or_video_is_no_answer() {
    let world = World::new();
    let mut other_project = status(1);
    other_project.project_id = "globex".parse().unwrap();
    let mut other_video = status(1);
    other_video.video_id = VideoId::of(&"projects/acme/other".parse().unwrap());
    for foreign in [other_project.clone(), other_video] {
        world.answers([
            ok(HomeAnswer::Video(Some(foreign.clone()))),
            ok(HomeAnswer::Video(Some(foreign.clone()))),
            ok(HomeAnswer::Command(foreign.clone())),
        ]);
        let (at, view) = (world.clock.now(), "it is about another project or video than was asked for");
        assert!(chain(&world.client.video(&acme(), &film()).await.unwrap_err()).ends_with(view));
        assert!(chain(&world.client.video_as_of(&acme(), &film(), at).await.unwrap_err()).ends_with(view));
        assert!(chain(&world.client.delete(&acme(), &film(), &commit()).await.unwrap_err()).ends_with(view));
    }
    let event = |project: &str| {
        let value = serde_json::json!({
            "specversion": "1.0", "id": format!("video/{project}/{}/1", film()), "source": format!("/projects/{project}"),
            "type": "video.deleted", "time": "2026-01-02T03:04:05Z", "recordedtime": "2026-01-02T03:04:05Z",
            "streamversion": 1, "dataversion": 1,
        });
        HomePage { data: vec![serde_json::from_value(value).unwrap()], next: None }
    };
    world.answers([
        ok(HomeAnswer::Videos(HomePage { data: vec![status(1), other_project], next: None })),
        ok(HomeAnswer::Feed(event("globex"))),
        ok(HomeAnswer::VideoEvents(Some(event("globex")))),
        ok(HomeAnswer::Feed(event("acme"))),
        ok(HomeAnswer::VideoEvents(Some(event("acme")))),
    ]);
    let filter = VideoFilter::default();
    assert!(world.client.list(&acme(), &filter, None, 5).await.is_err());
    assert!(world.client.feed(&acme(), None, 5).await.is_err());
    assert!(world.client.video_events(&acme(), &film(), None, 5).await.is_err());
    assert_eq!(world.client.feed(&acme(), None, 5).await.unwrap().data.len(), 1);
    let events = world.client.video_events(&acme(), &film(), None, 5).await.unwrap();
    assert_eq!(events.unwrap().data.len(), 1);
}

#[tokio::test]
async fn nothing_that_is_shown_holds_a_secret() {
    let world = World::new();
    world.answers([Next::Lost, Next::Lost]);
    let error = world.client.video(&acme(), &film()).await.unwrap_err();
    let config = HomeConfig::new("https://home.example", "eu-west-1", credentials());
    let shown = format!("{:?} {error:?} {config:?}", world.client);
    assert!(!shown.contains("hidden") && !shown.contains("Signature"), "{shown}");
    assert_eq!(config.statuses_for, Duration::from_secs(2));
}
