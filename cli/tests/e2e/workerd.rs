//! The platform with the Cloudflare Worker as its edge: `streamio up --edge workerd`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use reqwest::StatusCode;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use crate::clip;
use crate::harness::{TestPlatform, json_of, log};
use crate::play::play;

/// Only a defect makes a test wait this long.
const TIMEOUT: Duration = Duration::from_mins(1);

async fn start(journal: &str) -> TestPlatform {
    let built = std::env::var_os("STREAMIO_EDGE_WORKER")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/edge/worker"), PathBuf::from);
    let built = built.to_str().unwrap();
    TestPlatform::start_with(&["--edge", "workerd", "--edge-worker", built, "--edge-journal", journal]).await
}

/// Uploads and plays a video; the grants are recorded through `journal`.
async fn upload_and_play(journal: &str) {
    let mut platform = start(journal).await;
    let file = platform.directory.path().join("clip.mp4");
    std::fs::write(&file, clip::video_with_audio(1, "320x180").await).unwrap();
    let status = json_of(&platform.client(&["upload", file.to_str().unwrap(), "--wait"]).await);
    assert_eq!(status["state"], "ready", "{status}");
    play(&platform, &status).await;
    let grant =
        json_of(&platform.client(&["playback-url", status["outputs"]["hlsKey"].as_str().unwrap()]).await);
    let granted = format!(r#""grantId":{}"#, grant["grantId"]);
    let deadline = Instant::now() + TIMEOUT;
    let feed = loop {
        let feed = platform.get("/events?limit=100").await.to_string();
        if feed.contains(&granted) {
            break feed;
        }
        assert!(Instant::now() < deadline, "{granted} is not recorded: {feed}");
        sleep(Duration::from_millis(50)).await;
    };
    // One by `upload`, two by `play`, one by `playback-url`; each recorded once.
    for (kind, times) in [("upload.granted", 1), ("playback.granted", 3)] {
        assert_eq!(feed.matches(&format!(r#""type":"{kind}""#)).count(), times, "{kind}: {feed}");
    }
    platform.stop().await;
    platform.wait_until_no_process_is_left().await;
    let log = log(&platform.data());
    assert!(
        log.contains("workerd") && log.contains("request served"),
        "the Worker's log is not relayed: {log}"
    );
    for secret in [platform.key.as_str(), "X-Amz-Signature", "Signature=", "PRIVATE KEY"] {
        assert!(!log.contains(secret), "the log contains {secret}: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_video_is_uploaded_and_played_with_grants_recorded_in_the_event_log() {
    upload_and_play("home").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_video_is_uploaded_and_played_with_grants_recorded_in_a_queue() {
    upload_and_play("queue").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_during_grants_loses_no_acknowledged_grant_and_leaves_no_process() {
    let mut platform = start("home").await;
    let listed = platform.get("/videos").await;
    assert_eq!(listed["data"], json!([]));
    let grants = (0..40).map(|number| {
        let request = platform
            .http
            .post(format!("{}/upload-url", platform.api))
            .header("x-api-key", &platform.key)
            .json(&json!({ "filename": format!("clip-{number}.mp4") }));
        tokio::spawn(async move {
            let response = request.send().await.ok()?;
            let status = response.status();
            let body: Value = response.json().await.ok()?;
            // The Worker runs slightly longer than the platform that it calls, and responds 503.
            assert!(status.is_success() || status == StatusCode::SERVICE_UNAVAILABLE, "{status} {body}");
            status.is_success().then_some(body)
        })
    });
    let mut acknowledged = Vec::new();
    let mut grants: FuturesUnordered<_> = grants.collect();
    let mut killed = false;
    while let Some(grant) = grants.next().await {
        acknowledged.extend(grant.unwrap());
        if acknowledged.len() == 10 && !killed {
            killed = true;
            platform.kill().await;
        }
    }
    assert!(killed && acknowledged.len() >= 10);
    platform.wait_until_no_process_is_left().await;

    platform.restart().await;
    for grant in &acknowledged {
        let status = platform.get(&format!("/videos/{}", grant["videoId"].as_str().unwrap())).await;
        assert_eq!(status["state"], "waiting", "{status}");
    }
    // The URLs are still valid.
    platform.put(&acknowledged[0], clip::video_with_audio(1, "64x48").await).await;
    let status = platform.wait_for_end(acknowledged[0]["videoId"].as_str().unwrap(), 1).await;
    assert_eq!(status["state"], "ready", "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_ends_is_restarted_on_the_same_address() {
    let platform = start("home").await;
    let started = || log(&platform.data()).matches("the API runs on workerd").count();
    for (before, of) in [(1, "run.mjs"), (2, "workerd serve")] {
        assert_eq!(started(), before);
        let granted = platform.post("/upload-url", &json!({ "filename": format!("{of}.mp4") })).await;
        kill(&platform, of);
        let deadline = Instant::now() + TIMEOUT;
        while started() == before {
            assert!(Instant::now() < deadline, "the API is not restarted: {}", log(&platform.data()));
            sleep(Duration::from_millis(20)).await;
        }
        let listed = platform.get("/videos").await;
        assert_eq!(listed["data"][0]["videoId"], granted["videoId"]);
    }
}

/// Sends SIGKILL to the platform's process whose command line contains `text`.
fn kill(platform: &TestPlatform, text: &str) {
    let directory = platform.directory.path().to_str().unwrap().to_owned();
    let read =
        |path: PathBuf| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).replace('\0', " ");
    let processes = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let found: Vec<PathBuf> = processes
        .filter(|path| {
            let line = read(path.join("cmdline"));
            line.contains(text) && read(path.join("environ")).contains(&directory)
        })
        .collect();
    let [process] = &found[..] else { panic!("{text}: {found:?}") };
    let id: i32 = process.file_name().unwrap().to_str().unwrap().parse().unwrap();
    kill_process(Pid::from_raw(id).unwrap(), Signal::KILL).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_flight_is_completed_before_the_platform_stops() {
    let mut platform = start("home").await;
    let (head, tail) = (r#"{"filename":"#, r#""clip.mp4"}"#);
    let (first_half_sent, on_first_half) = oneshot::channel();
    let (send_second_half, on_second_half) = oneshot::channel::<()>();
    // The second half of the body is sent while the platform is stopping.
    let body =
        futures::stream::iter([Ok::<_, std::io::Error>(head)]).chain(futures::stream::once(async move {
            first_half_sent.send(()).unwrap();
            on_second_half.await.map_err(std::io::Error::other)?;
            Ok(tail)
        }));
    let request = platform
        .http
        .post(format!("{}/upload-url", platform.api))
        .header("x-api-key", &platform.key)
        .header("content-type", "application/json")
        .header("content-length", head.len() + tail.len())
        .body(reqwest::Body::wrap_stream(body));
    let response = tokio::spawn(request.send());
    on_first_half.await.unwrap();
    // Wait until the request has reached the Worker.
    sleep(Duration::from_secs(1)).await;
    // An idle connection is closed as soon as the platform accepts no new requests.
    let mut idle = TcpStream::connect(platform.api.strip_prefix("http://").unwrap()).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut bytes = [0; 4096];
    assert!(idle.read(&mut bytes).await.unwrap() > 0);
    let second_half = async {
        while idle.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
        send_second_half.send(()).unwrap();
    };
    tokio::join!(platform.stop(), second_half);
    let response = response.await.unwrap().unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let granted: Value = response.json().await.unwrap();
    platform.wait_until_no_process_is_left().await;
    platform.restart().await;
    let status = platform.get(&format!("/videos/{}", granted["videoId"].as_str().unwrap())).await;
    assert_eq!(status["state"], "waiting", "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_concurrent_first_requests_of_a_key_succeed() {
    let mut platform = start("home").await;
    // A Worker that starts receives all keys first, and has used none.
    platform.stop().await;
    platform.restart().await;
    let requests = (0..40).map(|_| {
        let request =
            platform.http.get(format!("{}/videos", platform.api)).header("x-api-key", &platform.key);
        async { request.send().await.unwrap().status() }
    });
    assert_eq!(futures::future::join_all(requests).await, [StatusCode::OK; 40]);
}

/// A key is cached for ten seconds, plus the time until its new state is received.
#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_is_refused_within_a_minute() {
    let platform = start("home").await;
    let created = platform.operate(&["key", "create", "acme", "--scope", "read"]).await;
    let key = created["apiKey"].as_str().unwrap();
    let status = async || {
        let request = platform.http.get(format!("{}/videos", platform.api)).header("x-api-key", key);
        request.send().await.unwrap().status()
    };
    assert_eq!(status().await, StatusCode::OK);
    platform.operate(&["key", "revoke", "acme", created["keyId"].as_str().unwrap()]).await;
    let revoked = Instant::now();
    while status().await != StatusCode::UNAUTHORIZED {
        assert!(revoked.elapsed() < TIMEOUT, "still accepted");
        sleep(Duration::from_millis(250)).await;
    }
    assert_eq!(status().await, StatusCode::UNAUTHORIZED);
}
