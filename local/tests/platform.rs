//! The platform in the test process: its data directory, and the views that are rebuilt from its log.

#[path = "platform/archive.rs"]
mod archive;
#[path = "platform/audit.rs"]
mod audit;
#[path = "platform/backups.rs"]
mod backups;
#[path = "platform/uploads.rs"]
mod uploads;
#[path = "platform/webhooks.rs"]
mod webhooks;

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use streamio_events::api_key::ApiKey;
use streamio_events::limits::ProjectLimits;
use streamio_events::webhook::endpoint_url::Rules;
use streamio_local::data_dir::DataDirError;
use streamio_local::operator::{IfMissing, Operator};
use streamio_local::platform::{
    CheckpointIntervals, Config, EdgeRuntime, LogFormat, PROCESSED_BUCKET, Platform, RAW_BUCKET,
};
use streamio_local::s3::{Store, StoreOptions, Versioning, Watch};
use tokio::net::TcpStream;

fn config(directory: &std::path::Path) -> Config {
    Config {
        data_dir: directory.to_owned(),
        port: 0,
        concurrency: Some(1),
        allowed_origins: vec![],
        rate_limits: None,
        project_limits: ProjectLimits::UNLIMITED,
        webhook_urls: Rules::default(),
        checkpoint_intervals: CheckpointIntervals {
            signed: Duration::from_millis(100),
            ..CheckpointIntervals::default()
        },
        // These tests never need a worker.
        worker_command: vec!["false".into()],
        edge: EdgeRuntime::Native,
        log_format: LogFormat::Text,
    }
}

/// Sends a request as it is: a client library would normalize its path and headers.
async fn send(authority: &str, mut request: Request<Bytes>) -> Response<Bytes> {
    let stream = TcpStream::connect(authority).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    request.headers_mut().insert("host", authority.parse().unwrap());
    let response = sender.send_request(request.map(Full::new)).await.unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    connection.abort();
    Response::from_parts(head, body)
}

#[tokio::test]
async fn a_second_platform_on_the_same_directory_is_refused_and_a_restart_keeps_the_ports() {
    let directory = tempfile::tempdir().unwrap();
    let platform = Platform::start(config(directory.path())).await.unwrap();
    let addresses = platform.addresses().clone();
    let second = Platform::start(config(directory.path())).await.err().unwrap();
    assert!(matches!(second.downcast_ref(), Some(DataDirError::InUse(_))), "{second}");
    platform.run_until(async {}).await;
    let again = Platform::start(config(directory.path())).await.unwrap();
    assert_eq!(again.addresses(), &addresses);
    again.run_until(async {}).await;
}

#[tokio::test]
async fn the_bucket_of_sources_is_versioned_also_in_a_directory_where_it_was_not() {
    let directory = tempfile::tempdir().unwrap();
    let platform = Platform::start(config(directory.path())).await.unwrap();
    let objects = platform.data_dir().objects();
    platform.run_until(async {}).await;
    let versioning = async || {
        let store = Store::open(&objects, StoreOptions::default()).await.unwrap();
        let buckets = store.buckets().await.unwrap();
        buckets.into_iter().map(|bucket| (bucket.name, bucket.versioning)).collect::<Vec<_>>()
    };
    let expected =
        [(PROCESSED_BUCKET.to_owned(), Versioning::Off), (RAW_BUCKET.to_owned(), Versioning::Enabled)];
    assert_eq!(versioning().await, expected);

    std::fs::remove_dir_all(&objects).unwrap();
    let store = Store::open(&objects, StoreOptions::default()).await.unwrap();
    store.create_bucket(RAW_BUCKET, Watch::Created).await.unwrap();
    drop(store);
    Platform::start(config(directory.path())).await.unwrap().run_until(async {}).await;
    assert_eq!(versioning().await, expected);
}

