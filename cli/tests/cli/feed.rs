//! `events feed`: a project's events through the API.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use crate::fake_server::{FakeServer, Fault};
use crate::run::client;
use crate::video::call;

fn event(number: u32) -> Value {
    json!({"specversion": "1.0", "id": format!("video/acme/x/{number}"), "type": "video.ready"})
}

#[tokio::test]
async fn all_pages_are_printed_with_one_event_per_line_and_the_position_to_continue_from() {
    let server = FakeServer::start().await;
    assert_eq!(call(&server, &["events", "feed"]).await.ok().stderr, "");
    server.state().events = (1..=3).map(event).collect();
    let run = call(&server, &["events", "feed"]).await.ok();
    let lines: Vec<Value> = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, [event(1), event(2), event(3)]);
    assert_eq!(run.stderr, "Continue with --after 3\n");

    server.state().events.push(event(4));
    let run = call(&server, &["events", "feed", "--after", "3", "--quiet"]).await.ok();
    assert_eq!((run.stdout, run.stderr), (format!("{}\n", event(4)), String::new()));
    assert_eq!(server.requests("GET /events").last().unwrap().target, "/events?limit=100&after=3");
}

#[tokio::test]
async fn follow_waits_for_new_events_from_the_position_until_it_is_interrupted() {
    let (server, state) = (FakeServer::start().await, tempfile::tempdir().unwrap());
    server.state().events = vec![event(1)];
    let mut command = client(&server, state.path(), &["events", "feed", "--follow"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next =
        async || serde_json::from_str::<Value>(&lines.next_line().await.unwrap().unwrap()).unwrap();
    assert_eq!(next().await, event(1));
    // An outage in between neither ends it nor loses or repeats an event.
    server.inject("GET /events", [Fault::CutBefore]);
    server.state().events.push(event(2));
    assert_eq!(next().await, event(2));
    server.state().events.push(event(3));
    assert_eq!(next().await, event(3));
    crate::upload::interrupt(&child);
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).await.unwrap();
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
    assert!(stderr.ends_with("Continue with --after 3\n"), "{stderr}");
}
