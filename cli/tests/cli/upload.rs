use std::path::{Path, PathBuf};

use serde_json::json;

use crate::fake_server::{FakeServer, Fault, problem, store_error};
use crate::run::{Run, api_key, client, normalized, run};
use crate::video::view;

/// A temporary directory with a file to upload and the state of uploads.
pub(crate) struct TestUpload {
    directory: tempfile::TempDir,
}

impl TestUpload {
    pub(crate) fn new(content: &[u8]) -> Self {
        let test_upload = Self { directory: tempfile::tempdir().unwrap() };
        std::fs::write(test_upload.file(), content).unwrap();
        test_upload
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.directory.path().join("clip.mp4")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }
}

pub(crate) fn command(
    server: &FakeServer,
    test_upload: &TestUpload,
    arguments: &[&str],
) -> tokio::process::Command {
    let file = test_upload.file();
    let file = file.to_str().unwrap();
    client(server, &test_upload.state(), &[&["upload", file], arguments].concat())
}

pub(crate) async fn upload(server: &FakeServer, test_upload: &TestUpload, arguments: &[&str]) -> Run {
    run(command(server, test_upload, arguments)).await
}

fn transcript(run: &Run, server: &FakeServer, test_upload: &TestUpload) -> String {
    let directory = test_upload.directory.path().to_str().unwrap();
    normalized(&run.transcript(), &[(server.url(), "http://SERVER"), (directory, "DIR")])
}

#[tokio::test]
async fn a_small_file_is_sent_with_one_put_and_exactly_the_granted_headers() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(b"hello video"));
    let run = upload(
        &server,
        &test_upload,
        &[
            "--path",
            "films/2026",
            "--name",
            "a b.mp4",
            "--content-type",
            "video/mp4",
            "--metadata",
            "lesson=3",
            "--metadata",
            "note=a=b",
            "--checksum",
        ],
    )
    .await
    .ok();
    insta::assert_snapshot!(transcript(&run, &server, &test_upload), @r"
    exit 0
    --- stdout
    Uploaded clip.mp4 (11 B in N s) to projects/acme/films/2026/a b.mp4 as vid_kcn3gbjytoidom2tcpna3xrgpd
    It is being processed: see `streamio video show vid_kcn3gbjytoidom2tcpna3xrgpd`
    --- stderr
    Uploading clip.mp4: 100 % (11 B of 11 B)
    ");
    assert_eq!(
        server.state().store.objects["projects/acme/films/2026/a b.mp4".replace(' ', "%20").as_str()],
        b"hello video"
    );
    insta::assert_json_snapshot!(server.requests("POST /upload-url")[0].json(), @r#"
    {
      "contentType": "video/mp4",
      "filename": "a b.mp4",
      "metadata": {
        "lesson": "3",
        "note": "a=b"
      },
      "overwrite": false,
      "path": "films/2026",
      "sha256": "rIq8WH/Uizu41IxbTm0mUNIxJ22XwdJQVLPoqIWYF+E=",
      "size": 11
    }
    "#);
    let put = &server.requests("PUT /s3/")[0];
    let sent: Vec<_> = ["content-length", "content-type", "if-none-match", "x-amz-checksum-sha256"]
        .map(|name| put.headers[name].as_str())
        .into();
    assert_eq!(sent, ["11", "video/mp4", "*", "rIq8WH/Uizu41IxbTm0mUNIxJ22XwdJQVLPoqIWYF+E="]);
    assert!(
        !put.headers.contains_key("transfer-encoding") && !put.headers.contains_key("x-api-key"),
        "{put:?}"
    );
}

#[tokio::test]
async fn json_output_is_one_value() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(b"hello video"));
    let run = upload(&server, &test_upload, &["--json", "--quiet"]).await.ok();
    insta::assert_json_snapshot!(run.json(), @r#"
    {
      "bytes": 11,
      "grantId": "grt_aaaaaaaaaaaaaaaaaaaaaaaaaa",
      "hlsKey": "processed/acme/clip.mp4.hls/master.m3u8",
      "mp4Key": "processed/acme/clip.mp4",
      "resumedBytes": 0,
      "s3Key": "projects/acme/clip.mp4",
      "videoId": "vid_vzupqv3n6bto4qbxksyw62q3re"
    }
    "#);
    assert_eq!(run.stderr, "");
}

#[tokio::test]
async fn an_empty_file_is_sent_as_it_is() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(b""));
    upload(&server, &test_upload, &["--multipart"]).await.ok();
    assert_eq!(server.state().store.objects["projects/acme/clip.mp4"], b"");
    assert_eq!(server.requests("PUT /s3/")[0].headers["content-length"], "0");
}