#[tokio::test]
async fn deleted_views_are_rebuilt_from_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let platform = Platform::start(config(directory.path())).await.unwrap();
    let operator = Operator::open(directory.path(), IfMissing::Fail).unwrap();
    let key = operator.create_project(&"acme".parse().unwrap(), None).await.unwrap().api_key;
    let authority = platform.addresses().api.strip_prefix("http://").unwrap().to_owned();
    let call = async |method: &str, path: &str, body: &'static [u8]| {
        let request = Request::builder().method(method).uri(path).header("x-api-key", key.reveal());
        send(&authority, request.body(Bytes::from_static(body)).unwrap()).await
    };
    let granted = call("POST", "/upload-url", br#"{"filename":"clip.mp4"}"#).await;
    assert_eq!(granted.status(), 200, "{:?}", granted.body());
    let listed = loop {
        let listed = call("GET", "/videos", b"").await.into_body();
        if listed.windows(4).any(|four| four == b"vid_") {
            break listed;
        }
    };
    platform.run_until(async {}).await;
    for file in ["views.db", "views.db-wal", "views.db-shm"] {
        let _ = std::fs::remove_file(directory.path().join(file));
    }
    let platform = Platform::start(config(directory.path())).await.unwrap();
    assert_eq!(call("GET", "/videos", b"").await.into_body(), listed, "byte for byte");
    platform.run_until(async {}).await;
}

/// A platform with a project, over the protocols that its users have.
struct TestPlatform {
    directory: tempfile::TempDir,
    platform: Platform,
    key: ApiKey,
}

impl TestPlatform {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let platform = Platform::start(config(directory.path())).await.unwrap();
        let operator = Operator::open(directory.path(), IfMissing::Fail).unwrap();
        let key = operator.create_project(&"acme".parse().unwrap(), None).await.unwrap().api_key;
        Self { directory, platform, key }
    }

    async fn restart(self) -> Self {
        let Self { directory, platform, key } = self;
        platform.run_until(async {}).await;
        let platform = Platform::start(config(directory.path())).await.unwrap();
        Self { directory, platform, key }
    }

    async fn call(&self, method: &str, path: &str, body: &str) -> Value {
        let authority = self.platform.addresses().api.strip_prefix("http://").unwrap();
        let request = Request::builder().method(method).uri(path).header("x-api-key", self.key.reveal());
        let response = send(authority, request.body(Bytes::from(body.to_owned())).unwrap()).await;
        assert!(response.status().is_success(), "{method} {path}: {:?}", response.body());
        serde_json::from_slice(response.body()).unwrap_or_default()
    }

    /// Uploads a file of this name and returns the id of its video.
    async fn upload(&self, name: &str) -> String {
        let granted = self.call("POST", "/upload-url", &json!({ "filename": name }).to_string()).await;
        let url = granted["uploadUrl"].as_str().unwrap().strip_prefix("http://").unwrap();
        let (authority, path) = url.split_once('/').unwrap();
        let request = Request::put(format!("/{path}")).body(Bytes::from_static(b"no film")).unwrap();
        let stored = send(authority, request).await;
        assert_eq!(stored.status(), 200, "{:?}", stored.body());
        granted["videoId"].as_str().unwrap().to_owned()
    }

    /// A connection to the object store's own database.
    fn objects(&self) -> rusqlite::Connection {
        let database = rusqlite::Connection::open(self.directory.path().join("s3/objects.db")).unwrap();
        database.busy_timeout(Duration::from_secs(10)).unwrap();
        database
    }

    /// Makes the deletion of the row for `name` in `table` fail, as a full disk would.
    fn refuse_deletion(&self, table: &str, name: &str) {
        let trigger = format!(
            "CREATE TRIGGER refuse BEFORE DELETE ON {table} WHEN old.key = 'projects/acme/{name}'
             BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
        );
        self.objects().execute_batch(&trigger).unwrap();
    }

    fn allow_deletion(&self) {
        self.objects().execute_batch("DROP TRIGGER refuse").unwrap();
    }

    fn has_object(&self, name: &str) -> bool {
        let query = "SELECT count(*) FROM objects WHERE bucket = 'raw' AND key = 'projects/acme/' || ?1";
        self.objects().query_row(query, [name], |row| row.get::<_, i64>(0)).unwrap() > 0
    }

    async fn until_received(&self, id: &str) {
        until(&format!("{id} is received"), async || {
            self.call("GET", &format!("/videos/{id}"), "").await["state"] != "waiting"
        })
        .await;
    }
}

