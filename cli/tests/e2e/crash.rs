//! SIGKILL at any time loses nothing that was acknowledged.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use serde_json::Value;

use crate::clip;
use crate::harness::TestPlatform;
use crate::play::play;

/// Checks that the video becomes ready, was uploaded and published once, and plays. Returns its status view.
async fn becomes_ready(platform: &TestPlatform, video_id: &str) -> Value {
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
async fn an_upload_can_be_repeated_after_a_kill() {
    // Large enough that half of it exceeds the buffers between client and disk.
    let clip = clip::padded(clip::video_with_audio(2, "320x180").await, 16 * 1024 * 1024);
    let mut platform = TestPlatform::start().await;
    let grant = platform.grant("clip.mp4").await;
    let video_id = grant["videoId"].as_str().unwrap().to_owned();

    let (half, length) = (Bytes::copy_from_slice(&clip[..clip.len() / 2]), clip.len());
    // Half of the file, after which the body never ends.
    let body = futures::stream::iter([Ok::<_, std::io::Error>(half)]).chain(futures::stream::pending());
    let request = platform
        .http
        .put(grant["uploadUrl"].as_str().unwrap())
        .header("content-length", length)
        .body(reqwest::Body::wrap_stream(body));
    let sending = tokio::spawn(request.send());
    // Wait until the store has written some of the bytes.
    let store = platform.data().join("s3");
    while bytes_in(&store) < (clip.len() / 4) as u64 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    platform.kill().await;
    assert!(sending.await.unwrap().is_err(), "an interrupted upload is not acknowledged");

    platform.restart().await;
    let status = platform.get(&format!("/videos/{video_id}")).await;
    assert_eq!(status["state"], "waiting", "half a file is not an upload: {status}");
    platform.put(&grant, clip).await;
    becomes_ready(&platform, &video_id).await;
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
async fn an_acknowledged_upload_survives_a_kill() {
    let clip = clip::video_with_audio(2, "320x180").await;
    let mut platform = TestPlatform::start().await;
    let video_id = platform.upload("clip.mp4", clip).await;
    platform.kill().await;
    platform.restart().await;
    becomes_ready(&platform, &video_id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encode_is_repeated_after_a_kill() {
    let clip = clip::video_with_audio(30, "1280x720").await;
    let mut platform = TestPlatform::start().await;
    let video_id = platform.upload("clip.mp4", clip).await;
    platform.wait_for(&video_id, |status| status["progress"].as_u64() > Some(5)).await;
    platform.kill().await;
    platform.wait_until_no_process_is_left().await;
    platform.restart().await;
    let status = becomes_ready(&platform, &video_id).await;
    assert_eq!(status["attempt"], 2);
    let events = platform.events(&video_id).await;
    assert!(events.iter().any(|kind| kind == "processing.interrupted"), "{events:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encode_is_repeated_after_a_stop() {
    let clip = clip::video_with_audio(30, "1280x720").await;
    let mut platform = TestPlatform::start().await;
    let video_id = platform.upload("clip.mp4", clip).await;
    platform.wait_for(&video_id, |status| status["progress"].as_u64() > Some(5)).await;
    platform.stop().await;
    platform.wait_until_no_process_is_left().await;
    platform.restart().await;
    let status = becomes_ready(&platform, &video_id).await;
    assert_eq!(status["attempt"], 2);
}
