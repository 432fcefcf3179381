use std::path::{Path, PathBuf};

use serde_json::json;

use crate::fake::{Fake, Fault, store_error};
use crate::run::{Run, api_key, client, run, settled};

/// A directory with a file to upload and a place for what is remembered.
pub(crate) struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new(content: &[u8]) -> Self {
        let place = Self { directory: tempfile::tempdir().unwrap() };
        std::fs::write(place.file(), content).unwrap();
        place
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.directory.path().join("clip.mp4")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }
}

pub(crate) fn command(fake: &Fake, place: &Place, arguments: &[&str]) -> tokio::process::Command {
    let file = place.file();
    let file = file.to_str().unwrap();
    client(fake, &place.state(), &[&["upload", file], arguments].concat())
}

pub(crate) async fn upload(fake: &Fake, place: &Place, arguments: &[&str]) -> Run {
    run(command(fake, place, arguments)).await
}

fn shown(run: &Run, fake: &Fake, place: &Place) -> String {
    let directory = place.directory.path().to_str().unwrap();
    settled(&run.transcript(), &[(fake.url(), "http://SERVER"), (directory, "DIR")])
}

#[tokio::test]
async fn a_small_file_goes_in_one_put_with_exactly_the_granted_headers() {
    let (fake, place) = (Fake::start().await, Place::new(b"hello video"));
    let run = upload(
        &fake,
        &place,
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
            "--no-overwrite",
            "--checksum",
        ],
    )
    .await
    .ok();
    insta::assert_snapshot!(shown(&run, &fake, &place), @r"
    exit 0
    --- stdout
    Uploaded clip.mp4 (11 B in N s) as vid_kcn3gbjytoidom2tcpna3xrgpd
    Its processing has begun: see `streamio video show vid_kcn3gbjytoidom2tcpna3xrgpd`
    --- stderr
    Uploading clip.mp4: 100 % (11 B of 11 B)
    ");
    assert_eq!(
        fake.state().store.objects["projects/acme/films/2026/a b.mp4".replace(' ', "%20").as_str()],
        b"hello video"
    );
    insta::assert_json_snapshot!(fake.seen("POST /upload-url")[0].json(), @r#"
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
    let put = &fake.seen("PUT /s3/")[0];
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
async fn programs_get_one_value() {
    let (fake, place) = (Fake::start().await, Place::new(b"hello video"));
    let run = upload(&fake, &place, &["--json", "--quiet"]).await.ok();
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
    let (fake, place) = (Fake::start().await, Place::new(b""));
    upload(&fake, &place, &["--multipart"]).await.ok();
    assert_eq!(fake.state().store.objects["projects/acme/clip.mp4"], b"");
    assert_eq!(fake.seen("PUT /s3/")[0].headers["content-length"], "0");
}

#[tokio::test]
async fn a_store_that_stumbles_is_tried_again() {
    let (fake, place) = (Fake::start().await, Place::new(b"hello video"));
    fake.fault(
        "PUT /s3/",
        [store_error(503, "SlowDown", "Reduce your request rate."), Fault::CutBefore, Fault::CutAfter],
    );
    let run = upload(&fake, &place, &["--json"]).await.ok();
    assert_eq!(fake.state().store.objects["projects/acme/clip.mp4"], b"hello video");
    assert_eq!(run.stderr.matches("trying again in ").count(), 3, "{run:?}");
}

#[tokio::test]
async fn an_expired_url_is_replaced_once() {
    let (fake, place) = (Fake::start().await, Place::new(b"hello video"));
    let expired = store_error(403, "AccessDenied", "Request has expired");
    fake.fault("PUT /s3/", [expired.clone()]);
    upload(&fake, &place, &[]).await.ok();
    let grants = fake.seen("POST /upload-url");
    assert_eq!(grants.len(), 2);
    assert_ne!(grants[0].headers["idempotency-key"], grants[1].headers["idempotency-key"]);
    fake.fault("PUT /s3/", [expired.clone(), expired]);
    let run = upload(&fake, &place, &["--quiet"]).await;
    insta::assert_snapshot!(shown(&run, &fake, &place), @r"
    exit 4
    --- stdout
    --- stderr
    error: the object store refused the upload: AccessDenied, Request has expired (HTTP 403, request S3R); check this machine's clock: signed URLs hold for a limited time only
    ");
    assert!(!run.transcript().contains("s3cr3t"));
}

#[tokio::test]
async fn a_place_that_is_taken_is_refused_but_not_by_our_own_lost_answer() {
    let (fake, place) = (Fake::start().await, Place::new(b"hello video"));
    let taken = store_error(
        412,
        "PreconditionFailed",
        "At least one of the pre-conditions you specified did not hold",
    );
    fake.fault("PUT /s3/", [taken.clone()]);
    let run = upload(&fake, &place, &["--no-overwrite", "--quiet"]).await;
    insta::assert_snapshot!(shown(&run, &fake, &place), @r"
    exit 4
    --- stdout
    --- stderr
    error: the object store refused the upload: PreconditionFailed, At least one of the pre-conditions you specified did not hold (HTTP 412, request S3R); there is already a file at this place: choose another --path or --name, or leave out --no-overwrite
    ");

    fake.state().views_after_upload = [crate::video::view("uploaded", 1, 2)].into();
    fake.fault("PUT /s3/", [Fault::CutAfter, taken]);
    upload(&fake, &place, &["--no-overwrite"]).await.ok();
}

#[tokio::test]
async fn a_file_that_is_not_there_is_exit_code_3_and_nothing_is_sent() {
    let (fake, place) = (Fake::start().await, Place::new(b""));
    std::fs::remove_file(place.file()).unwrap();
    let run = upload(&fake, &place, &["--json"]).await;
    assert_eq!((run.code, &run.error()["kind"]), (Some(3), &json!("not_found")));
    assert!(fake.seen("").is_empty());
}

#[tokio::test]
async fn no_output_ever_holds_the_key_or_a_signed_url() {
    let (fake, place) = (Fake::start().await, Place::new(b"hello video"));
    fake.fault("PUT /s3/", [store_error(500, "InternalError", "oops"), store_error(400, "BadDigest", "no")]);
    for arguments in [&["--json"][..], &[], &["--multipart", "--json"], &["--multipart"]] {
        let transcript = upload(&fake, &place, arguments).await.transcript();
        assert!(!transcript.contains("s3cr3t") && !transcript.contains(api_key().reveal()), "{transcript}");
    }
    let remembered = files_below(&place.state());
    assert!(remembered.iter().all(|text| !text.contains("s3cr3t") && !text.contains(api_key().reveal())));
}

fn files_below(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).map(|entries| entries.filter_map(Result::ok).collect::<Vec<_>>());
    entries
        .unwrap_or_default()
        .iter()
        .filter_map(|entry| std::fs::read_to_string(entry.path()).ok())
        .collect()
}

#[tokio::test]
async fn ctrl_c_in_one_piece_says_that_nothing_is_stored() {
    let (fake, place) = (Fake::start().await, Place::new(b"hello video"));
    let hold = std::sync::Arc::new(crate::fake::Hold::default());
    fake.fault("PUT /s3/", [Fault::Hold(hold.clone())]);
    let child = crate::run::start(command(&fake, &place, &["--quiet"]));
    hold.reached.notified().await;
    interrupt(&child);
    let run = crate::run::finish(child).await;
    insta::assert_snapshot!(run.transcript(), @r"
    exit 130
    --- stdout
    --- stderr
    error: interrupted: nothing of the file is stored; run the command again; with --multipart an interrupted upload can be resumed
    ");
}

/// Ctrl-C.
pub(crate) fn interrupt(child: &tokio::process::Child) {
    let id =
        child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
}
