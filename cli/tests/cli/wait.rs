use serde_json::{Value, json};

use crate::fake_server::{FakeServer, Fault, problem, store};
use crate::run::normalized;
use crate::upload::{TestUpload, upload};
use crate::video::view;

const CONTENT: &[u8] = b"hello video";
/// The id of `projects/acme/clip.mp4`.
fn id() -> String {
    let key: streamio_events::object_key::SourceKey = "projects/acme/clip.mp4".parse().unwrap();
    streamio_events::id::VideoId::of(&key).to_string()
}

fn completed(version: u64, generation: u32, etag: &str) -> Value {
    json!({"type": "upload.completed", "streamversion": version, "data": {"generation": generation, "etag": etag}})
}

fn own_etag() -> String {
    store::etag(CONTENT).trim_matches('"').to_owned()
}

#[tokio::test]
async fn wait_ends_when_the_video_can_be_played() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(CONTENT));
    {
        let mut state = server.state();
        state.views_after_upload =
            [view("waiting", 0, 1), view("uploaded", 1, 2), view("processing", 1, 4), view("ready", 1, 9)]
                .into();
        state.events = vec![completed(2, 1, &own_etag())];
    }
    let run = upload(&server, &test_upload, &["--wait"]).await.ok();
    insta::assert_snapshot!(normalized(&run.transcript(), &[]), @r"
    exit 0
    --- stdout
    Video:      vid_aaaaaaaaaaaaaaaaaaaaaaaaaa
    State:      ready
    Source key: projects/acme/clip.mp4
    Source:     5.3 s, 1280x720, 25 fps, h264, aac, 1.01 MiB
    Renditions: 720p (2500 kbit/s), 360p (800 kbit/s)
    HLS key:    processed/acme/clip.mp4.hls/master.m3u8
    MP4 key:    processed/acme/clip.mp4
    Poster key: processed/acme/clip.mp4.images/poster.jpg
    Metadata:   lesson=3
    Upload:     generation 1, attempt 1
    Created:    2026-01-02T03:04:05.000Z
    Updated:    2026-01-02T03:05:05.000Z
    --- stderr
    Uploading clip.mp4: 100 % (11 B of 11 B)
    Uploaded clip.mp4 (11 B in N s) to projects/acme/clip.mp4 as vid_vzupqv3n6bto4qbxksyw62q3re
    Processing clip.mp4: 40 %
    Processing clip.mp4: 100 %

    Play it: streamio playback 'projects/acme/clip.mp4'
    ");
}

#[tokio::test]
async fn json_output_of_wait_is_the_status_view() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(CONTENT));
    server.state().views_after_upload = [view("ready", 1, 9)].into();
    server.state().events = vec![completed(2, 1, &own_etag())];
    assert_eq!(upload(&server, &test_upload, &["--wait", "--json"]).await.ok().json(), view("ready", 1, 9));
}

#[tokio::test]
async fn the_outcome_of_another_upload_is_ignored() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(CONTENT));
    {
        let mut state = server.state();
        state.views.insert(id(), [view("ready", 1, 9)].into());
        // The view lags behind, then shows another upload, then this one.
        state.views_after_upload =
            [view("ready", 1, 9), view("ready", 2, 15), view("processing", 3, 18), view("ready", 3, 20)]
                .into();
        let other_events = vec![completed(2, 1, &own_etag()), completed(11, 2, "another")];
        state.events = [other_events.clone(), vec![completed(16, 3, &own_etag())]].concat();
        state.earlier_events = [other_events].into();
    }
    let run = upload(&server, &test_upload, &["--wait", "--overwrite", "--json"]).await.ok();
    assert_eq!(run.json()["generation"], 3);
}

#[tokio::test]
async fn a_failed_video_is_exit_code_6_with_the_reason() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(CONTENT));
    server.state().views_after_upload = [view("processing", 1, 4), view("errored", 1, 6)].into();
    server.state().events = vec![completed(2, 1, &own_etag())];
    let run = upload(&server, &test_upload, &["--wait", "--json", "--quiet"]).await;
    assert_eq!((run.code, &run.json()["state"]), (Some(6), &json!("errored")));
    insta::assert_json_snapshot!(run.error(), @r#"
    {
      "code": "not_media",
      "exitCode": 6,
      "kind": "video_errored",
      "message": "the upload could not be processed: The file is not a media file; upload a video (not_media)",
      "retryable": false,
      "videoId": "vid_aaaaaaaaaaaaaaaaaaaaaaaaaa"
    }
    "#);
}

#[tokio::test]
async fn a_rejected_upload_to_an_existing_video_is_reported() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(CONTENT));
    {
        let mut state = server.state();
        state.views.insert(id(), [view("ready", 1, 9)].into());
        state.views_after_upload = [view("ready", 1, 9), view("ready", 1, 11)].into();
        let error = json!({"code": "too_large", "message": "The file is too large.", "retryable": false});
        state.events = vec![rejected(11, &error)];
    }
    let run = upload(&server, &test_upload, &["--wait", "--overwrite", "--json"]).await;
    assert_eq!((run.code, &run.error()["code"]), (Some(4), &json!("too_large")));
    assert_eq!(run.stdout, "", "the video that is there is not the result");
}

fn rejected(version: u64, error: &Value) -> Value {
    let data = json!({"etag": own_etag(), "bytes": CONTENT.len(), "error": error});
    json!({"type": "upload.rejected", "streamversion": version, "data": data})
}

