use std::sync::Arc;

use serde_json::json;

use crate::fake_server::{FakeServer, Fault, Hold, ReceivedRequest, store_error};
use crate::run::{finish, start};
use crate::upload::{TestUpload, command, interrupt, upload};
use crate::video::view;

const CONTENT: &[u8] = b"one.two.three.four";
const KEY: &str = "projects/acme/clip.mp4";
/// The id of `KEY`.
const ID: &str = "vid_vzupqv3n6bto4qbxksyw62q3re";
/// One part at a time, so that the test knows which are stored.
const IN_ORDER: &[&str] = &["--multipart", "--parallel", "1"];

fn parts_sent(server: &FakeServer) -> Vec<String> {
    let number = |target: &str| {
        target.split("partNumber=").nth(1).and_then(|rest| rest.split('&').next()).map(str::to_owned)
    };
    server.requests("PUT /s3/").iter().filter_map(|request| number(&request.target)).collect()
}

/// Kills a run when parts 1 and 2 are stored and part 3 is being sent.
async fn killed_at_part_3(server: &FakeServer, test_upload: &TestUpload) {
    let hold = Arc::new(Hold::default());
    server.inject(&format!("PUT /s3/{KEY}?partNumber=3"), [Fault::Hold(hold.clone())]);
    let mut child = start(command(server, test_upload, IN_ORDER));
    hold.reached.notified().await;
    child.kill().await.unwrap();
}

fn state_files(test_upload: &TestUpload) -> usize {
    let entries = std::fs::read_dir(test_upload.state()).unwrap();
    entries
        .filter(|entry| {
            entry.as_ref().unwrap().path().extension().is_some_and(|extension| extension == "json")
        })
        .count()
}

#[tokio::test]
async fn a_file_is_uploaded_in_parts_and_its_state_file_is_removed() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(CONTENT));
    let run = upload(&server, &test_upload, &["--multipart", "--checksum", "--json"]).await.ok();
    assert_eq!(server.state().store.objects[KEY], CONTENT);
    assert_eq!(run.json()["bytes"], CONTENT.len());
    let mut sent = parts_sent(&server);
    sent.sort();
    assert_eq!(sent, ["1", "2", "3", "4", "5"]);
    assert!(server.requests("PUT /s3/").iter().all(|request| request.headers["content-md5"].len() == 24));
    assert_eq!(server.requests("POST /s3/")[0].headers["if-none-match"], "*");
    let request = server.requests("POST /upload-url")[0].json();
    assert_eq!(
        (&request["multipart"], &request["size"], request.get("sha256")),
        (&json!(true), &json!(18), None)
    );
    assert_eq!(state_files(&test_upload), 0);
}

#[tokio::test]
async fn each_part_is_retried_separately() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(CONTENT));
    server.inject(
        &format!("PUT /s3/{KEY}?partNumber=2"),
        [Fault::CutBefore, store_error(503, "SlowDown", "slow"), Fault::CutAfter],
    );
    let run = upload(&server, &test_upload, IN_ORDER).await.ok();
    assert_eq!(server.state().store.objects[KEY], CONTENT);
    assert_eq!(parts_sent(&server), ["1", "2", "2", "2", "3", "4", "5"]);
    assert_eq!(run.stderr.matches("part 2: ").count(), 3, "{run:?}");
    assert!(run.stderr.contains("100 % (18 B of 18 B)"), "bytes of failed tries are not counted: {run:?}");
}

#[tokio::test]
async fn a_killed_run_is_resumed_with_new_urls_for_the_missing_parts() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(CONTENT));
    killed_at_part_3(&server, &test_upload).await;
    assert_eq!(parts_sent(&server), ["1", "2", "3"]);

    let run = upload(&server, &test_upload, &["--multipart", "--parallel", "1", "--json"]).await.ok();
    assert_eq!(server.state().store.objects[KEY], CONTENT);
    assert_eq!(parts_sent(&server), ["1", "2", "3", "3", "4", "5"]);
    assert_eq!(run.json()["resumedBytes"], 8);
    let grants = server.requests("POST /upload-url");
    assert_eq!(
        grants.iter().map(|request| request.json()["uploadId"].clone()).collect::<Vec<_>>(),
        [json!(null), json!("upload-1")]
    );
    assert_eq!(state_files(&test_upload), 0);
}

