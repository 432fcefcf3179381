//! A grant takes one upload, over real HTTP.

use std::convert::Infallible;
use std::ffi::OsString;

use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value, json};
use streamio_events::api_key::ApiKey;
use streamio_events::id::{ProjectId, VideoId};
use streamio_events::media::{MediaSource, Outputs};
use streamio_events::object_key::SourceKey;
use streamio_events::sqlite::SqliteLog;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::decide::{self, Start};
use streamio_events::video::{Video, decide_and_append, load};
use streamio_local::operator::{IfMissing, NewKeyOptions, Operator};
use streamio_local::platform::{Config, Platform};

use super::{TestPlatform, config, send, until};

/// The size of the parts of a multipart upload.
const PART: usize = 16 * 1024 * 1024;

fn acme() -> ProjectId {
    "acme".parse().unwrap()
}

/// A platform whose workers do nothing until they are stopped.
async fn start() -> TestPlatform {
    let directory = tempfile::tempdir().unwrap();
    let idle: Vec<OsString> = ["sh", "-c", "exec sleep 600"].map(OsString::from).to_vec();
    let config = Config { worker_command: idle, ..config(directory.path()) };
    let platform = Platform::start(config).await.unwrap();
    let operator = Operator::open(directory.path(), IfMissing::Fail).unwrap();
    let key = operator.create_project(&acme(), None).await.unwrap().api_key;
    TestPlatform { directory, platform, key }
}

