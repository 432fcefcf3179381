//! The platform with the Worker of the cloud in front: `streamio up --edge workerd`.

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
use crate::crash::no_process_is_left;
use crate::platform::{Platform, json_of, log};
use crate::play::play;

/// Only a fault makes a test wait this long.
const PATIENCE: Duration = Duration::from_mins(1);

async fn start(journal: &str) -> Platform {
    let built = std::env::var_os("STREAMIO_EDGE_WORKER")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/edge/worker"), PathBuf::from);
    let built = built.to_str().unwrap();
    Platform::start_with(&["--edge", "workerd", "--edge-worker", built, "--edge-journal", journal]).await
}

/// From the first grant to the last frame; both grants come to the log by the way of `journal`.
async fn a_video_lives(journal: &str) {
    let mut platform = start(journal).await;
    let file = platform.directory.path().join("clip.mp4");
    std::fs::write(&file, clip::film(1, "320x180").await).unwrap();
    let status = json_of(&platform.client(&["upload", file.to_str().unwrap(), "--wait"]).await);
    assert_eq!(status["state"], "ready", "{status}");
    play(&platform, &status).await;
    let grant =
        json_of(&platform.client(&["playback-url", status["outputs"]["hlsKey"].as_str().unwrap()]).await);
    let granted = format!(r#""grantId":{}"#, grant["grantId"]);
    let deadline = Instant::now() + PATIENCE;
    let feed = loop {
        let feed = platform.get("/events?limit=100").await.to_string();
        if feed.contains(&granted) {
            break feed;
        }
        assert!(Instant::now() < deadline, "{granted} does not come to the log: {feed}");
        sleep(Duration::from_millis(50)).await;
    };
    // One by `upload`, two by `play`, one by `playback-url`: each once.
    for (kind, times) in [("upload.granted", 1), ("playback.granted", 3)] {
        assert_eq!(feed.matches(&format!(r#""type":"{kind}""#)).count(), times, "{kind}: {feed}");
    }
    platform.stop().await;
    no_process_is_left(&platform).await;
    let log = log(&platform.data());
    assert!(
        log.contains("workerd") && log.contains("request served"),
        "the Worker's log is not relayed: {log}"
    );
    for secret in [platform.key.as_str(), "X-Amz-Signature", "Signature=", "PRIVATE KEY"] {
        assert!(!log.contains(secret), "the log has {secret}: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_video_lives_with_grants_recorded_at_home() {
    a_video_lives("home").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_video_lives_with_grants_recorded_by_the_queue() {
    a_video_lives("queue").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_among_grants_nothing_acknowledged_is_lost_and_no_process_is_left() {
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
            let answer = request.send().await.ok()?;
            let status = answer.status();
            let body: Value = answer.json().await.ok()?;
            // The Worker outlives what it asks by a moment, and says so.
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
    no_process_is_left(&platform).await;

    platform.restart().await;
    for grant in &acknowledged {
        let status = platform.get(&format!("/videos/{}", grant["videoId"].as_str().unwrap())).await;
        assert_eq!(status["state"], "waiting", "{status}");
    }
    // The URLs are as good as before.
    platform.put(&acknowledged[0], clip::film(1, "64x48").await).await;
    let status = platform.wait_for_end(acknowledged[0]["videoId"].as_str().unwrap(), 1).await;
    assert_eq!(status["state"], "ready", "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_is_started_again_on_its_address() {
    let platform = start("home").await;
    let started = || log(&platform.data()).matches("the API runs on workerd").count();
    for (before, of) in [(1, "run.mjs"), (2, "workerd serve")] {
        assert_eq!(started(), before);
        let granted = platform.post("/upload-url", &json!({ "filename": format!("{of}.mp4") })).await;
        kill(&platform, of);
        let deadline = Instant::now() + PATIENCE;
        while started() == before {
            assert!(Instant::now() < deadline, "the API does not come back: {}", log(&platform.data()));
            sleep(Duration::from_millis(20)).await;
        }
        let listed = platform.get("/videos").await;
        assert_eq!(listed["data"][0]["videoId"], granted["videoId"]);
    }
}

/// SIGKILL to the platform's process whose command line has `words`.
fn kill(platform: &Platform, words: &str) {
    let directory = platform.directory.path().to_str().unwrap().to_owned();
    let read =
        |path: PathBuf| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).replace('\0', " ");
    let processes = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let found: Vec<PathBuf> = processes
        .filter(|path| {
            let line = read(path.join("cmdline"));
            line.contains(words) && read(path.join("environ")).contains(&directory)
        })
        .collect();
    let [process] = &found[..] else { panic!("{words}: {found:?}") };
    let id: i32 = process.file_name().unwrap().to_str().unwrap().parse().unwrap();
    kill_process(Pid::from_raw(id).unwrap(), Signal::KILL).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_flight_is_answered_before_the_platform_stops() {
    let mut platform = start("home").await;
    let (head, tail) = (r#"{"filename":"#, r#""clip.mp4"}"#);
    let (taken, half_taken) = oneshot::channel();
    let (go_on, may_go_on) = oneshot::channel::<()>();
    // The second half comes when the platform is stopping.
    let body =
        futures::stream::iter([Ok::<_, std::io::Error>(head)]).chain(futures::stream::once(async move {
            taken.send(()).unwrap();
            may_go_on.await.map_err(std::io::Error::other)?;
            Ok(tail)
        }));
    let request = platform
        .http
        .post(format!("{}/upload-url", platform.api))
        .header("x-api-key", &platform.key)
        .header("content-type", "application/json")
        .header("content-length", head.len() + tail.len())
        .body(reqwest::Body::wrap_stream(body));
    let answer = tokio::spawn(request.send());
    half_taken.await.unwrap();
    // It is on its way: the time that it takes to the Worker.
    sleep(Duration::from_secs(1)).await;
    // A connection that waits for its next request is closed as soon as none may begin any more.
    let mut idle = TcpStream::connect(platform.api.strip_prefix("http://").unwrap()).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut bytes = [0; 4096];
    assert!(idle.read(&mut bytes).await.unwrap() > 0);
    let second_half = async {
        while idle.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
        go_on.send(()).unwrap();
    };
    tokio::join!(platform.stop(), second_half);
    let answer = answer.await.unwrap().unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let granted: Value = answer.json().await.unwrap();
    no_process_is_left(&platform).await;
    platform.restart().await;
    let status = platform.get(&format!("/videos/{}", granted["videoId"].as_str().unwrap())).await;
    assert_eq!(status["state"], "waiting", "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_at_once_may_be_the_first_of_a_key() {
    let mut platform = start("home").await;
    // A Worker that starts has every key before it is asked anything, and has used none.
    platform.stop().await;
    platform.restart().await;
    let requests = (0..40).map(|_| {
        let request =
            platform.http.get(format!("{}/videos", platform.api)).header("x-api-key", &platform.key);
        async { request.send().await.unwrap().status() }
    });
    assert_eq!(futures::future::join_all(requests).await, [StatusCode::OK; 40]);
}

/// A key is remembered for ten seconds, and for as long again as its new state takes to come.
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
        assert!(revoked.elapsed() < PATIENCE, "still accepted");
        sleep(Duration::from_millis(250)).await;
    }
    assert_eq!(status().await, StatusCode::UNAUTHORIZED);
}
