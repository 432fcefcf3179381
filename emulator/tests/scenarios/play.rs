//! Plays what the edge signed, as a player does: with nothing but the URL.

use serde_json::{Value, json};
use tokio::process::Command;
use url::Url;

use crate::world::World;

/// Plays a ready video: reads the playlists and a segment by hand, then decodes every frame of the stream and of the MP4.
pub(crate) async fn play(world: &World, status: &Value) {
    let hls = signed(world, &status["outputs"]["hlsKey"]).await;
    let master = fetch(world, &hls).await;
    let playlist = first_address(&master, &hls);
    let media = fetch(world, &playlist).await;
    assert!(media.contains("#EXT-X-ENDLIST"), "{media}");
    let segment = first_address(&media, &playlist);
    let bytes =
        world.http.get(segment).send().await.unwrap().error_for_status().unwrap().bytes().await.unwrap();
    assert!(bytes.len() > 1000, "a segment of {} bytes", bytes.len());
    decode(&hls).await;
    decode(&signed(world, &status["outputs"]["mp4Key"]).await).await;

    let bare = hls.split('?').next().unwrap();
    let refused = world.http.get(bare).send().await.unwrap().status();
    assert_eq!(refused, reqwest::StatusCode::FORBIDDEN, "without its signature");
}

async fn signed(world: &World, key: &Value) -> String {
    let key: String = url::form_urlencoded::byte_serialize(key.as_str().unwrap().as_bytes()).collect();
    let grant = world.post(&format!("/playback-url?key={key}"), &json!({})).await;
    grant["signedUrl"].as_str().unwrap().to_owned()
}

async fn fetch(world: &World, url: &str) -> String {
    let answer = world.http.get(url).send().await.unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    assert!(status.is_success(), "{status}: {text}");
    text
}

/// The first address in a playlist.
fn first_address(playlist: &str, base: &str) -> String {
    let line = playlist.lines().find(|line| !line.is_empty() && !line.starts_with('#')).unwrap();
    Url::parse(base).unwrap().join(line).unwrap().to_string()
}

async fn decode(url: &str) {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-xerror", "-i", url, "-map", "0", "-f", "null", "-"])
        .output()
        .await
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{}: {errors}", output.status);
}
