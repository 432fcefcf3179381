//! Tests of the home region on DynamoDB, called with the events of a function URL.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use streamio_core::fold_cache::{ProjectCache, WebhookFolds};
use streamio_core::home_region::{HomePorts, HomeRegion, WebhookPorts};
use streamio_core::intake::Intake;
use streamio_core::ports::kv_namespace::{KvNamespace, KvNamespaceError};
use streamio_core::views::projection::{self, project};
use streamio_core::webhooks::keys::WebhookKeys;
use streamio_events::api_key::ApiKey;
use streamio_events::commit::NewCommit;
use streamio_events::dynamo::{DynamoLog, ledger_table};
use streamio_events::emulators::LocalDynamo;
use streamio_events::event::{EventBody, KeyCreated, ProjectCreated, Scope, UploadGranted};
use streamio_events::fact::Fact;
use streamio_events::fault::{Fault, FaultyLog};
use streamio_events::id::{CommitId, GrantId, VideoId};
use streamio_events::log::{EventLog as _, EventLogExt as _, Expected};
use streamio_events::object_key::SourceKey;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::Policy;
use streamio_events::webhook::endpoint_url::Rules;
use streamio_lambdas::adapters::dynamo::{DynamoViews, create_views_table};
use streamio_lambdas::triggers::function_url;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix_seconds(1_767_323_045).plus(Duration::from_secs(seconds))
}

fn source_key(name: &str) -> SourceKey {
    format!("projects/acme/{name}").parse().unwrap()
}

fn video_id(name: &str) -> VideoId {
    VideoId::of(&source_key(name))
}

fn stream_of(name: &str) -> StreamId {
    StreamId::Video("acme".parse().unwrap(), video_id(name))
}

fn api_key() -> ApiKey {
    ApiKey::generate("test", [7; 32]).unwrap()
}

/// Returns an upload grant as a fact.
fn grant(name: &str, cause: &str, seconds: u64) -> Fact {
    let body = UploadGranted {
        grant_id: GrantId::derived_from(&[cause.as_bytes()]),
        s3_key: source_key(name),
        expires_at: at(900),
        key_id: api_key().hash().key_id(),
        content_type: None,
        size: None,
        sha256: None,
        overwrite: true,
        multipart: false,
        upload_id: None,
        metadata: BTreeMap::new(),
    };
    let commit = NewCommit::new(CommitId::derived_from(&[cause]), at(seconds), [body.into()]);
    Fact::new(stream_of(name), commit).unwrap()
}

/// A key-value store that discards its records.
struct DiscardingKv;

#[async_trait]
impl KvNamespace for DiscardingKv {
    async fn put_all(&self, _: Vec<(String, String)>) -> Result<(), KvNamespaceError> {
        Ok(())
    }
}

/// A home region on a local DynamoDB, with a clock that tests set.
struct HomeHarness {
    log: Arc<FaultyLog<DynamoLog>>,
    views: Arc<DynamoViews>,
    region: HomeRegion,
    /// The region's clock.
    now: Arc<Mutex<Timestamp>>,
    _dynamo: LocalDynamo,
}

impl HomeHarness {
    async fn new() -> Self {
        let dynamo = LocalDynamo::start().expect("dynoxide starts");
        let client = dynamo.client();
        ledger_table("ledger").send_with(&client).await.expect("the ledger's table is created");
        create_views_table(&client, "views").await.expect("the views' table is created");
        let log = Arc::new(FaultyLog::scripted(DynamoLog::new(client.clone(), "ledger"), []));
        let views = Arc::new(DynamoViews::new(client, "views", Arc::<FaultyLog<DynamoLog>>::clone(&log)));
        let now = Arc::new(Mutex::new(at(1000)));
        let clock = {
            let now = Arc::clone(&now);
            move || *now.lock().unwrap()
        };
        let region = HomeRegion::new(HomePorts {
            webhooks: WebhookPorts {
                endpoints: Arc::default(),
                deliveries: Arc::<DynamoViews>::clone(&views),
                keys: WebhookKeys::new(&[1; 32]).unwrap(),
                urls: Rules::default(),
                feed: Arc::<DynamoViews>::clone(&views),
                places: Arc::<DynamoViews>::clone(&views),
            },
            audit: None,
            log: Arc::<FaultyLog<DynamoLog>>::clone(&log),
            views: Arc::<DynamoViews>::clone(&views),
            feed: Arc::<DynamoViews>::clone(&views),
            tenants: Arc::<DynamoViews>::clone(&views),
            usage: Arc::<DynamoViews>::clone(&views),
            policy: Policy::new("raw", "processed"),
            clock: Arc::new(clock),
        });
        Self { log, views, region, now, _dynamo: dynamo }
    }

