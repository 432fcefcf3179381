//! Plays a video as a player does, with the URLs that the edge signed.

use serde_json::{Value, json};
use tokio::process::Command;
use url::Url;

use crate::test_cloud::TestCloud;

/// Plays a video that is ready: requests the playlists and a segment, then decodes every frame of the stream and of the MP4. The
/// player follows URIs and sends neither a header nor a cookie. Checks that URLs without their signature are refused, and that the
/// CDN changes nothing in a playlist.
pub(crate) async fn play(cloud: &TestCloud, status: &Value) {
    let grant = granted(cloud, &status["outputs"]["hlsKey"]).await;
    let hls = text(&grant, "hlsUrl");
    assert!(hls.starts_with(&format!("{}/play/processed/", cloud.api())), "{hls}");
    let master = fetch(cloud, &hls).await;
    let playlist = first_url(&master, &hls);
    let media = fetch(cloud, &playlist).await;
    assert!(media.contains("#EXT-X-ENDLIST"), "{media}");
    let segment = first_url(&media, &playlist);
    let signed_master = text(&grant, "signedUrl");
    let cdn = signed_master.split("/processed/").next().unwrap();
    assert!(segment.starts_with(&format!("{cdn}/processed/")), "segments come from the CDN: {segment}");
    let bytes =
        cloud.http.get(&segment).send().await.unwrap().error_for_status().unwrap().bytes().await.unwrap();
    assert!(bytes.len() > 1000, "a segment of {} bytes", bytes.len());
    assert!(!fetch(cloud, &signed_master).await.contains("Signature="), "the CDN adds nothing");
    decode(&hls).await;
    decode(&text(&granted(cloud, &status["outputs"]["mp4Key"]).await, "signedUrl")).await;

    for signed in [hls, playlist, segment, signed_master] {
        let unsigned = signed.split('?').next().unwrap();
        let refused = cloud.http.get(unsigned).send().await.unwrap().status();
        assert_eq!(refused, reqwest::StatusCode::FORBIDDEN, "{unsigned} without its signature");
    }
}

async fn granted(cloud: &TestCloud, key: &Value) -> Value {
    let key: String = url::form_urlencoded::byte_serialize(key.as_str().unwrap().as_bytes()).collect();
    cloud.post(&format!("/playback-url?key={key}"), &json!({})).await
}

fn text(grant: &Value, field: &str) -> String {
    grant[field].as_str().unwrap_or_else(|| panic!("no {field}")).to_owned()
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
