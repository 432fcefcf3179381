//! Plays a video as a player does, with the URLs that the edge signed.

use serde_json::{Value, json};
use tokio::process::Command;
use url::Url;

use crate::test_cloud::TestCloud;

/// Plays a video that is ready: requests the playlists and a segment, then decodes every frame of the stream and of the MP4.
/// Checks that the URL without its signature is refused.
pub(crate) async fn play(cloud: &TestCloud, status: &Value) {
    let hls = signed(cloud, &status["outputs"]["hlsKey"]).await;
    let master = fetch(cloud, &hls).await;
    let playlist = first_url(&master, &hls);
    let media = fetch(cloud, &playlist).await;
    assert!(media.contains("#EXT-X-ENDLIST"), "{media}");
    let segment = first_url(&media, &playlist);
    let bytes =
        cloud.http.get(segment).send().await.unwrap().error_for_status().unwrap().bytes().await.unwrap();
    assert!(bytes.len() > 1000, "a segment of {} bytes", bytes.len());
    decode(&hls).await;
    decode(&signed(cloud, &status["outputs"]["mp4Key"]).await).await;

    let unsigned = hls.split('?').next().unwrap();
    let refused = cloud.http.get(unsigned).send().await.unwrap().status();
    assert_eq!(refused, reqwest::StatusCode::FORBIDDEN, "without its signature");
}

async fn signed(cloud: &TestCloud, key: &Value) -> String {
    let key: String = url::form_urlencoded::byte_serialize(key.as_str().unwrap().as_bytes()).collect();
    let grant = cloud.post(&format!("/playback-url?key={key}"), &json!({})).await;
    grant["signedUrl"].as_str().unwrap().to_owned()
}

async fn fetch(cloud: &TestCloud, url: &str) -> String {
    let response = cloud.http.get(url).send().await.unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    assert!(status.is_success(), "{status}: {text}");
    text
}

/// Returns the first URL in a playlist.
fn first_url(playlist: &str, base: &str) -> String {
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