async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let started_at = Instant::now();
    while !is_so().await {
        assert!(started_at.elapsed() < Duration::from_secs(15), "after 15 s it is not so that {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_reaction_that_fails_is_retried_without_delaying_other_streams_also_after_a_restart() {
    let test = TestPlatform::start().await;
    let mut ids = Vec::new();
    for name in ["first.mp4", "second.mp4", "third.mp4"] {
        ids.push(test.upload(name).await);
        test.until_received(ids.last().unwrap()).await;
    }
    test.refuse_deletion("objects", "first.mp4");
    test.call("DELETE", &format!("/videos/{}", ids[0]), "").await;
    test.call("DELETE", &format!("/videos/{}", ids[1]), "").await;
    until("the object of the second video is removed", async || !test.has_object("second.mp4")).await;
    assert!(test.has_object("first.mp4"));

    // The position has advanced past the failed one by now, which must not be forgotten.
    let test = test.restart().await;
    test.call("DELETE", &format!("/videos/{}", ids[2]), "").await;
    until("the object of the third video is removed", async || !test.has_object("third.mp4")).await;
    assert!(test.has_object("first.mp4"));
    test.allow_deletion();
    until("the object of the first video is removed", async || !test.has_object("first.mp4")).await;
    test.platform.run_until(async {}).await;
}

#[tokio::test]
async fn an_upload_whose_notification_stays_does_not_delay_other_uploads() {
    let test = TestPlatform::start().await;
    test.refuse_deletion("notices", "first.mp4");
    let first = test.upload("first.mp4").await;
    test.until_received(&first).await;
    let second = test.upload("second.mp4").await;
    test.until_received(&second).await;
    let waiting = || {
        let query = "SELECT count(*) FROM notices";
        test.objects().query_row(query, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    until("only the refused notification is left", async || waiting() == 1).await;
    test.allow_deletion();
    until("no notification is left", async || waiting() == 0).await;
    test.platform.run_until(async {}).await;
}

#[tokio::test]
async fn an_abandoned_multipart_upload_is_removed_and_a_recent_one_is_not() {
    let test = TestPlatform::start().await;
    for name in ["abandoned.mp4", "recent.mp4"] {
        let request = json!({ "filename": name, "multipart": true, "size": 40_000_000 }).to_string();
        test.call("POST", "/upload-url", &request).await;
    }
    let age = "UPDATE uploads SET initiated_at = 0 WHERE key = 'projects/acme/abandoned.mp4'";
    assert_eq!(test.objects().execute(age, []).unwrap(), 1);
    let test = test.restart().await;
    let keys = || -> Vec<String> {
        let database = test.objects();
        let mut statement = database.prepare("SELECT key FROM uploads").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    until("the abandoned upload is removed", async || keys() == ["projects/acme/recent.mp4"]).await;
    test.platform.run_until(async {}).await;
}

#[tokio::test]
async fn a_data_directory_that_lost_its_object_store_does_not_start_with_an_empty_one() {
    let directory = tempfile::tempdir().unwrap();
    Platform::start(config(directory.path())).await.unwrap().run_until(async {}).await;
    std::fs::remove_dir_all(directory.path().join("s3")).unwrap();
    let error =
        Platform::start(config(directory.path())).await.err().expect("the videos of the log have no files");
    assert!(error.to_string().contains("s3 is missing"), "{error}");
    assert!(!directory.path().join("s3").exists());
    // What the operator decides.
    std::fs::create_dir(directory.path().join("s3")).unwrap();
    Platform::start(config(directory.path())).await.unwrap().run_until(async {}).await;
}
