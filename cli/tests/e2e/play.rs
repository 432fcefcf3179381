//! Plays signed URLs with FFmpeg.

use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::TestPlatform;

/// ffprobe's description of a URL.
pub(crate) struct Probed {
    pub(crate) duration: f64,
    pub(crate) streams: Vec<Value>,
}

impl Probed {
    pub(crate) fn of_type(&self, kind: &str) -> Vec<&Value> {
        self.streams.iter().filter(|stream| stream["codec_type"] == kind).collect()
    }
}

/// Decodes the HLS stream with all renditions and the MP4 of a ready video, and returns ffprobe's description of the two.
pub(crate) async fn play(platform: &TestPlatform, status: &Value) -> (Probed, Probed) {
    let hls = signed(platform, &status["outputs"]["hlsKey"]).await;
    let mp4 = signed(platform, &status["outputs"]["mp4Key"]).await;
    decode(&hls).await;
    decode(&mp4).await;
    (probe(&hls).await, probe(&mp4).await)
}

/// Requests a signed URL for a processed key: of a stream the URL for any player.
pub(crate) async fn signed(platform: &TestPlatform, key: &Value) -> String {
    let key: String = url::form_urlencoded::byte_serialize(key.as_str().unwrap().as_bytes()).collect();
    let grant = platform.post(&format!("/playback-url?key={key}"), &json!({})).await;
    let url = grant.get("hlsUrl").unwrap_or(&grant["signedUrl"]);
    url.as_str().unwrap().to_owned()
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

pub(crate) async fn probe(url: &str) -> Probed {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-count_frames", "-show_format", "-show_streams", "-of", "json", url])
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{url}: {}", String::from_utf8_lossy(&output.stderr));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    Probed {
        duration: json["format"]["duration"].as_str().map_or(0.0, |text| text.parse().unwrap()),
        streams: json["streams"].as_array().unwrap().clone(),
    }
}
