//! The commands that use a platform, against a real one.

use serde_json::Value;

use crate::clip;
use crate::harness::{TestPlatform, json_of};

/// The error object of a command that failed, and its exit code.
fn error_of(output: &std::process::Output) -> (Option<i32>, Value) {
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
