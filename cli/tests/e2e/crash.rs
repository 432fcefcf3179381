//! `kill -9` at the worst moments loses nothing that was acknowledged.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use serde_json::Value;

use crate::clip;
use crate::platform::Platform;
use crate::play::play;

/// After everything: ready, published once, playable, no worker left over.
async fn ends_well(platform: &Platform, video_id: &str) -> Value {
    let status = platform.wait_for_end(video_id, 1).await;
    assert_eq!(status["state"], "ready", "{status}");
    let events = platform.events(video_id).await;
    assert_eq!(events.iter().filter(|kind| *kind == "video.ready").count(), 1, "{events:?}");
    assert_eq!(events.iter().filter(|kind| *kind == "upload.completed").count(), 1, "{events:?}");
    assert!(
        !events.iter().any(|kind| kind == "processing.failed" || kind == "processing.expired"),
        "{events:?}"
    );
    play(platform, &status).await;
    status
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_during_an_upload() {
    // Large enough that half of it is more than what stays in buffers on the way.
    let clip = clip::padded(clip::film(2, "320x180").await, 16 * 1024 * 1024);
    let mut platform = Platform::start().await;
    let grant = platform.grant("clip.mp4").await;
    let video_id = grant["videoId"].as_str().unwrap().to_owned();

    let (half, length) = (Bytes::copy_from_slice(&clip[..clip.len() / 2]), clip.len());
    // Half of the file, then nothing more for ever.
    let body = futures::stream::iter([Ok::<_, std::io::Error>(half)]).chain(futures::stream::pending());
    let request = platform
        .http
        .put(grant["uploadUrl"].as_str().unwrap())
        .header("content-length", length)
        .body(reqwest::Body::wrap_stream(body));
    let sending = tokio::spawn(request.send());
    // The bytes are on their way into the store's directory when a file has grown there.
    let store = platform.data().join("s3");
    while bytes_in(&store) < (clip.len() / 4) as u64 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    platform.kill().await;
    assert!(sending.await.unwrap().is_err(), "a cut upload is not acknowledged");

    platform.restart().await;
    let status = platform.get(&format!("/videos/{video_id}")).await;
    assert_eq!(status["state"], "waiting", "half a file is no file: {status}");
    platform.put(&grant, clip).await;
    ends_well(&platform, &video_id).await;
}

fn bytes_in(directory: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes_in(&entry.path()),
            Ok(metadata) if !entry.file_name().to_string_lossy().contains("objects.db") => metadata.len(),
            _ => 0,
        })
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_just_after_an_upload() {
    let clip = clip::film(2, "320x180").await;
    let mut platform = Platform::start().await;
    let video_id = platform.upload("clip.mp4", clip).await;
    platform.kill().await;
    platform.restart().await;
    ends_well(&platform, &video_id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_during_an_encode() {
    let clip = clip::film(30, "1280x720").await;
    let mut platform = Platform::start().await;
    let video_id = platform.upload("clip.mp4", clip).await;
    platform.wait_for(&video_id, |status| status["progress"].as_u64() > Some(5)).await;
    platform.kill().await;
    no_process_is_left(&platform).await;
    platform.restart().await;
    let status = ends_well(&platform, &video_id).await;
    assert_eq!(status["attempt"], 2);
    let events = platform.events(&video_id).await;
    assert!(events.iter().any(|kind| kind == "processing.interrupted"), "{events:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_during_an_encode() {
    let clip = clip::film(30, "1280x720").await;
    let mut platform = Platform::start().await;
    let video_id = platform.upload("clip.mp4", clip).await;
    platform.wait_for(&video_id, |status| status["progress"].as_u64() > Some(5)).await;
    platform.stop().await;
    no_process_is_left(&platform).await;
    platform.restart().await;
    let status = ends_well(&platform, &video_id).await;
    assert_eq!(status["attempt"], 2);
}

/// Workers and their FFmpeg, and what runs the API, end by themselves when the platform is gone.
pub(crate) async fn no_process_is_left(platform: &Platform) {
    let directory = platform.directory.path().display().to_string();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        let left = processes_about(&directory);
        if left.is_empty() {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "left over: {left:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Processes whose command line, environment or working directory speak of `directory`.
fn processes_about(directory: &str) -> Vec<String> {
    let own = std::process::id().to_string();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = processes.filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()) && *name != own)
        .filter_map(|name| {
            let read = |file: &str| std::fs::read(format!("/proc/{name}/{file}")).unwrap_or_default();
            let text = |file: &str| String::from_utf8_lossy(&read(file)).replace('\0', " ");
            let (words, environment) = (text("cmdline"), text("environ"));
            (words.contains(directory) || environment.contains(directory)).then_some(words)
        })
        .filter(|words| !words.trim().is_empty())
        .collect()
}