    async fn append(&self, stream: &StreamId, cause: &str, body: impl Into<EventBody>) {
        let commit = NewCommit::new(CommitId::derived_from(&[cause]), at(0), [body.into()]);
        self.log.append(stream, Expected::Any, commit).await.unwrap();
    }

    /// Projects all commits of the log, as the function `views` does.
    async fn project_all(&self) {
        let policy = Policy::new("raw", "processed");
        let views = &*self.views;
        let (folds, projects) = (WebhookFolds::default(), ProjectCache::default());
        let ports = projection::Ports {
            log: &*self.log,
            policy: &policy,
            store: views,
            deliveries: views,
            folds: &folds,
            places: views,
            usage: views,
            projects: &projects,
            tenants: views,
            kv: &DiscardingKv,
            pending: views,
        };
        for commit in self.log.scan_to_end().await.unwrap() {
            project(ports, &commit, &|| at(100)).await.unwrap();
        }
    }

    /// Sends `call` in an event of the function URL. Returns the HTTP status and the reply.
    async fn call(&self, call: Value) -> (u16, Value) {
        self.call_at(call, at(1000)).await
    }

    async fn call_at(&self, call: Value, now: Timestamp) -> (u16, Value) {
        *self.now.lock().unwrap() = now;
        let mut request: Value = serde_json::from_str(include_str!("payloads/function_url.json")).unwrap();
        request["body"] = json!(call.to_string());
        let reply = function_url::handle_request(&self.region, request).await.unwrap();
        (reply.status, serde_json::from_str(&reply.json).unwrap())
    }

    /// Returns the result of a call that succeeds. `name` is the result's name in the reply.
    async fn ok(&self, name: &str, call: Value) -> Value {
        self.ok_at(name, call, at(1000)).await
    }

    async fn ok_at(&self, name: &str, call: Value, now: Timestamp) -> Value {
        let (status, mut reply) = self.call_at(call, now).await;
        assert_eq!(status, 200, "{reply}");
        let result = reply["ok"].as_object_mut().unwrap_or_else(|| panic!("{name} failed"));
        assert_eq!(result.len(), 1);
        result.remove(name).unwrap_or_else(|| panic!("{result:?} has no {name}"))
    }

    async fn error(&self, call: Value) -> (u16, Value) {
        let (status, reply) = self.call(call).await;
        (status, reply["error"].clone())
    }

    async fn record(&self, fact: &Fact) -> Value {
        // Recorded at the time of the fact.
        let now = fact.commit().recorded_at;
        self.ok_at("recorded", json!({ "call": "record", "fact": fact }), now).await
    }

    async fn commits(&self, name: &str) -> usize {
        self.log.read_to_end(&stream_of(name), 1).await.unwrap().len()
    }
}

/// Returns a call about the video `name`.
fn video_call(call: &str, name: &str) -> Value {
    json!({ "call": call, "projectId": "acme", "videoId": video_id(name) })
}

/// Adds `fields` to a call.
fn with(mut call: Value, fields: Value) -> Value {
    let Value::Object(fields) = fields else { panic!("{fields}") };
    call.as_object_mut().unwrap().extend(fields);
    call
}

