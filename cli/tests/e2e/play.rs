//! Plays what the platform signed, as a player does: with nothing but the URL.

use serde_json::{Value, json};
use tokio::process::Command;

use crate::platform::Platform;

/// What ffprobe sees behind a URL.
pub(crate) struct Played {
    pub(crate) duration: f64,
    pub(crate) streams: Vec<Value>,
}

impl Played {
    pub(crate) fn of_type(&self, kind: &str) -> Vec<&Value> {
        self.streams.iter().filter(|stream| stream["codec_type"] == kind).collect()
    }
}

/// Plays the MP4 and every rendition of the stream of a ready video to the end, and answers what the two are.
pub(crate) async fn play(platform: &Platform, status: &Value) -> (Played, Played) {
    let hls = signed(platform, &status["outputs"]["hlsKey"]).await;
    let mp4 = signed(platform, &status["outputs"]["mp4Key"]).await;
    decode(&hls).await;
    decode(&mp4).await;
    (probe(&hls).await, probe(&mp4).await)
}

pub(crate) async fn signed(platform: &Platform, key: &Value) -> String {
    let key: String = url::form_urlencoded::byte_serialize(key.as_str().unwrap().as_bytes()).collect();
    let grant = platform.post(&format!("/playback-url?key={key}"), &json!({})).await;
    grant["signedUrl"].as_str().unwrap().to_owned()
}

/// Decodes every frame of every stream.
async fn decode(url: &str) {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-xerror", "-i", url, "-map", "0", "-f", "null", "-"])
        .output()
        .await
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{url}: {}: {errors}", output.status);
}

pub(crate) async fn probe(url: &str) -> Played {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-count_frames", "-show_format", "-show_streams", "-of", "json", url])
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{url}: {}", String::from_utf8_lossy(&output.stderr));
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    Played {
        duration: shown["format"]["duration"].as_str().map_or(0.0, |text| text.parse().unwrap()),
        streams: shown["streams"].as_array().unwrap().clone(),
    }
}