#[tokio::test]
async fn an_interrupted_run_reports_that_it_can_be_resumed() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(CONTENT));
    let hold = Arc::new(Hold::default());
    server.inject(&format!("PUT /s3/{KEY}?partNumber=4"), [Fault::Hold(hold.clone())]);
    let child = start(command(&server, &test_upload, &["--multipart", "--parallel", "1", "--quiet"]));
    hold.reached.notified().await;
    interrupt(&child);
    let interrupted = finish(child).await;
    insta::assert_snapshot!(interrupted.transcript(), @r"
    exit 130
    --- stdout
    --- stderr
    error: interrupted: 3 of 5 parts are stored; run the same command again to send only the rest
    ");
    let run = upload(&server, &test_upload, IN_ORDER).await.ok();
    assert!(run.stderr.contains("Resuming: 12 B of 18 B are stored"), "{run:?}");
    assert_eq!(server.state().store.objects[KEY], CONTENT);
}

#[tokio::test]
async fn a_changed_file_is_another_upload() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(CONTENT));
    killed_at_part_3(&server, &test_upload).await;
    std::fs::write(test_upload.file(), b"something else").unwrap();
    let run = upload(&server, &test_upload, &["--multipart", "--json"]).await.ok();
    assert_eq!(run.json()["resumedBytes"], 0);
    assert_eq!(server.state().store.objects[KEY], b"something else");
}

#[tokio::test]
async fn a_run_fails_if_new_urls_are_rejected_too_and_can_be_resumed() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(CONTENT));
    let denied = store_error(403, "AccessDenied", "Request has expired");
    server.inject(&format!("PUT /s3/{KEY}?partNumber=3"), std::iter::repeat_n(denied, 4));
    let run = upload(&server, &test_upload, &["--multipart", "--parallel", "1", "--quiet"]).await;
    insta::assert_snapshot!(run.transcript(), @r"
    exit 4
    --- stdout
    --- stderr
    error: the object store refused the upload: AccessDenied, Request has expired (HTTP 403, request S3R); check this machine's clock: signed URLs are valid for a limited time only; 2 parts are stored; run the same command again to send only the rest
    ");
    assert_eq!(parts_sent(&server), ["1", "2", "3", "3", "3", "3"]);
    upload(&server, &test_upload, IN_ORDER).await.ok();
    assert_eq!(parts_sent(&server)[6..], ["3", "4", "5"]);
}

#[tokio::test]
async fn expired_urls_are_replaced() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(CONTENT));
    let expired = store_error(403, "AccessDenied", "Request has expired");
    server.inject(&format!("PUT /s3/{KEY}?partNumber=2"), [expired.clone()]);
    server.inject(&format!("POST /s3/{KEY}"), [expired]);
    upload(&server, &test_upload, IN_ORDER).await.ok();
    assert_eq!(server.requests("POST /upload-url").len(), 3);
    assert_eq!(server.state().store.objects[KEY], CONTENT);
}

#[tokio::test]
async fn an_upload_that_no_longer_exists_is_started_again() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(CONTENT));
    killed_at_part_3(&server, &test_upload).await;
    server.state().store.uploads.clear();
    let run = upload(&server, &test_upload, IN_ORDER).await.ok();
    assert!(run.stderr.contains("no longer exists; starting again"), "{run:?}");
    assert_eq!(server.state().store.objects[KEY], CONTENT);
}

#[tokio::test]
async fn an_error_in_a_response_with_status_200_is_retried() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(CONTENT));
    server.inject(
        &format!("POST /s3/{KEY}"),
        [store_error(200, "InternalError", "We encountered an internal error.")],
    );
    upload(&server, &test_upload, IN_ORDER).await.ok();
    assert_eq!(server.requests("POST /s3/").len(), 2);
    assert_eq!(server.state().store.objects[KEY], CONTENT);
}