#[tokio::test]
async fn an_upload_that_another_one_preceded_is_rejected_and_the_options_are_named() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(CONTENT));
    {
        let mut state = server.state();
        state.views_after_upload = [view("processing", 1, 4)].into();
        let message = "there is a video under this key; request an upload URL with \"overwrite\": true";
        let error = json!({"code": "already_uploaded", "message": message, "retryable": false});
        let other = json!({"etag": "another", "bytes": 99, "generation": 1});
        let other = json!({"type": "upload.completed", "streamversion": 2, "data": other});
        state.events = vec![other, rejected(3, &error)];
    }
    let run = upload(&server, &test_upload, &["--wait", "--quiet"]).await;
    insta::assert_snapshot!(run.transcript(), @r"
    exit 4
    --- stdout
    --- stderr
    error: the upload was rejected: there is a video under this key (already_uploaded); use --overwrite to replace it, --unique to store this file under a key of its own, or another --path or --name
    ");
}

#[tokio::test]
async fn wait_ends_at_once_when_the_first_upload_of_a_video_is_rejected() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(CONTENT));
    let error = json!({"code": "size_mismatch", "message": "The file has another size.", "retryable": false});
    server.state().views_after_upload = [view("waiting", 0, 1), view("errored", 0, 2)].into();
    server.state().events = vec![rejected(2, &error)];
    let run = upload(&server, &test_upload, &["--wait", "--json"]).await;
    assert_eq!((run.code, &run.error()["code"]), (Some(4), &json!("size_mismatch")));
}

#[tokio::test]
async fn wait_ends_at_once_when_an_upload_in_parts_without_an_entity_tag_is_rejected() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(CONTENT));
    let error = json!({"code": "size_mismatch", "message": "The file has another size.", "retryable": false});
    server.state().views_after_upload = [view("errored", 0, 2)].into();
    server.state().events = vec![rejected(2, &error)];
    let whole = "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>";
    server.inject("POST /s3/", [Fault::RespondAfter(200, whole.to_owned())]);
    let run = upload(&server, &test_upload, &["--wait", "--multipart", "--json"]).await;
    assert_eq!((run.code, &run.error()["code"]), (Some(4), &json!("size_mismatch")));
}

#[tokio::test]
async fn a_file_that_was_sent_twice_because_a_response_was_lost_is_accepted() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(CONTENT));
    let error = json!({"code": "grant_used", "message": "The grant was used.", "retryable": false});
    server.state().views_after_upload = [view("ready", 1, 9)].into();
    server.state().events = vec![completed(2, 1, &own_etag()), rejected(3, &error)];
    server.inject("PUT /s3/", [Fault::CutAfter]);
    upload(&server, &test_upload, &["--wait", "--overwrite"]).await.ok();
}

#[tokio::test]
async fn wait_retries_during_an_outage() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(CONTENT));
    server.state().views_after_upload = [view("processing", 1, 4), view("ready", 1, 9)].into();
    server.state().events = vec![completed(2, 1, &own_etag())];
    let busy = problem(503, "unavailable", "The service cannot do this right now", "Try again.", None);
    server.inject(&format!("GET /videos/{}/events", id()), [Fault::CutBefore, busy.clone()]);
    upload(&server, &test_upload, &["--wait"]).await.ok();
}

#[tokio::test]
async fn a_wait_timeout_is_exit_code_5() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(CONTENT));
    server.state().views_after_upload = [view("processing", 1, 4)].into();
    server.state().events = vec![completed(2, 1, &own_etag())];
    let run = upload(&server, &test_upload, &["--wait", "--wait-timeout", "1ms", "--quiet"]).await;
    insta::assert_snapshot!(run.transcript(), @r"
    exit 5
    --- stdout
    --- stderr
    error: processing did not end within --wait-timeout; check it later with `streamio video show vid_vzupqv3n6bto4qbxksyw62q3re`
    ");
}

#[tokio::test]
async fn wait_fails_before_the_upload_if_the_key_may_not_read() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(CONTENT));
    let denied =
        problem(403, "missing-scope", "The API key may not do this", "It lacks the scope `read`.", None);
    server.inject("GET /videos/", [denied.clone()]);
    assert_eq!(upload(&server, &test_upload, &["--wait"]).await.code, Some(4));
    assert!(server.requests("PUT ").is_empty());
    server.inject("GET /videos/", [denied]);
    upload(&server, &test_upload, &[]).await.ok();
}

#[tokio::test]
async fn an_interrupted_wait_reports_that_the_file_is_stored() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(CONTENT));
    server.state().views_after_upload = [view("processing", 1, 4)].into();
    server.state().events = vec![completed(2, 1, &own_etag())];
    let hold = std::sync::Arc::new(crate::fake_server::Hold::default());
    server.inject(&format!("GET /videos/{}/events", id()), [Fault::Hold(hold.clone())]);
    let child = crate::run::start(crate::upload::command(&server, &test_upload, &["--wait", "--quiet"]));
    hold.reached.notified().await;
    crate::upload::interrupt(&child);
    insta::assert_snapshot!(crate::run::finish(child).await.transcript(), @r"
    exit 130
    --- stdout
    --- stderr
    error: interrupted: the file is stored and its processing continues; see `streamio video show vid_vzupqv3n6bto4qbxksyw62q3re`
    ");
}