#[tokio::test]
async fn a_failing_store_is_retried() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(b"hello video"));
    server.inject(
        "PUT /s3/",
        [store_error(503, "SlowDown", "Reduce your request rate."), Fault::CutBefore, Fault::CutAfter],
    );
    let run = upload(&server, &test_upload, &["--json"]).await.ok();
    assert_eq!(server.state().store.objects["projects/acme/clip.mp4"], b"hello video");
    assert_eq!(run.stderr.matches("trying again in ").count(), 3, "{run:?}");
}

#[tokio::test]
async fn an_expired_url_is_replaced_once() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(b"hello video"));
    let expired = store_error(403, "AccessDenied", "Request has expired");
    server.inject("PUT /s3/", [expired.clone()]);
    upload(&server, &test_upload, &[]).await.ok();
    let grants = server.requests("POST /upload-url");
    assert_eq!(grants.len(), 2);
    assert_ne!(grants[0].headers["idempotency-key"], grants[1].headers["idempotency-key"]);
    server.inject("PUT /s3/", [expired.clone(), expired]);
    let run = upload(&server, &test_upload, &["--quiet"]).await;
    insta::assert_snapshot!(transcript(&run, &server, &test_upload), @r"
    exit 4
    --- stdout
    --- stderr
    error: the object store refused the upload: AccessDenied, Request has expired (HTTP 403, request S3R); check this machine's clock: signed URLs are valid for a limited time only
    ");
    assert!(!run.transcript().contains("s3cr3t"));
}

#[tokio::test]
async fn a_file_that_the_store_has_is_refused_but_not_after_a_lost_response() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(b"hello video"));
    let taken = store_error(
        412,
        "PreconditionFailed",
        "At least one of the pre-conditions you specified did not hold",
    );
    server.inject("PUT /s3/", [taken.clone()]);
    let run = upload(&server, &test_upload, &["--quiet"]).await;
    insta::assert_snapshot!(transcript(&run, &server, &test_upload), @r"
    exit 4
    --- stdout
    --- stderr
    error: a file with this key exists already (HTTP 412, request S3R); use --overwrite to replace it, --unique to store this file under a key of its own, or another --path or --name
    ");

    server.state().views_after_upload = [view("uploaded", 1, 2)].into();
    server.inject("PUT /s3/", [Fault::CutAfter, taken]);
    upload(&server, &test_upload, &[]).await.ok();
}

#[tokio::test]
async fn a_file_whose_response_was_lost_before_its_url_expired_is_recognized() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(b"hello video"));
    server.state().views_after_upload = [view("uploaded", 1, 2)].into();
    let expired = store_error(403, "AccessDenied", "Request has expired");
    let taken = store_error(412, "PreconditionFailed", "It exists.");
    server.inject("PUT /s3/", [Fault::CutAfter, expired, taken]);
    upload(&server, &test_upload, &[]).await.ok();
}

#[tokio::test]
async fn a_key_that_may_not_read_learns_that_the_file_may_be_from_the_earlier_try() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(b"hello video"));
    let denied = problem(403, "missing-scope", "The API key may not do this", "It lacks `read`.", None);
    server.inject("GET /videos/", [denied]);
    server.inject("PUT /s3/", [Fault::CutAfter, store_error(412, "PreconditionFailed", "It exists.")]);
    let run = upload(&server, &test_upload, &["--quiet"]).await;
    insta::assert_snapshot!(transcript(&run, &server, &test_upload), @r"
    exit 4
    --- stdout
    --- stderr
    error: a file with this key exists already (HTTP 412, request S3R); it may be this file, stored by a try whose response was lost: check its state with a key that has the scope read, or use --overwrite to replace it, --unique to store this file under a key of its own, or another --path or --name
    ");
}

#[tokio::test]
async fn a_video_that_is_there_is_replaced_only_with_overwrite() {
    let id = "vid_vzupqv3n6bto4qbxksyw62q3re";
    for state in ["uploaded", "processing", "ready"] {
        let (server, test_upload) = (FakeServer::start().await, TestUpload::new(b"hello video"));
        server.state().views.insert(id.to_owned(), [view(state, 1, 9)].into());
        let run = upload(&server, &test_upload, &["--json"]).await;
        assert_eq!((run.code, run.stdout.as_str()), (Some(4), ""), "{run:?}");
        let error = run.error();
        assert_eq!((&error["code"], &error["videoId"]), (&json!("already_uploaded"), &json!(id)));
        assert!(server.requests("PUT ").is_empty(), "nothing is sent");

        upload(&server, &test_upload, &["--overwrite"]).await.ok();
        assert_eq!(server.requests("POST /upload-url")[1].json()["overwrite"], true);
        assert!(!server.requests("PUT ")[0].headers.contains_key("if-none-match"));
    }
}

