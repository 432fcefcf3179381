//! `streamio-emulator up`: no process outlives it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::clips::clip;
use crate::ffmpeg_gate::FfmpegGate;
use crate::processes;
use crate::test_cloud::{RUNNING_CLOUDS, TIMEOUT};

/// Starts it, and returns the process and the line that it prints when it is ready.
async fn start(folder: &Path, gate: &FfmpegGate) -> (Child, Value) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_streamio-emulator"))
        .args(["up", "--json", "--hasty", "--port", "0", "--folder"])
        .arg(folder)
        .env("STREAMIO_FFMPEG", &gate.program)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = tokio::time::timeout(TIMEOUT, lines.next_line()).await.unwrap().unwrap();
    (child, serde_json::from_str(&line.expect("the emulator started")).unwrap())
}

/// Uploads a clip, and waits until a worker has started. Its FFmpeg waits at the closed gate.
async fn start_a_worker(ready: &Value, folder: &Path) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let grant = http
        .post(format!("{}/upload-url", ready["api"].as_str().unwrap()))
        .header("x-api-key", ready["apiKey"].as_str().unwrap())
        .json(&json!({ "filename": "clip.mp4" }));
    let grant: Value = grant.send().await.unwrap().error_for_status().unwrap().json().await.unwrap();
    let put = http.put(grant["uploadUrl"].as_str().unwrap()).body(clip());
    put.send().await.unwrap().error_for_status().unwrap();
    let begun = Instant::now();
    let scratch = folder.join("scratch");
    // The worker creates this folder before it starts FFmpeg.
    let has_started = || {
        let entries = std::fs::read_dir(&scratch).into_iter().flatten().flatten();
        entries.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with("attempt-"))
    };
    while !has_started() {
        assert!(begun.elapsed() < TIMEOUT, "no worker started");
        sleep(Duration::from_millis(20)).await;
    }
}

async fn wait_until_nothing_is_left(ready: &Value, folder: &Path) {
    processes::wait_until_none_uses(folder).await;
    for name in ["api", "home", "s3", "cdn", "dynamodb", "kinesis", "ecs", "kv", "operator"] {
        let address = ready[name].as_str().unwrap().trim_start_matches("http://").to_owned();
        let begun = Instant::now();
        while TcpStream::connect(&address).await.is_ok() {
            assert!(begun.elapsed() < TIMEOUT, "{name} still listens");
            sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloud_that_is_killed_leaves_no_process_behind() {
    let _permit = RUNNING_CLOUDS.acquire().await.unwrap();
    let (folder, gate) = (tempfile::tempdir().unwrap(), FfmpegGate::new());
    gate.close();
    let (mut child, ready) = start(folder.path(), &gate).await;
    start_a_worker(&ready, folder.path()).await;
    child.kill().await.unwrap();
    wait_until_nothing_is_left(&ready, folder.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloud_that_receives_sigterm_stops_its_workers_and_exits() {
    let _permit = RUNNING_CLOUDS.acquire().await.unwrap();
    let (folder, gate) = (tempfile::tempdir().unwrap(), FfmpegGate::new());
    gate.close();
    let (mut child, ready) = start(folder.path(), &gate).await;
    start_a_worker(&ready, folder.path()).await;
    let process = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    kill_process(process, Signal::TERM).unwrap();
    let status = tokio::time::timeout(TIMEOUT, child.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
    wait_until_nothing_is_left(&ready, folder.path()).await;
}
