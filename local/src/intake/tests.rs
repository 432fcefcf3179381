use http::Request;
use serde_json::Value;
use streamio_core::intake::Intake as LogIntake;
use streamio_events::event::RecordedEvent;
use streamio_events::id::CommitId;
use streamio_events::log::EventLogExt as _;
use streamio_events::memory::MemoryLog;
use streamio_events::stream::StreamId;

use super::*;

fn stream(number: usize) -> StreamId {
    format!("grants/acme/2026010203/{number}").parse().unwrap()
}

fn fact(of: usize, name: &str) -> Fact {
    let at = clock::now();
    let event = RecordedEvent {
        kind: "test.noted".to_owned(),
        version: 1,
        at,
        data: json!({ "name": name }),
        fact: None,
    };
    let id = CommitId::derived_from(&[name]);
    Fact::new(stream(of), NewCommit { id, events: vec![event], recorded_at: at }).unwrap()
}

/// Sends `facts` as one `PutRecords` request and returns the response's body.
async fn put(intake: &Intake, facts: &[Fact]) -> Value {
    let records: Vec<Value> = facts
        .iter()
        .map(|fact| json!({ "Data": BASE64.encode(fact.json().as_bytes()), "PartitionKey": "p" }))
        .collect();
    let body = json!({ "StreamName": STREAM_NAME, "Records": records }).to_string();
    let (head, ()) = Request::post("/").header("x-amz-target", TARGET).body(()).unwrap().into_parts();
    let response = intake.handle(&head, body.as_bytes()).await;
    assert_eq!(response.status(), StatusCode::OK);
    serde_json::from_slice(response.body()).unwrap()
}

async fn names(log: &MemoryLog, of: usize) -> Vec<String> {
    let commits = log.read_to_end(&stream(of), 1).await.unwrap();
    let events = commits.into_iter().flat_map(|commit| commit.events);
    events.map(|event| event.data["name"].as_str().unwrap().to_owned()).collect()
}

/// Facts are also merged by calls of the home region. The intake must detect them.
#[tokio::test]
async fn a_fact_that_was_merged_with_others_is_not_recorded_again() {
    let log = MemoryLog::new();
    let facts = [fact(0, "a"), fact(0, "b"), fact(0, "c")];
    let merged: Vec<_> = facts[..2].iter().map(Fact::commit).collect();
    let outcome = LogIntake::new(Arc::new(log.clone())).record_facts(&stream(0), &merged, clock::now()).await;
    assert!(outcome.failure.is_none());
    assert_eq!(log.read_to_end(&stream(0), 1).await.unwrap().len(), 1, "one commit for both");

    let intake = Intake::new(Arc::new(log.clone()), clock::now());
    let response = put(&intake, &facts).await;
    assert_eq!(response["FailedRecordCount"], 0);
    assert_eq!(names(&log, 0).await, ["a", "b", "c"]);
}

#[tokio::test]
async fn the_facts_of_one_stream_in_one_request_are_one_commit() {
    let log = MemoryLog::new();
    let intake = Intake::new(Arc::new(log.clone()), clock::now());
    put(&intake, &[fact(0, "a"), fact(1, "x"), fact(0, "b"), fact(0, "a")]).await;
    assert_eq!(
        (names(&log, 0).await, names(&log, 1).await),
        (vec!["a".into(), "b".into()], vec!["x".into()])
    );
    assert_eq!(log.read_to_end(&stream(0), 1).await.unwrap().len(), 1);
}
