//! `streamio-emulator up`, and what is left of it when it is killed.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::clip::film;
use crate::processes;
use crate::world::{Gate, PATIENCE, PLACES};

/// What it prints when it is ready.
async fn up(folder: &Path, gate: &Gate) -> (Child, Value) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_streamio-emulator"))
        .args(["up", "--json", "--hasty", "--port", "0", "--folder"])
        .arg(folder)
        .env("STREAMIO_FFMPEG", &gate.program)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
    (child, serde_json::from_str(&line.expect("it did not start")).unwrap())
}

/// A worker that waits at the gate.
async fn a_worker_works(ready: &Value, folder: &Path) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let grant = http
        .post(format!("{}/upload-url", ready["api"].as_str().unwrap()))
        .header("x-api-key", ready["apiKey"].as_str().unwrap())
        .json(&json!({ "filename": "clip.mp4" }));
    let grant: Value = grant.send().await.unwrap().error_for_status().unwrap().json().await.unwrap();
    let put = http.put(grant["uploadUrl"].as_str().unwrap()).body(film());
    put.send().await.unwrap().error_for_status().unwrap();
    let begun = Instant::now();
    let scratch = folder.join("scratch");
    // The worker's folder is there when FFmpeg is about to begin.
    let works = || {
        let entries = std::fs::read_dir(&scratch).into_iter().flatten().flatten();
        entries.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with("attempt-"))
    };
    while !works() {
        assert!(begun.elapsed() < PATIENCE, "no worker begins");
        sleep(Duration::from_millis(20)).await;
    }
}

async fn nothing_is_left(ready: &Value, folder: &Path) {
    processes::none_about(folder).await;
    for name in ["api", "home", "s3", "cdn", "dynamodb", "kinesis", "ecs", "kv"] {
        let address = ready[name].as_str().unwrap().trim_start_matches("http://").to_owned();
        let begun = Instant::now();
        while TcpStream::connect(&address).await.is_ok() {
            assert!(begun.elapsed() < PATIENCE, "{name} still listens");
            sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloud_that_is_killed_leaves_no_process_behind() {
    let _place = PLACES.acquire().await.unwrap();
    let (folder, gate) = (tempfile::tempdir().unwrap(), Gate::new());
    gate.shut();
    let (mut child, ready) = up(folder.path(), &gate).await;
    a_worker_works(&ready, folder.path()).await;
    child.kill().await.unwrap();
    nothing_is_left(&ready, folder.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloud_that_is_asked_to_stop_ends_its_workers_and_itself() {
    let _place = PLACES.acquire().await.unwrap();
    let (folder, gate) = (tempfile::tempdir().unwrap(), Gate::new());
    gate.shut();
    let (mut child, ready) = up(folder.path(), &gate).await;
    a_worker_works(&ready, folder.path()).await;
    let process = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    kill_process(process, Signal::TERM).unwrap();
    let status = tokio::time::timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
    nothing_is_left(&ready, folder.path()).await;
}
