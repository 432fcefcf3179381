//! Dead letters of a running platform.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use streamio_events::commit::NewCommit;
use streamio_events::event::RecordedEvent;
use streamio_events::id::{CommitId, VideoId};
use streamio_events::log::{EventLog as _, Expected};
use streamio_events::object_key::SourceKey;
use streamio_events::sqlite::SqliteLog;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

use crate::harness::TestPlatform;

/// The result of a command on the platform's data directory: its exit code, its JSON, and standard error.
async fn run(platform: &TestPlatform, arguments: &[&str]) -> (Option<i32>, Value, String) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_streamio"));
    command.args(["dead-letters"]).args(arguments).arg("--json").arg("--data").arg(platform.data());
    let output = command.output().await.unwrap();
    let json = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), json, String::from_utf8(output.stderr).unwrap())
}

/// Appends a commit that no release can understand.
async fn poison(platform: &TestPlatform) {
    let s3_key: SourceKey = "projects/acme/poisoned.mp4".parse().unwrap();
    let stream = StreamId::Video(s3_key.project_id().clone(), VideoId::of(&s3_key));
    let at = Timestamp::from_unix_millis(1_800_000_000_000);
    let data = json!({ "generation": "first" });
    let event = RecordedEvent { kind: "upload.completed".to_owned(), version: 1, at, data, fact: None };
    let commit = NewCommit { id: CommitId::derived_from(&["poison"]), events: vec![event], recorded_at: at };
    let log = SqliteLog::open(platform.data().join("log.db")).unwrap();
    log.append(&stream, Expected::Exactly(0), commit).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_cannot_be_understood_is_listed_shown_and_stays_after_a_redrive() {
    let mut platform = TestPlatform::start().await;
    poison(&platform).await;
    let began = Instant::now();
    let listed = loop {
        let (code, json, _) = run(&platform, &["list"]).await;
        assert_eq!(code, Some(0));
        let listed = json["data"].as_array().unwrap().clone();
        if listed.len() == 2 {
            break listed;
        }
        assert!(began.elapsed() < Duration::from_mins(1), "{listed:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let mut functions: Vec<_> = listed.iter().map(|it| it["function"].as_str().unwrap()).collect();
    functions.sort_unstable();
    assert_eq!(functions, ["react", "views"]);
    let id = listed[0]["id"].as_str().unwrap();
    let (code, shown, _) = run(&platform, &["show", functions[0], id]).await;
    assert_eq!((code, &shown["payload"]["events"][0]["type"]), (Some(0), &json!("upload.completed")));

    let (code, redriven, stderr) = run(&platform, &["redrive", "--all"]).await;
    assert_eq!((code, &redriven["handled"]), (Some(1), &json!(0)), "{redriven} {stderr}");
    assert_eq!(redriven["failed"].as_array().unwrap().len(), 2, "{redriven}");
    assert!(stderr.contains("2 dead letters could not be handled and stay"), "{stderr}");
    let (_, left, _) = run(&platform, &["list"]).await;
    assert_eq!(left["data"].as_array().unwrap().len(), 2);

    platform.stop().await;
    let (code, _, stderr) = run(&platform, &["redrive", functions[0], id]).await;
    assert_eq!(code, Some(5), "{stderr}");
    assert!(stderr.contains("no platform runs on"), "{stderr}");
}
