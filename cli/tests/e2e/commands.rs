//! The commands that use a platform, against a real one.

use serde_json::Value;

use crate::clip;
use crate::harness::{TestPlatform, json_of};

/// The error object of a command that failed, and its exit code.
pub(crate) fn error_of(output: &std::process::Output) -> (Option<i32>, Value) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let error: Value = serde_json::from_str(stderr.lines().last().unwrap_or_default()).unwrap();
    (output.status.code(), error["error"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_video_is_replaced_only_with_overwrite_and_can_be_uploaded_again_after_its_deletion() {
    let platform = TestPlatform::start().await;
    let file = platform.directory.path().join("clip.mp4");
    let upload = ["upload", file.to_str().unwrap(), "--wait"];
    std::fs::write(&file, clip::video_with_audio(1, "320x180").await).unwrap();
    let first = json_of(&platform.client(&upload).await);
    std::fs::write(&file, clip::video_with_audio(1, "160x90").await).unwrap();

    for arguments in [&upload[..], &[&upload[..], &["--multipart"]].concat()] {
        let (code, error) = error_of(&platform.client(arguments).await);
        assert_eq!((code, &error["code"]), (Some(4), &"already_uploaded".into()), "{error}");
    }
    let key = first["s3Key"].as_str().unwrap();
    let unchanged = json_of(&platform.client(&["video", "show", key]).await);
    assert_eq!((&unchanged["generation"], &unchanged["source"]), (&first["generation"], &first["source"]));

    let second = json_of(&platform.client(&[&upload[..], &["--overwrite"]].concat()).await);
    assert_eq!((&second["state"], &second["source"]["width"]), (&"ready".into(), &160.into()), "{second}");

    let (code, error) = error_of(&platform.client(&["video", "delete", key]).await);
    assert_eq!(code, Some(2), "{error}");
    assert_eq!(json_of(&platform.client(&["video", "delete", key, "--yes"]).await)["state"], "deleted");
    let third = json_of(&platform.client(&upload).await);
    assert_eq!(third["state"], "ready", "{third}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decomposed_file_name_is_uploaded_shown_and_signed() {
    let platform = TestPlatform::start().await;
    let file = platform.directory.path().join("e\u{301}te\u{301}.mp4");
    std::fs::write(&file, clip::video_with_audio(1, "64x48").await).unwrap();
    let status = json_of(&platform.client(&["upload", file.to_str().unwrap(), "--wait"]).await);
    assert_eq!(status["s3Key"], "projects/acme/\u{e9}t\u{e9}.mp4");
    let key = "projects/acme/e\u{301}te\u{301}.mp4";
    let shown = json_of(&platform.client(&["video", "show", key]).await);
    assert_eq!(shown["videoId"], status["videoId"]);
    let key = "processed/acme/e\u{301}te\u{301}.mp4";
    let grant = json_of(&platform.client(&["playback-url", key]).await);
    let video = platform.http.get(grant["signedUrl"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(video.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_without_the_scope_learns_which_one_it_needs() {
    let platform = TestPlatform::start().await;
    let created = platform.operate(&["key", "create", "acme", "--scope", "upload"]).await;
    let arguments = ["video", "list", "--api-key", created["apiKey"].as_str().unwrap()];
    let (code, error) = error_of(&platform.client(&arguments).await);
    assert_eq!((code, &error["missingScope"]), (Some(4), &"read".into()), "{error}");
    assert!(error["hint"].as_str().unwrap().contains("--scope read"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_input_is_named_as_the_option_of_the_command_line() {
    let platform = TestPlatform::start().await;
    let file = platform.directory.path().join("clip.mp4");
    std::fs::write(&file, "clip").unwrap();
    let upload = ["upload", file.to_str().unwrap()];
    for (arguments, expected) in [
        (["--content-type", "video"], "`--content-type` must be a media type such as video/mp4 "),
        (["--name", "a/b.mp4"], "`--name` contains a slash; give folders in `--path` "),
        (["--metadata", "A=b"], "`--metadata A` must be named with "),
    ] {
        let (code, error) = error_of(&platform.client(&[&upload[..], &arguments].concat()).await);
        let message = error["message"].as_str().unwrap();
        assert!(code == Some(4) && message.starts_with(expected), "{error}");
    }
    let (code, error) = error_of(&platform.client(&["video", "list", "--limit", "0"]).await);
    let message = error["message"].as_str().unwrap();
    assert!(code == Some(4) && message.starts_with("`--limit` must be a whole number "), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn unique_uploads_of_one_name_are_different_videos_that_can_be_filtered_changed_and_played() {
    let platform = TestPlatform::start().await;
    let file = platform.directory.path().join("clip.mp4");
    std::fs::write(&file, clip::video_with_audio(1, "64x48").await).unwrap();
    let upload = ["upload", file.to_str().unwrap(), "--wait", "--unique", "--path", "films"];
    let first = [&upload[..], &["--metadata", "lesson=1"]].concat();
    let first = json_of(&platform.client(&first).await);
    let second = json_of(&platform.client(&[&upload[..], &["--multipart"]].concat()).await);
    assert_ne!(first["s3Key"], second["s3Key"]);
    for status in [&first, &second] {
        let key = status["s3Key"].as_str().unwrap();
        assert!(key.starts_with("projects/acme/films/") && key.ends_with("/clip.mp4"), "{status}");
        assert_eq!(status["state"], "ready", "{status}");
    }

    let id = first["videoId"].as_str().unwrap();
    let listed = async |filter: &[&str]| {
        let page = json_of(&platform.client(&[&["video", "list"], filter].concat()).await);
        let ids = page["data"].as_array().unwrap().iter().map(|video| video["videoId"].clone());
        ids.collect::<Vec<_>>()
    };
    assert_eq!(listed(&["--metadata", "lesson=1"]).await, [first["videoId"].clone()]);
    assert_eq!(listed(&["--prefix", "films/", "--state", "ready"]).await.len(), 2);
    assert_eq!(listed(&["--prefix", "other/"]).await, [""; 0]);
    let update = ["video", "update", id, "--metadata", "reviewed=yes", "--remove-metadata", "lesson"];
    let updated = json_of(&platform.client(&update).await);
    assert_eq!(updated["metadata"], serde_json::json!({"reviewed": "yes"}));
    let (code, error) = error_of(&platform.client(&["video", "update", id, "--metadata", "A=b"]).await);
    assert!(code == Some(4) && error["message"].as_str().unwrap().starts_with("`--metadata A` "), "{error}");

    let grant = json_of(&platform.client(&["playback", id, "--ttl", "10m"]).await);
    for name in ["hlsUrl", "mp4Url", "posterUrl"] {
        let response = platform.http.get(grant[name].as_str().unwrap()).send().await.unwrap();
        assert_eq!(response.status(), 200, "{name}: {grant}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_is_read_to_its_end_and_continued_from_its_position() {
    let platform = TestPlatform::start().await;
    let video_id = platform.upload("text.mp4", b"not a video".to_vec()).await;
    platform.wait_for_end(&video_id, 1).await;
    let types = async |arguments: &[&str]| {
        let output = platform.client(&[&["events", "feed"], arguments].concat()).await;
        assert!(output.status.success(), "{output:?}");
        let lines = String::from_utf8(output.stdout).unwrap();
        let kinds = lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["type"].as_str().unwrap().to_owned());
        let note = String::from_utf8(output.stderr).unwrap();
        let position = note.trim().rsplit(' ').next().unwrap_or_default().to_owned();
        (kinds.collect::<Vec<_>>(), position)
    };
    let (kinds, position) = types(&[]).await;
    assert_eq!(kinds.last().map(String::as_str), Some("video.errored"), "{kinds:?}");
    assert_eq!(types(&["--after", &position]).await, (vec![], position.clone()));
    platform.grant("another.mp4").await;
    let (kinds, _) = types(&["--after", &position]).await;
    assert_eq!(kinds, ["upload.granted"]);
}
