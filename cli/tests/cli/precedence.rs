//! A flag takes precedence over an environment variable.

use std::path::Path;

use crate::fake_server::FakeServer;
use crate::run::{Run, api_key, run, streamio};

/// Runs the program with environment variables that are all wrong.
async fn with_wrong_variables(directory: &Path, arguments: &[&str]) -> Run {
    let mut command = streamio(arguments);
    command
        .current_dir(directory)
        .env("STREAMIO_URL", "http://127.0.0.1:1/wrong")
        .env("STREAMIO_API_KEY", "wrong")
        .env("STREAMIO_DATA", "/nowhere/data")
        .env("STREAMIO_EDGE_WORKER", "/nowhere/worker")
        .env("RUST_LOG", "trace");
    run(command).await
}

#[tokio::test]
async fn the_flags_of_the_api_take_precedence() {
    let (server, scratch) = (FakeServer::start().await, tempfile::tempdir().unwrap());
    let (key, file) = (api_key(), scratch.path().join("key"));
    std::fs::write(&file, key.reveal()).unwrap();
    let list = ["video", "list", "--url", server.url()];
    for flag in [["--api-key", key.reveal()], ["--api-key-file", file.to_str().unwrap()]] {
        with_wrong_variables(scratch.path(), &[&list[..], &flag].concat()).await.ok();
    }
    let requests = server.requests("GET /videos");
    assert_eq!(requests.len(), 2);
    assert!(requests.iter().all(|request| request.headers["x-api-key"] == key.reveal()));
}

#[tokio::test]
async fn two_flags_for_the_key_are_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let run = with_wrong_variables(
        scratch.path(),
        &["video", "list", "--api-key", api_key().reveal(), "--api-key-file", "key"],
    )
    .await;
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("cannot be used with"), "{run:?}");
}

#[tokio::test]
async fn the_data_flag_takes_precedence() {
    let scratch = tempfile::tempdir().unwrap();
    with_wrong_variables(scratch.path(), &["project", "create", "acme", "--data", "here"]).await.ok();
    assert!(scratch.path().join("here/log.db").is_file());
}

#[tokio::test]
async fn the_flag_for_the_worker_takes_precedence() {
    let scratch = tempfile::tempdir().unwrap();
    let arguments = ["up", "--port", "0", "--data", "data", "--edge", "workerd", "--edge-worker", "/here"];
    let run = with_wrong_variables(scratch.path(), &arguments).await;
    assert!(run.stderr.contains("there is no /here/index.js"), "{run:?}");
}