/// Sends a request to a URL of a response.
async fn follow(method: &str, url: &str, body: Bytes) -> Response<Bytes> {
    let (authority, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let request = Request::builder().method(method).uri(format!("/{path}")).body(body).unwrap();
    send(authority, request).await
}

async fn put(grant: &Value, body: &'static [u8]) {
    let stored = follow("PUT", grant["uploadUrl"].as_str().unwrap(), Bytes::from_static(body)).await;
    assert_eq!(stored.status(), 200, "{:?}", stored.body());
}

impl TestPlatform {
    async fn grant(&self, request: &Value) -> Value {
        self.call("POST", "/upload-url", &request.to_string()).await
    }

    async fn status(&self, grant: &Value) -> Value {
        self.call("GET", &format!("/videos/{}", grant["videoId"].as_str().unwrap()), "").await
    }

    async fn until_state(&self, grant: &Value, state: &str) {
        until(&format!("the state is {state}"), async || self.status(grant).await["state"] == state).await;
    }

    /// Waits until the video has an event with this error code.
    async fn until_rejected(&self, grant: &Value, code: &str) {
        let path = format!("/videos/{}/events", grant["videoId"].as_str().unwrap());
        until(&format!("an upload is rejected as {code}"), async || {
            let events = self.call("GET", &path, "").await;
            let events = events["data"].as_array().unwrap();
            events.iter().any(|it| it["type"] == "upload.rejected" && it["data"]["error"]["code"] == code)
        })
        .await;
    }

    /// Records what a worker records that processes and publishes the video.
    async fn process(&self, grant: &Value) {
        self.until_state(grant, "processing").await;
        let log = SqliteLog::open(self.directory.path().join("log.db")).unwrap();
        let key: SourceKey = grant["s3Key"].as_str().unwrap().parse().unwrap();
        let video_id = VideoId::of(&key);
        let decide = async |decide: &(dyn Fn(&Video) -> decide::Decision + Sync)| {
            let now = Timestamp::from_unix_seconds(1_800_000_000);
            let project_id = acme();
            let decided = decide_and_append(&log, &project_id, &video_id, now, |video| {
                Ok::<_, Infallible>(Some(decide(video)))
            });
            let Ok(_) = decided.await.unwrap();
        };
        let job = load(&log, &acme(), &video_id).await.unwrap().job.unwrap();
        assert!(job.version_id.is_some(), "a job names the version");
        let processed = key.processed();
        let source = MediaSource {
            duration_seconds: 1.0,
            width: None,
            height: None,
            rotation: 0,
            frame_rate: None,
            video_codec: None,
            audio_codec: Some("aac".to_owned()),
            bytes: 7,
            warnings: Vec::new(),
        };
        let (hls_key, poster_key) = (processed.hls_master(), None);
        let outputs = Outputs { hls_key, poster_key, mp4_key: processed, renditions: vec![] };
        decide(&|video| match decide::start(video, &job, "worker") {
            Start::Run(decision) => decision,
            other => panic!("{other:?}"),
        })
        .await;
        decide(&|video| decide::complete(video, &job, "worker", source.clone(), outputs.clone()).unwrap())
            .await;
        decide(&|video| decide::ready(video, &job).unwrap()).await;
        self.until_state(grant, "ready").await;
    }

    /// The contents of all versions of a source, by size.
    fn sizes(&self, name: &str) -> Vec<i64> {
        let database = self.objects();
        let query =
            "SELECT size FROM objects WHERE bucket = 'raw' AND key = 'projects/acme/' || ?1 ORDER BY size";
        let mut statement = database.prepare(query).unwrap();
        statement.query_map([name], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    pub(super) async fn stop(self) {
        self.platform.run_until(async {}).await;
    }
}

#[tokio::test]
async fn a_used_url_does_not_change_a_ready_video() {
    let test = start().await;
    let grant = test.grant(&json!({ "filename": "clip.mp4" })).await;
    put(&grant, b"no film").await;
    test.process(&grant).await;
    put(&grant, b"other bytes").await;
    test.until_rejected(&grant, "grant_used").await;
    let status = test.status(&grant).await;
    assert_eq!((&status["state"], &status["generation"]), (&json!("ready"), &json!(1)), "{status}");
    assert_eq!(test.sizes("clip.mp4"), [7, 11], "the rejected version can still be looked at");
    // What is processed again is the version that was accepted.
    test.call("POST", &format!("/videos/{}/reprocess", grant["videoId"].as_str().unwrap()), "").await;
    test.process(&grant).await;
    test.stop().await;
}

#[tokio::test]
async fn a_used_url_does_not_take_the_grant_of_another_upload() {
    let test = start().await;
    let first = test.grant(&json!({ "filename": "clip.mp4" })).await;
    put(&first, b"no film").await;
    test.process(&first).await;
    let second = test.grant(&json!({ "filename": "clip.mp4", "overwrite": true })).await;
    put(&first, b"other bytes").await;
    test.until_rejected(&first, "grant_used").await;
    assert_eq!(test.status(&first).await["generation"], 1);
    put(&second, b"another film").await;
    test.until_state(&second, "processing").await;
    assert_eq!(test.status(&second).await["generation"], 2);
    test.stop().await;
}

#[tokio::test]
async fn a_client_cannot_name_another_grant_than_that_of_its_url() {
    let test = start().await;
    let first = test.grant(&json!({ "filename": "clip.mp4" })).await;
    let second = test.grant(&json!({ "filename": "clip.mp4" })).await;
    let url = first["uploadUrl"].as_str().unwrap();
    let (authority, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let second_id = second["grantId"].as_str().unwrap();
    let beside = Request::put(format!("/{path}")).header("x-amz-meta-streamio-grant", second_id);
    let replaced = Request::put(format!("/{}", path.replace(first["grantId"].as_str().unwrap(), second_id)));
    let parameter = format!("x-amz-meta-streamio-grant={}&", first["grantId"].as_str().unwrap());
    let removed = Request::put(format!("/{}", path.replace(&parameter, "")));
    for request in [beside, replaced, removed] {
        let response = send(authority, request.body(Bytes::from_static(b"no film")).unwrap()).await;
        assert_eq!(response.status(), 403, "{:?}", response.body());
    }
    assert!(test.sizes("clip.mp4").is_empty());
    test.stop().await;
}

/// The object names the grant that the multipart upload was created for.
#[tokio::test]
async fn an_upload_in_parts_is_completed_with_the_urls_of_a_later_grant() {
    let test = start().await;
    let mut request = json!({ "filename": "clip.mp4", "multipart": true, "size": 7 });
    let first = test.grant(&request).await;
    request["uploadId"] = first["multipart"]["uploadId"].clone();
    let second = test.grant(&request).await;
    assert_ne!(first["grantId"], second["grantId"]);
    let part = second["multipart"]["parts"][0]["url"].as_str().unwrap();
    let stored = follow("PUT", part, Bytes::from_static(b"no film")).await;
    let etag = stored.headers()["etag"].to_str().unwrap();
    let list = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    let complete = second["multipart"]["completeUrl"].as_str().unwrap();
    assert_eq!(follow("POST", complete, Bytes::from(list)).await.status(), 200);
    test.until_state(&second, "processing").await;
    test.stop().await;
}

#[tokio::test]
async fn a_put_after_a_deletion_does_not_bring_the_video_back() {
    let test = start().await;
    let grant = test.grant(&json!({ "filename": "clip.mp4" })).await;
    put(&grant, b"no film").await;
    test.until_state(&grant, "processing").await;
    test.call("DELETE", &format!("/videos/{}", grant["videoId"].as_str().unwrap()), "").await;
    until("its source is removed", async || test.sizes("clip.mp4").is_empty()).await;
    put(&grant, b"once more").await;
    test.until_rejected(&grant, "grant_used").await;
    assert_eq!(test.status(&grant).await["state"], "deleted");
    // A new grant is a new try.
    let again = test.grant(&json!({ "filename": "clip.mp4" })).await;
    assert_eq!(again["videoId"], grant["videoId"]);
    put(&again, b"another film").await;
    test.until_state(&again, "processing").await;
    assert_eq!(test.status(&again).await["generation"], 2);
    test.stop().await;
}

#[tokio::test]
async fn an_upload_under_a_grant_of_a_key_that_was_revoked_since_is_rejected() {
    let test = start().await;
    let operator = Operator::open(test.directory.path(), IfMissing::Fail).unwrap();
    let scopes = vec![streamio_events::event::Scope::Upload];
    let options = NewKeyOptions { scopes, label: None, expires_in: None };
    let other = operator.create_key(&acme(), &options).await.unwrap();
    let first = TestPlatform { key: ApiKey::clone(&other.api_key), ..test };
    until("the key is known", async || {
        let authority = first.platform.addresses().api.strip_prefix("http://").unwrap();
        let request = Request::post("/upload-url").header("x-api-key", first.key.reveal());
        let request = request.body(Bytes::from_static(br#"{"filename":"probe.mp4"}"#)).unwrap();
        send(authority, request).await.status() == 200
    })
    .await;
    let grant = first.grant(&json!({ "filename": "clip.mp4" })).await;
    operator.revoke_key(&acme(), &other.key_id, None).await.unwrap();
    put(&grant, b"no film").await;
    let log = SqliteLog::open(first.directory.path().join("log.db")).unwrap();
    let video_id: VideoId = grant["videoId"].as_str().unwrap().parse().unwrap();
    until("the upload is rejected", async || {
        let video = load(&log, &acme(), &video_id).await.unwrap();
        let error = video.status().and_then(|status| status.error);
        error.is_some_and(|error| error.code == "grant_revoked")
    })
    .await;
    first.stop().await;
}

#[tokio::test]
async fn a_multipart_upload_that_is_completed_without_its_second_part_is_rejected() {
    let test = start().await;
    let request = json!({ "filename": "clip.mp4", "multipart": true, "size": PART + 3 });
    let grant = test.grant(&request).await;
    let part = grant["multipart"]["parts"][0]["url"].as_str().unwrap();
    let stored = follow("PUT", part, Bytes::from(vec![b'x'; PART])).await;
    assert_eq!(stored.status(), 200, "{:?}", stored.body());
    let etag = stored.headers()["etag"].to_str().unwrap();
    let list = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    let complete = grant["multipart"]["completeUrl"].as_str().unwrap();
    let completed = follow("POST", complete, Bytes::from(list)).await;
    assert_eq!(completed.status(), 200, "{:?}", completed.body());
    test.until_rejected(&grant, "size_mismatch").await;
    let status = test.status(&grant).await;
    assert_eq!((&status["state"], &status["error"]["code"]), (&json!("errored"), &json!("size_mismatch")));
    test.stop().await;
}

#[tokio::test]
async fn the_checksum_of_a_grant_is_that_of_the_stored_object() {
    let test = start().await;
    // Of `bytes`. S3 refuses other bytes by itself; an upload with these is accepted.
    let sha256 = "277089d91c0bdf4f2e6862ba7e4a07605119431f5d13f726dd352b06f1b206a9";
    let request = json!({ "filename": "clip.mp4", "contentType": "video/mp4", "sha256": sha256 });
    let grant = test.grant(&request).await;
    let (authority, path) =
        grant["uploadUrl"].as_str().unwrap().strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut put = Request::put(format!("/{path}"));
    for (name, value) in grant["headers"].as_object().unwrap() {
        put = put.header(name, value.as_str().unwrap());
    }
    let stored = send(authority, put.body(Bytes::from_static(b"bytes")).unwrap()).await;
    assert_eq!(stored.status(), 200, "{:?}", stored.body());
    test.until_state(&grant, "processing").await;
    test.stop().await;
}

#[tokio::test]
async fn a_waiting_video_shows_when_it_expires_and_is_then_left_out_of_lists() {
    let test = start().await;
    let waiting = test.grant(&json!({ "filename": "waiting.mp4" })).await;
    let status = test.status(&waiting).await;
    assert_eq!((&status["state"], &status["expiresAt"]), (&json!("waiting"), &waiting["expiresAt"]));
    let grant = test.grant(&json!({ "filename": "clip.mp4", "expiresIn": 1 })).await;
    test.until_state(&grant, "expired").await;
    let status = test.status(&grant).await;
    assert_eq!((&status["expiresAt"], &status["error"]), (&Value::Null, &Value::Null), "{status}");
    let listed = async |query: &str| test.call("GET", &format!("/videos{query}"), "").await["data"].clone();
    until("lists show it only if they are asked for it", async || {
        let (all, expired) = (listed("").await, listed("?state=expired").await);
        let ids = |list: &Value| -> Vec<Value> {
            list.as_array().unwrap().iter().map(|video| video["videoId"].clone()).collect()
        };
        ids(&all) == [waiting["videoId"].clone()] && ids(&expired) == [grant["videoId"].clone()]
    })
    .await;
    test.stop().await;
}