#[tokio::test]
async fn the_refusal_names_the_options_that_help() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(b"hello video"));
    let id = "vid_vzupqv3n6bto4qbxksyw62q3re";
    server.state().views.insert(id.to_owned(), [view("ready", 1, 9)].into());
    let run = upload(&server, &test_upload, &["--quiet"]).await;
    insta::assert_snapshot!(transcript(&run, &server, &test_upload), @r"
    exit 4
    --- stdout
    --- stderr
    error: nothing was uploaded: projects/acme/clip.mp4 already has a video (ready); use --overwrite to replace it, --unique to store this file under a key of its own, or another --path or --name
    ");
}

#[tokio::test]
async fn after_a_failed_or_deleted_upload_the_file_is_simply_another_try() {
    let id = "vid_vzupqv3n6bto4qbxksyw62q3re";
    for state in ["waiting", "errored", "deleted"] {
        let (server, test_upload) = (FakeServer::start().await, TestUpload::new(b"hello video"));
        server.state().views.insert(id.to_owned(), [view(state, 1, 9)].into());
        upload(&server, &test_upload, &[]).await.ok();
        // The store may have the object of the failed upload: it must not refuse this one.
        assert!(!server.requests("PUT ")[0].headers.contains_key("if-none-match"), "{state}");
        let requests = server.requests("POST /upload-url");
        assert_eq!(requests.last().unwrap().json().get("overwrite"), None, "{state}");
    }
}

#[tokio::test]
async fn a_unique_upload_has_a_key_of_its_own_which_is_shown() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(b"hello video"));
    let expired = store_error(403, "AccessDenied", "Request has expired");
    server.inject("PUT /s3/", [expired]);
    let run = upload(&server, &test_upload, &["--unique", "--path", "films", "--json"]).await.ok();
    assert_eq!(server.requests("POST /upload-url")[0].json()["unique"], true);
    assert_eq!(run.json()["s3Key"], "projects/acme/films/folder-2/clip.mp4");
    assert_eq!(server.requests("GET /videos/").len(), 2, "each grant is for another video");
    assert_eq!(server.state().store.objects["projects/acme/films/folder-2/clip.mp4"], b"hello video");
    let both = upload(&server, &test_upload, &["--unique", "--overwrite"]).await;
    assert_eq!(both.code, Some(2));
}

#[tokio::test]
async fn a_missing_file_is_exit_code_3_and_nothing_is_sent() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(b""));
    std::fs::remove_file(test_upload.file()).unwrap();
    let run = upload(&server, &test_upload, &["--json"]).await;
    assert_eq!((run.code, &run.error()["kind"]), (Some(3), &json!("not_found")));
    assert!(server.requests("").is_empty());
}

#[tokio::test]
async fn no_output_or_state_file_contains_the_key_or_a_signed_url() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(b"hello video"));
    server
        .inject("PUT /s3/", [store_error(500, "InternalError", "oops"), store_error(400, "BadDigest", "no")]);
    for arguments in [&["--json"][..], &[], &["--multipart", "--json"], &["--multipart"]] {
        let transcript = upload(&server, &test_upload, arguments).await.transcript();
        assert!(!transcript.contains("s3cr3t") && !transcript.contains(api_key().reveal()), "{transcript}");
    }
    let state_files = read_files(&test_upload.state());
    assert!(state_files.iter().all(|text| !text.contains("s3cr3t") && !text.contains(api_key().reveal())));
}

fn read_files(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).map(|entries| entries.filter_map(Result::ok).collect::<Vec<_>>());
    entries
        .unwrap_or_default()
        .iter()
        .filter_map(|entry| std::fs::read_to_string(entry.path()).ok())
        .collect()
}

#[tokio::test]
async fn an_interrupted_put_reports_that_the_file_is_not_stored() {
    let (server, test_upload) = (FakeServer::start().await, TestUpload::new(b"hello video"));
    let hold = std::sync::Arc::new(crate::fake_server::Hold::default());
    server.inject("PUT /s3/", [Fault::Hold(hold.clone())]);
    let child = crate::run::start(command(&server, &test_upload, &["--quiet"]));
    hold.reached.notified().await;
    interrupt(&child);
    let run = crate::run::finish(child).await;
    insta::assert_snapshot!(run.transcript(), @r"
    exit 130
    --- stdout
    --- stderr
    error: interrupted: the file is not stored; run the command again; with --multipart an interrupted upload can be resumed
    ");
}

/// Sends SIGINT, as Ctrl-C does.
pub(crate) fn interrupt(child: &tokio::process::Child) {
    let id =
        child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
}