#[tokio::test]
async fn a_completion_whose_response_was_lost_is_recognized() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(CONTENT));
    server.state().views_after_upload = [view("uploaded", 1, 2)].into();
    server.inject(&format!("POST /s3/{KEY}"), [Fault::CutAfter]);
    upload(&server, &test_upload, IN_ORDER).await.ok();
    assert_eq!(server.requests("POST /s3/").len(), 2);
    assert_eq!(state_files(&test_upload), 0);
}

#[tokio::test]
async fn an_upload_that_cannot_succeed_is_aborted_and_its_state_file_is_removed() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(CONTENT));
    server.inject(
        &format!("POST /s3/{KEY}"),
        [store_error(412, "PreconditionFailed", "There is one already.")],
    );
    let run = upload(&server, &test_upload, &["--multipart", "--json"]).await;
    assert_eq!((run.code, &run.error()["storageCode"]), (Some(4), &json!("PreconditionFailed")));
    assert_eq!(server.requests("DELETE /s3/").len(), 1);
    assert!(server.state().store.uploads.is_empty());
    assert_eq!(state_files(&test_upload), 0);
}

#[tokio::test]
async fn a_video_that_is_there_is_refused_before_any_part_is_sent() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(CONTENT));
    server.state().views.insert(ID.to_owned(), [view("ready", 1, 9)].into());
    let run = upload(&server, &test_upload, &["--multipart", "--json"]).await;
    assert_eq!((run.code, &run.error()["code"]), (Some(4), &json!("already_uploaded")));
    assert!(server.requests("PUT ").is_empty());
    assert!(server.state().store.uploads.is_empty(), "the multipart upload is aborted");
    assert_eq!(state_files(&test_upload), 0);
}

#[tokio::test]
async fn another_try_after_a_failed_upload_is_resumed_without_the_condition() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(CONTENT));
    server.state().views.insert(ID.to_owned(), [view("errored", 1, 9)].into());
    killed_at_part_3(&server, &test_upload).await;
    upload(&server, &test_upload, IN_ORDER).await.ok();
    assert_eq!(parts_sent(&server), ["1", "2", "3", "3", "4", "5"]);
    assert!(!server.requests("POST /s3/")[0].headers.contains_key("if-none-match"));
    let requests: Vec<_> = server.requests("POST /upload-url").iter().map(ReceivedRequest::json).collect();
    let overwrite: Vec<_> = requests.iter().map(|request| request.get("overwrite")).collect();
    assert_eq!(overwrite, [Some(&json!(false)), None, None]);
    assert!(requests[1..].iter().all(|request| request["uploadId"] == "upload-1"), "{requests:?}");
}

#[tokio::test]
async fn a_unique_upload_is_resumed_under_the_key_that_was_granted() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(CONTENT));
    let arguments = ["--multipart", "--parallel", "1", "--unique", "--path", "films", "--json"];
    let expired = store_error(403, "AccessDenied", "Request has expired");
    let third = "PUT /s3/projects/acme/films/folder-1/clip.mp4?partNumber=3";
    server.inject(third, std::iter::repeat_n(expired, 4));
    assert_eq!(upload(&server, &test_upload, &arguments).await.code, Some(4));
    let run = upload(&server, &test_upload, &arguments).await.ok();
    assert_eq!(run.json()["s3Key"], "projects/acme/films/folder-1/clip.mp4");
    assert_eq!(run.json()["resumedBytes"], 8);
    let last = server.requests("POST /upload-url").last().unwrap().json();
    assert_eq!((&last["path"], last.get("unique")), (&json!("films/folder-1"), None));
}

#[tokio::test]
async fn a_second_run_of_the_same_upload_is_refused() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(CONTENT));
    let hold = Arc::new(Hold::default());
    server.inject(&format!("PUT /s3/{KEY}?partNumber=1"), [Fault::Hold(hold.clone())]);
    let first = start(command(&server, &test_upload, IN_ORDER));
    hold.reached.notified().await;
    let second = upload(&server, &test_upload, IN_ORDER).await;
    assert!(second.code == Some(1) && second.stderr.contains("another run of this command"), "{second:?}");
    hold.release.notify_one();
    finish(first).await.ok();
    assert_eq!(server.state().store.objects[KEY], CONTENT);
}
