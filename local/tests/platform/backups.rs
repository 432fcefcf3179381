//! A backup of a running platform, from which a destroyed data directory is restored.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use streamio_local::backup::{Report, back_up, restore};
use streamio_local::operator::{IfMissing, Operator};
use streamio_local::platform::{Platform, RAW_BUCKET};
use streamio_local::s3::{Store, StoreOptions};

use super::archive::archive;
use super::{TestPlatform, config, send, until};

/// Uploads and deletes videos until `stop`, counting the rounds.
async fn upload_and_delete(test: &TestPlatform, rounds: &AtomicU64, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let id = test.upload(&format!("short-{}.mp4", rounds.load(Ordering::Relaxed))).await;
        test.until_received(&id).await;
        test.call("DELETE", &format!("/videos/{id}"), "").await;
        rounds.fetch_add(1, Ordering::Relaxed);
    }
}

/// All commits of the log.
async fn exported(data: &Path) -> Vec<Value> {
    let operator = Operator::open(data, IfMissing::Fail).unwrap();
    let mut found = streamio_local::operator::Verification::default();
    operator.verify(|_, _| (), &mut found).await.unwrap();
    assert_eq!(found.findings, [""; 0]);
    let export = archive(&operator, tempfile::tempdir().unwrap().path()).await;
    export.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The contents of all versions of a source, the oldest first.
async fn versions(data: &Path, key: &str) -> Vec<Bytes> {
    let ids: Vec<String> = {
        let index = rusqlite::Connection::open(data.join("s3/objects.db")).unwrap();
        let query = "SELECT version_id FROM objects WHERE bucket = 'raw' AND key = ?1 ORDER BY sequencer";
        let mut statement = index.prepare(query).unwrap();
        statement.query_map([key], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let store = Store::open(data.join("s3"), StoreOptions::default()).await.unwrap();
    let mut contents = Vec::new();
    for id in ids {
        let object = store.get_version(RAW_BUCKET, key, &id).await.unwrap().unwrap();
        let size = object.meta().size;
        let chunks: Vec<Bytes> = futures::TryStreamExt::try_collect(object.stream(0..size)).await.unwrap();
        contents.push(chunks.concat().into());
    }
    store.close().await;
    contents
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_is_restored_from_a_backup_that_was_made_while_it_received_and_deleted_videos() {
    let test = TestPlatform::start().await;
    let kept = test.upload("kept.mp4").await;
    test.until_received(&kept).await;
    let again = json!({ "filename": "kept.mp4", "overwrite": true }).to_string();
    let granted = test.call("POST", "/upload-url", &again).await;
    let (authority, path) =
        granted["uploadUrl"].as_str().unwrap().strip_prefix("http://").unwrap().split_once('/').unwrap();
    let request = Request::put(format!("/{path}")).body(Bytes::from_static(b"another film")).unwrap();
    assert_eq!(send(authority, request).await.status(), 200);
    until("the second upload is received", async || {
        test.call("GET", &format!("/videos/{kept}"), "").await["generation"] == 2
    })
    .await;

    let data = test.platform.data_dir().path().to_owned();
    let scratch = tempfile::tempdir().unwrap();
    let backup = scratch.path().join("backup");
    let (rounds, stop) = (Arc::new(AtomicU64::new(0)), AtomicBool::new(false));
    let report: Report = Arc::new(|_, _| ());
    let others = upload_and_delete(&test, &rounds, &stop);
    let backing_up = async {
        until("others upload", async || rounds.load(Ordering::Relaxed) > 2).await;
        let before = rounds.load(Ordering::Relaxed);
        let made = back_up(&data, &backup, Arc::clone(&report)).await.unwrap();
        until("others went on", async || rounds.load(Ordering::Relaxed) > before).await;
        stop.store(true, Ordering::Relaxed);
        made
    };
    let (made, ()) = tokio::join!(backing_up, others);
    let TestPlatform { directory, platform, key } = test;
    platform.run_until(async {}).await;
    let original = exported(&data).await;
    let kept_key = "projects/acme/kept.mp4";
    let expected = versions(&data, kept_key).await;
    assert_eq!(expected, ["no film", "another film"]);

    std::fs::remove_dir_all(&data).unwrap();
    restore(&backup, &data, report).await.unwrap();
    let restored = exported(&data).await;
    let count = usize::try_from(made.contents.commits).unwrap();
    assert!(count > 4 && restored.len() == count, "{count}");
    assert_eq!(restored, original[..count], "the log as it was at one moment");
    assert_eq!(versions(&data, kept_key).await, expected);

    let platform = Platform::start(config(&data)).await.unwrap();
    let test = TestPlatform { directory, platform, key };
    let video = test.call("GET", &format!("/videos/{kept}"), "").await;
    assert_eq!(video["generation"], 2, "{video}");
    let new = test.upload("new.mp4").await;
    test.until_received(&new).await;
    test.platform.run_until(async {}).await;
}
