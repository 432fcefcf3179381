//! A video's lifecycle through the public API and the command line.

use serde_json::{Value, json};

use crate::clip;
use crate::harness::{TestPlatform, json_of, log};
use crate::play::{play, signed};

#[tokio::test(flavor = "multi_thread")]
async fn a_video_is_uploaded_played_replaced_processed_again_and_deleted() {
    let platform = TestPlatform::start().await;
    let video_id = platform.upload("clip.mp4", clip::video_with_audio(1, "320x180").await).await;
    let first = platform.wait_for_end(&video_id, 1).await;
    assert_eq!(first["state"], "ready", "{first}");
    play(&platform, &first).await;

    // Without `overwrite`, another upload to the same key leaves the video as it is.
    assert_eq!(platform.upload("clip.mp4", clip::video_with_audio(2, "96x54").await).await, video_id);
    platform.wait_for_event(&video_id, "upload.rejected").await;
    let unchanged = platform.get(&format!("/videos/{video_id}")).await;
    assert_eq!((&unchanged["state"], &unchanged["outputs"]), (&json!("ready"), &first["outputs"]));

    // With it, it is a new generation of the same video.
    assert_eq!(platform.replace("clip.mp4", clip::video_with_audio(2, "160x90").await).await, video_id);
    let second = platform.wait_for_end(&video_id, 2).await;
    assert_eq!((&second["state"], &second["source"]["width"]), (&json!("ready"), &json!(160)), "{second}");
    let (_, mp4) = play(&platform, &second).await;
    assert_eq!(mp4.of_type("video")[0]["width"], 160);

    let earlier =
        platform.get(&format!("/videos/{video_id}?asOf={}", first["updatedAt"].as_str().unwrap())).await;
    assert_eq!(earlier, first, "asOf shows the earlier state");

    let reprocessed = platform.post(&format!("/videos/{video_id}/reprocess"), &json!({})).await;
    assert_eq!(reprocessed["generation"], 3, "{reprocessed}");
    let third = platform.wait_for_end(&video_id, 3).await;
    assert_eq!(third["state"], "ready", "{third}");

    let mp4 = signed(&platform, &third["outputs"]["mp4Key"]).await;
    assert!(platform.delete(&format!("/videos/{video_id}")).await.is_success());
    let deleted = platform.get(&format!("/videos/{video_id}")).await;
    assert_eq!((&deleted["state"], &deleted["outputs"]), (&json!("deleted"), &Value::Null));
    loop {
        let status = platform.http.get(&mp4).send().await.unwrap().status();
        if status == reqwest::StatusCode::NOT_FOUND {
            break;
        }
        assert!(status.is_success(), "{status}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let listed = platform.get("/videos").await;
    assert_eq!(listed["data"], json!([]), "a deleted video is not listed by default");
    let listed = platform.get("/videos?state=deleted").await;
    assert_eq!(listed["data"][0]["videoId"], json!(video_id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_video_is_uploaded_awaited_and_signed_with_the_command_line() {
    let platform = TestPlatform::start().await;
    let file = platform.directory.path().join("my clip.mp4");
    std::fs::write(&file, clip::video_with_audio(1, "320x180").await).unwrap();
    let status =
        json_of(&platform.client(&["upload", file.to_str().unwrap(), "--path", "films", "--wait"]).await);
    assert_eq!(status["state"], "ready", "{status}");
    assert_eq!(status["s3Key"], "projects/acme/films/my clip.mp4");
    play(&platform, &status).await;
    let key = status["outputs"]["hlsKey"].as_str().unwrap();
    let grant = json_of(&platform.client(&["playback-url", key]).await);
    assert!(grant["hlsUrl"].as_str().unwrap().contains("Policy="), "{grant}");
    let listed = json_of(&platform.client(&["video", "list"]).await);
    assert_eq!(listed["data"].as_array().or(listed.as_array()).map(Vec::len), Some(1), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_uploaded_in_parts() {
    let platform = TestPlatform::start().await;
    let clip = clip::padded(clip::video_with_audio(1, "320x180").await, 40 * 1024 * 1024);
    let file = platform.directory.path().join("large.mp4");
    std::fs::write(&file, &clip).unwrap();
    let status =
        json_of(&platform.client(&["upload", file.to_str().unwrap(), "--multipart", "--wait"]).await);
    assert_eq!(status["state"], "ready", "{status}");
    assert_eq!(status["source"]["bytes"], clip.len());
    play(&platform, &status).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_is_refused_immediately_and_a_new_key_works_immediately() {
    let platform = TestPlatform::start().await;
    let created = platform.operate(&["key", "create", "acme", "--scope", "read"]).await;
    let second = created["apiKey"].as_str().unwrap();
    let status = |key: String| {
        let request = platform.http.get(format!("{}/videos", platform.api)).header("x-api-key", key);
        async move { request.send().await.unwrap().status().as_u16() }
    };
    assert_eq!(status(second.to_owned()).await, 200);
    platform.operate(&["key", "revoke", "acme", created["keyId"].as_str().unwrap()]).await;
    assert_eq!(status(second.to_owned()).await, 401);
    assert_eq!(status(platform.key.clone()).await, 200);
    platform.operate(&["project", "suspend", "acme"]).await;
    assert_eq!(status(platform.key.clone()).await, 403);
    platform.operate(&["project", "resume", "acme"]).await;
    assert_eq!(status(platform.key.clone()).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_the_program_log_or_the_event_log() {
    let platform = TestPlatform::start().await;
    let video_id = platform.upload("clip.mp4", clip::video_with_audio(1, "64x48").await).await;
    let status = platform.wait_for_end(&video_id, 1).await;
    play(&platform, &status).await;
    let secrets: Value =
        serde_json::from_slice(&std::fs::read(platform.data().join("secrets.json")).unwrap()).unwrap();
    let feed = platform.get("/events?limit=100").await.to_string();
    let mut outputs = vec![("log", log(&platform.data())), ("feed", feed)];
    outputs.push((
        "events",
        String::from_utf8_lossy(&std::fs::read(platform.data().join("log.db")).unwrap()).into(),
    ));
    for (name, text) in outputs {
        assert!(!text.is_empty());
        for secret in [
            platform.key.as_str(),
            secrets["s3SecretAccessKey"].as_str().unwrap(),
            "X-Amz-Signature",
            "PRIVATE KEY",
            "Signature=",
        ] {
            assert!(!text.contains(secret), "{name} contains {secret}: {text}");
        }
    }
}
