//! Names in another Unicode normalization form than NFC, as macOS gives them.

use crate::fake_server::FakeServer;
use crate::upload::{TestUpload, upload};
use crate::video::{call, view};

/// `été`, decomposed and composed.
const NFD: &str = "e\u{301}te\u{301}";
const NFC: &str = "\u{e9}t\u{e9}";

#[tokio::test]
async fn a_decomposed_name_is_sent_as_it_is_and_the_key_that_was_answered_is_shown() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(b"hello video"));
    let file = test_upload.file().with_file_name(format!("{NFD}.mov"));
    std::fs::rename(test_upload.file(), &file).unwrap();
    let arguments = ["upload", file.to_str().unwrap(), "--path", NFD];
    let run = call(&server, &arguments).await.ok();
    let request = server.requests("POST /upload-url")[0].json();
    assert_eq!((&request["filename"], &request["path"]), (&format!("{NFD}.mov").into(), &NFD.into()));
    assert!(run.stdout.contains(&format!(" to projects/acme/{NFC}/{NFC}.mov as vid_")), "{run:?}");
    let json = call(&server, &[&arguments[..], &["--overwrite", "--json"]].concat()).await.ok().json();
    assert_eq!(json["s3Key"], format!("projects/acme/{NFC}/{NFC}.mov"));
}

#[tokio::test]
async fn an_interrupted_upload_of_a_decomposed_name_is_resumed() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(b"one.two.three.four"));
    let arguments = ["--name", &format!("{NFD}.mov"), "--multipart", "--parallel", "1"];
    let rejected = crate::fake_server::store_error(403, "AccessDenied", "Request has expired");
    let third = format!("PUT /s3/projects/acme/{}.mov?partNumber=3", "%C3%A9t%C3%A9");
    server.inject(&third, std::iter::repeat_n(rejected, 4));
    let interrupted = upload(&server, &test_upload, &arguments).await;
    assert_eq!(interrupted.code, Some(4), "{interrupted:?}");
    let run = upload(&server, &test_upload, &[&arguments[..], &["--json"]].concat()).await.ok();
    assert_eq!(run.json()["resumedBytes"], 8);
    assert_eq!(run.json()["s3Key"], format!("projects/acme/{NFC}.mov"));
}

#[tokio::test]
async fn a_decomposed_key_names_the_video_and_the_output_of_the_composed_one() {
    let server = FakeServer::start().await;
    let key: streamio_events::object_key::SourceKey = format!("projects/acme/{NFC}.mov").parse().unwrap();
    let id = streamio_events::id::VideoId::of(&key).to_string();
    server.state().views.insert(id, [view("ready", 1, 9)].into());
    call(&server, &["video", "show", &format!("projects/acme/{NFD}.mov")]).await.ok();
    server.state().responses =
        [("POST /playback-url".to_owned(), serde_json::json!({"signedUrl": "https://cdn/x"}))].into();
    call(&server, &["playback-url", &format!("processed/acme/{NFD}.mov")]).await.ok();
    let target = &server.requests("POST /playback-url")[0].target;
    assert_eq!(target, "/playback-url?key=processed%2Facme%2F%C3%A9t%C3%A9.mov");
}
