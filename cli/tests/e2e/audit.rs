//! What a tenant checks of its audit log, against a real platform.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::commands::error_of;
use crate::harness::{TestPlatform, json_of};

/// Much longer than the time between two checkpoints.
const TIMEOUT: Duration = Duration::from_mins(2);

async fn watch(platform: &TestPlatform, state: &Path) -> std::process::Output {
    platform.client(&["audit", "watch", "--state", state.to_str().unwrap()]).await
}

/// Waits until there is a checkpoint that `is_wanted`, by the size in its second line.
async fn until_checkpoint(platform: &TestPlatform, is_wanted: impl Fn(u64) -> bool) -> u64 {
    let started_at = Instant::now();
    loop {
        let url = format!("{}/audit/checkpoint", platform.api);
        let response = platform.http.get(url).header("x-api-key", &platform.key).send().await.unwrap();
        let note = response.text().await.unwrap();
        if let Some(size) = note.lines().nth(1).and_then(|size| size.parse().ok())
            && is_wanted(size)
        {
            return size;
        }
        assert!(started_at.elapsed() < TIMEOUT, "no such checkpoint: {note}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Writes an export and the kept checkpoint, and compares them.
async fn check_export(platform: &TestPlatform, state: &Path, format: &str) -> std::process::Output {
    let (export, checkpoint) = (
        platform.directory.path().join("archive.jsonl.zst"),
        platform.directory.path().join("kept.checkpoint"),
    );
    let archive = ["events", "export", "--format", format, "--output", export.to_str().unwrap()];
    platform.operate(&archive).await;
    let state: Value = serde_json::from_slice(&std::fs::read(state).unwrap()).unwrap();
    std::fs::write(&checkpoint, state["checkpoint"].as_str().unwrap()).unwrap();
    let (export, checkpoint) = (export.to_str().unwrap(), checkpoint.to_str().unwrap());
    let key = state["publicKey"].as_str().unwrap();
    platform.client(&["audit", "check-export", export, "--checkpoint", checkpoint, "--public-key", key]).await
}

/// A restored backup loses what was recorded after it, and the log then forks from the checkpoints that were signed meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_sees_that_the_log_grows_and_that_it_has_forked() {
    let mut platform = TestPlatform::start().await;
    let scratch = tempfile::tempdir().unwrap();
    let (backup, state) = (scratch.path().join("backup"), scratch.path().join("acme.audit.json"));
    let first = until_checkpoint(&platform, |_| true).await;
    let seen = json_of(&watch(&platform, &state).await);
    assert_eq!((&seen["from"], &seen["to"]), (&Value::Null, &first.into()));
    platform.operate(&["backup", backup.to_str().unwrap()]).await;

    platform.operate(&["key", "create", "acme", "--scope", "read"]).await;
    let second = until_checkpoint(&platform, |size| size > first).await;
    let seen = json_of(&watch(&platform, &state).await);
    assert_eq!((&seen["from"], &seen["to"]), (&first.into(), &second.into()));
    let seen = json_of(&watch(&platform, &state).await);
    assert_eq!((&seen["from"], &seen["to"]), (&second.into(), &second.into()));
    let checked = json_of(&check_export(&platform, &state, "commits").await);
    assert_eq!((&checked["size"], &checked["findings"]), (&second.into(), &Value::Array(vec![])));
    let (code, error) = error_of(&check_export(&platform, &state, "cloudevents").await);
    assert_eq!(code, Some(1), "{error}");
    assert!(error["hint"].as_str().unwrap().contains("events export --format commits"), "{error}");

    platform.stop().await;
    std::fs::rename(platform.data(), scratch.path().join("lost")).unwrap();
    platform.operate(&["restore", backup.to_str().unwrap()]).await;
    platform.restart().await;
    let kept = std::fs::read(&state).unwrap();
    for scope in ["read", "upload", "playback"] {
        platform.operate(&["key", "create", "acme", "--scope", scope]).await;
    }
    until_checkpoint(&platform, |size| size > second).await;
    let forked = watch(&platform, &state).await;
    let (code, error) = error_of(&forked);
    assert_eq!((code, &error["kind"]), (Some(7), &"forked".into()), "{error}");
    let printed: Value = serde_json::from_slice(&forked.stdout).unwrap();
    let kept_state: Value = serde_json::from_slice(&kept).unwrap();
    assert_eq!((&printed["forked"], &printed["kept"]), (&true.into(), &kept_state["checkpoint"]));
    assert!(printed["new"].as_str().unwrap().contains("/acme\n"), "{printed}");
    assert_eq!(std::fs::read(&state).unwrap(), kept, "the kept checkpoint is the proof");
    let (code, error) = error_of(&check_export(&platform, &state, "commits").await);
    assert_eq!(code, Some(1), "{error}");
}
