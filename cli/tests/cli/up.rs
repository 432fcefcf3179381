use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::run::{run, streamio};

fn up(data: &Path, arguments: &[&str]) -> Command {
    let mut command = streamio(&[&["up", "--port", "0"], arguments].concat());
    command.arg("--data").arg(data);
    command
}

/// Starts a platform on `data`. Returns it with the addresses that it prints.
pub(crate) async fn started(data: &Path) -> (Child, Value) {
    let mut command = up(data, &["--json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let line = BufReader::new(child.stdout.take().unwrap()).lines().next_line().await.unwrap();
    (child, serde_json::from_str(&line.expect("the platform starts")).unwrap())
}

#[tokio::test]
async fn the_platform_prints_its_addresses_and_stops_on_sigterm() {
    let scratch = tempfile::tempdir().unwrap();
    let data = scratch.path().join("data");
    let (mut child, ready) = started(&data).await;
    let names: Vec<_> = ready.as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, ["api", "cdn", "dataDir", "s3"]);
    assert_eq!(ready["dataDir"], data.to_str().unwrap());

    // A project created while it is running can use it immediately.
    let mut create = streamio(&["project", "create", "acme", "--json"]);
    create.arg("--data").arg(&data);
    let created = run(create).await.ok().json();
    let mut list = streamio(&["video", "list", "--json"]);
    list.env("STREAMIO_URL", ready["api"].as_str().unwrap());
    list.env("STREAMIO_API_KEY", created["apiKey"].as_str().unwrap());
    assert_eq!(run(list).await.ok().json()["data"], serde_json::json!([]));

    let id = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    kill_process(id, Signal::TERM).unwrap();
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn a_second_platform_on_one_directory_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let data = scratch.path().join("data");
    let (_child, ready) = started(&data).await;
    let second = run(up(&data, &["--json"])).await;
    assert_eq!((second.code, second.stdout.as_str()), (Some(1), ""));
    let message = second.error()["message"].as_str().unwrap().replace(data.to_str().unwrap(), "DATA");
    insta::assert_snapshot!(message, @"a platform is already running on DATA");

    let port = ready["api"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
    let mut taken = streamio(&["up", "--port", &port]);
    taken.arg("--data").arg(scratch.path().join("other"));
    let taken = run(taken).await;
    assert_eq!(taken.code, Some(1));
    insta::assert_snapshot!(taken.stderr.lines().last().unwrap().replace(&port, "PORT"), @"error: the platform did not start: cannot listen on port PORT; choose another with --port, or 0 for any free one: Address already in use (os error 98)");
}

#[tokio::test]
async fn an_invalid_origin_is_refused_before_anything_is_created() {
    let scratch = tempfile::tempdir().unwrap();
    let data = scratch.path().join("data");
    for invalid in ["app.example.com", "https://app.example.com/", "https://App.example.com", "*"] {
        let run = run(up(&data, &["--cors-origin", invalid])).await;
        assert_eq!(run.code, Some(2), "{run:?}");
        assert!(run.stderr.contains("'--cors-origin <ORIGIN>': must be scheme://host or "), "{run:?}");
    }
    assert!(!data.exists());
}

#[tokio::test]
async fn a_missing_ffprobe_is_an_error_at_the_start() {
    let scratch = tempfile::tempdir().unwrap();
    let data = scratch.path().join("data");
    let mut command = up(&data, &[]);
    command.env("STREAMIO_FFPROBE", "/nowhere/ffprobe");
    let run = run(command).await;
    insta::assert_snapshot!(run.transcript(), @r"
    exit 1
    --- stdout
    --- stderr
    error: `/nowhere/ffprobe` cannot be run: No such file or directory (os error 2); install FFmpeg (for example `apt-get install ffmpeg` or `brew install ffmpeg`), or set STREAMIO_FFPROBE to its path
    ");
    assert!(!data.exists());
}

#[tokio::test]
async fn a_worker_that_is_not_built_is_an_error_with_the_command_to_build_it() {
    let scratch = tempfile::tempdir().unwrap();
    let data = scratch.path().join("data");
    let run = run(up(&data, &["--edge", "workerd", "--edge-worker", "/nowhere/worker"])).await;
    insta::assert_snapshot!(run.transcript(), @r"
    exit 1
    --- stdout
    --- stderr
    error: the Worker is not built: there is no /nowhere/worker/index.js; run `cargo xtask edge build`, or name the built Worker's folder with --edge-worker
    ");
    assert!(!data.exists());
}