#[tokio::test]
async fn a_recorded_fact_is_visible_immediately() {
    let home = HomeHarness::new().await;
    let fact = grant("film.mp4", "grant", 0);
    assert_eq!(home.record(&fact).await, Value::Null);
    // Before any view is computed.
    let video = home.ok("video", video_call("video", "film.mp4")).await;
    assert_eq!((&video["state"], &video["s3Key"]), (&json!("waiting"), &json!("projects/acme/film.mp4")));
    home.record(&grant("film.mp4", "another grant", 10)).await;

    let as_of = |seconds| with(video_call("videoAsOf", "film.mp4"), json!({ "at": at(seconds) }));
    assert_eq!(home.ok("video", as_of(5)).await["version"], 1);
    assert_eq!(home.ok("video", as_of(10)).await["version"], 2);
    let before = Timestamp::from_unix_seconds(0);
    assert_eq!(
        home.ok("video", with(video_call("videoAsOf", "film.mp4"), json!({ "at": before }))).await,
        Value::Null
    );
    assert_eq!(home.ok("video", video_call("video", "unknown")).await, Value::Null);
}

#[tokio::test]
async fn lists_and_histories_are_paginated() {
    let home = HomeHarness::new().await;
    for (number, name) in ["a", "b", "c"].iter().enumerate() {
        home.record(&grant(name, name, number as u64)).await;
        home.record(&grant(name, &format!("{name} again"), 10 + number as u64)).await;
    }
    home.project_all().await;
    let mut listed: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for (name, call, limit) in [
        ("videos", json!({ "call": "listVideos", "projectId": "acme", "state": "waiting" }), 2),
        ("videoEvents", video_call("videoEvents", "b"), 1),
        ("feed", json!({ "call": "feed", "projectId": "acme" }), 4),
    ] {
        let mut after = Value::Null;
        loop {
            let mut call = with(call.clone(), json!({ "limit": limit }));
            if !after.is_null() {
                call["after"] = after.clone();
            }
            let page = home.ok(name, call).await;
            let data = page["data"].as_array().unwrap();
            assert!(data.len() <= limit);
            listed.entry(name).or_default().extend(data.iter().cloned());
            after = page["next"].clone();
            if after.is_null() || data.is_empty() {
                break;
            }
        }
    }
    let keys: Vec<&str> = listed["videos"].iter().map(|video| video["s3Key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["projects/acme/c", "projects/acme/b", "projects/acme/a"]);
    assert_eq!(listed["videoEvents"].len(), 2);
    assert_eq!(listed["feed"].len(), 6);
    let none = with(video_call("videoEvents", "unknown"), json!({ "limit": 5 }));
    assert_eq!(home.ok("videoEvents", none).await, Value::Null);
    for call in [
        json!({ "call": "listVideos", "projectId": "acme", "limit": 5 }),
        with(video_call("videoEvents", "b"), json!({ "limit": 5 })),
        json!({ "call": "feed", "projectId": "acme", "limit": 5 }),
    ] {
        let refused = home.error(with(call, json!({ "after": "another list" }))).await;
        assert_eq!(refused, (200, json!({ "kind": "invalidCursor" })));
    }
}

#[tokio::test]
async fn a_key_is_found_after_its_projection() {
    let home = HomeHarness::new().await;
    let stream = StreamId::Project("acme".parse().unwrap());
    let hash = api_key().hash();
    home.append(&stream, "project", ProjectCreated { name: None }).await;
    let created = KeyCreated {
        key_id: hash.key_id(),
        key_hash: hash,
        scopes: vec![Scope::Upload],
        label: None,
        expires_at: None,
    };
    home.append(&stream, "key", created).await;
    let call = json!({ "call": "tenant", "key": hash });
    assert_eq!(home.ok("tenant", call.clone()).await, Value::Null);
    home.project_all().await;
    let tenant = home.ok("tenant", call).await;
    assert_eq!((&tenant["projectId"], &tenant["revoked"]), (&json!("acme"), &json!(false)));
}

#[tokio::test]
async fn a_fact_is_recorded_once_by_calls_and_by_the_intake() {
    let home = HomeHarness::new().await;
    let facts: Vec<Fact> = (0..3).map(|it| grant("film.mp4", &format!("grant {it}"), it)).collect();
    assert_eq!(home.record(&facts[0]).await, Value::Null);
    let first = home.record(&facts[0]).await;
    assert_eq!(first["data"]["grantId"], facts[0].commit().events[0].data["grantId"]);

    // Another intake records the other two, merged. The home region's cache does not contain them.
    let other = Intake::new(Arc::<FaultyLog<DynamoLog>>::clone(&home.log));
    let merged: Vec<&NewCommit> = facts[1..].iter().map(Fact::commit).collect();
    assert!(other.record_facts(&stream_of("film.mp4"), &merged, at(9)).await.failure.is_none());
    for fact in &facts[1..] {
        let event = serde_json::to_value(&fact.commit().events[0]).unwrap();
        assert_eq!(home.record(fact).await, event, "without the id of the merged fact");
        let id = &fact.commit().id;
        let recall = json!({ "call": "recall", "stream": stream_of("film.mp4"), "commitId": id });
        assert_eq!(home.ok("recalled", recall).await, event);
    }
    assert_eq!(home.commits("film.mp4").await, 2);
    let unknown = CommitId::derived_from(&["unknown"]);
    let recall = json!({ "call": "recall", "stream": stream_of("film.mp4"), "commitId": unknown });
    assert_eq!(home.ok("recalled", recall).await, Value::Null);
}

#[tokio::test]
async fn a_command_takes_effect_once_after_a_lost_response() {
    let home = HomeHarness::new().await;
    home.record(&grant("film.mp4", "grant", 0)).await;
    let id = CommitId::derived_from(&["delete"]);
    let delete = with(video_call("deleteVideo", "film.mp4"), json!({ "commitId": id }));
    home.log.plan_appends([Fault::After]);
    assert_eq!(home.error(delete.clone()).await, (503, json!({ "kind": "unavailable" })));
    let status = home.ok("command", delete.clone()).await;
    assert_eq!(status["state"], "deleted");
    assert_eq!(home.ok("command", delete).await, status);
    assert_eq!(home.commits("film.mp4").await, 2);

    let other = json!({ "commitId": CommitId::derived_from(&["reprocess"]) });
    let (status, error) = home.error(with(video_call("reprocessVideo", "film.mp4"), other.clone())).await;
    assert_eq!((status, &error["kind"]), (200, &json!("conflict")));
    assert!(error["text"].as_str().unwrap().contains("deleted"), "{error}");
    let unknown = with(video_call("deleteVideo", "unknown"), other);
    assert_eq!(home.error(unknown).await, (200, json!({ "kind": "notFound" })));
}

#[tokio::test]
async fn an_unavailable_log_is_an_error_and_a_fact_can_be_put_again() {
    let home = HomeHarness::new().await;
    let fact = grant("film.mp4", "grant", 0);
    let record = json!({ "call": "record", "fact": fact });
    home.log.plan_appends([Fault::After]);
    assert_eq!(home.error(record).await, (503, json!({ "kind": "unavailable" })));
    assert_eq!(home.record(&fact).await["type"], "upload.granted");
    assert_eq!(home.commits("film.mp4").await, 1);
    home.log.plan_reads([Fault::Before]);
    assert_eq!(home.error(video_call("video", "film.mp4")).await, (503, json!({ "kind": "unavailable" })));
}

#[tokio::test]
async fn an_invalid_call_is_refused() {
    let home = HomeHarness::new().await;
    let (status, error) = home.error(json!({ "call": "formatDisk" })).await;
    assert_eq!((status, &error["kind"]), (400, &json!("refused")));
    let (status, error) = home.error(json!({ "call": "feed", "projectId": "acme", "limit": 101 })).await;
    assert_eq!(status, 400);
    assert_eq!(error["text"], "`limit` must be 1 to 100, not 101");
}
