//! A cloud for one test, with one project and a client of its API.

use std::ops::Deref;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use streamio_core::ports::pending_replications::PendingReplications as _;
use streamio_emulator::{Cloud, CloudConfig};
use streamio_events::id::ProjectId;
use streamio_events::log::EventLogExt as _;
use streamio_events::timestamp::Timestamp;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep};

use crate::ffmpeg_gate::FfmpegGate;
use crate::final_state::{self, Leftovers};
use crate::processes;

/// The names of all functions.
pub(crate) const FUNCTIONS: [&str; 8] =
    ["uploads", "intake", "react", "views", "tasks", "sweep", "webhooks", "api"];

/// The timeout of each wait. Only a failing test reaches it.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(90);

/// Limits the number of clouds that run concurrently, for machines with few processors.
pub(crate) static RUNNING_CLOUDS: Semaphore = Semaphore::const_new(2);

/// A cloud for one test, with the project `acme` and a client of its API.
///
/// Every test ends with [`TestCloud::finish`], which fails if the final state is wrong: if an event is not projected, a dead
/// letter is left, or a process runs. Dropping the cloud without it fails the test.
pub(crate) struct TestCloud {
    /// `None` after [`TestCloud::finish`].
    cloud: Option<Cloud>,
    pub(crate) project_id: ProjectId,
    pub(crate) http: reqwest::Client,
    /// The ids of all grants that the API has returned.
    pub(crate) acknowledged: std::sync::Mutex<Vec<String>>,
    key: String,
    pub(crate) gate: FfmpegGate,
    _permit: SemaphorePermit<'static>,
}

impl Deref for TestCloud {
    type Target = Cloud;

    fn deref(&self) -> &Cloud {
        self.cloud.as_ref().expect("the cloud runs until `finish`")
    }
}

impl Drop for TestCloud {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.cloud.is_none(), "the test did not call `finish`, which checks the final state");
        }
    }
}

impl TestCloud {
    /// Starts a cloud with short timeouts.
    pub(crate) async fn start() -> Self {
        Self::start_with(|config| config).await
    }

    /// Starts a cloud with short timeouts and a changed configuration.
    pub(crate) async fn start_with(change: impl FnOnce(CloudConfig) -> CloudConfig) -> Self {
        let permit = RUNNING_CLOUDS.acquire().await.unwrap();
        let gate = FfmpegGate::new();
        let mut config = change(CloudConfig::from_environment().unwrap().with_short_timeouts());
        config.ffmpeg = Some(gate.program.clone().into());
        let cloud = Cloud::start(config).await.unwrap();
        let key = cloud.create_project("acme").await.unwrap();
        // No connection is used twice: the server may close one at the moment in which the next request is sent on it.
        let http = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).pool_max_idle_per_host(0);
        let http = http.build().unwrap();
        Self {
            cloud: Some(cloud),
            project_id: key.project_id,
            http,
            acknowledged: std::sync::Mutex::default(),
            key: key.api_key.reveal().to_owned(),
            gate,
            _permit: permit,
        }
    }

    /// Waits until the cloud is idle, checks its final state, stops it, and checks that no process is left.
    pub(crate) async fn finish(self) {
        self.finish_with(Leftovers::default()).await;
    }

    /// Like [`TestCloud::finish`], with dead letters and quarantined streams that the test has caused.
    pub(crate) async fn finish_with(mut self, expected: Leftovers) {
        Box::pin(final_state::check(&self, &expected)).await;
        let folder = self.folder().to_owned();
        if let Some(cloud) = self.cloud.take() {
            cloud.stop().await.unwrap();
        }
        processes::wait_until_none_uses(&folder).await;
    }

    /// Sends one request with the API key. Returns the status and the JSON of the response.
    pub(crate) async fn send_request(&self, request: reqwest::RequestBuilder) -> (u16, Value) {
        let response = request.header("x-api-key", &self.key).send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json().await.unwrap_or_default())
    }

    /// Sends a GET request, with retries.
    pub(crate) async fn get(&self, path: &str) -> Value {
        self.send_with_retries(path, || self.http.get(format!("{}{path}", self.api()))).await
    }

    /// Sends a POST request, with retries that have the same `Idempotency-Key`.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Value {
        static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let request = || {
            let request = self.http.post(format!("{}{path}", self.api()));
            request.header("idempotency-key", format!("request-{number}")).json(body)
        };
        self.send_with_retries(path, request).await
    }

    async fn send_with_retries(&self, path: &str, request: impl Fn() -> reqwest::RequestBuilder) -> Value {
        let begun = Instant::now();
        loop {
            let (status, body) = self.send_request(request()).await;
            if (200..300).contains(&status) {
                if let Some(grant) = body["grantId"].as_str() {
                    self.acknowledged.lock().unwrap().push(grant.to_owned());
                }
                return body;
            }
            // 404: a new grant or upload becomes visible after a moment.
            let is_retryable = status == 404 || status >= 500;
            assert!(is_retryable && begun.elapsed() < TIMEOUT, "{path}: {status} {body}");
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Requests an upload URL, and returns the response.
    pub(crate) async fn grant(&self, filename: &str) -> Value {
        self.post("/upload-url", &json!({ "filename": filename })).await
    }

    /// Requests an upload URL, waits until its grant is in the log, and returns the grant.
    pub(crate) async fn recorded_grant(&self, filename: &str) -> Value {
        let grant = self.grant(filename).await;
        let grant_id = grant["grantId"].as_str().unwrap();
        self.wait_until("the grant is recorded", async || {
            let commits = self.log().scan_to_end().await.unwrap();
            let mut events = commits.iter().flat_map(|commit| &commit.events);
            events.any(|event| event.kind == "upload.granted" && event.data["grantId"] == grant_id)
        })
        .await;
        grant
    }

    /// Uploads to the URL of a grant.
    pub(crate) async fn put_object(&self, grant: &Value, bytes: Vec<u8>) {
        let response = self.http.put(grant["uploadUrl"].as_str().unwrap()).body(bytes).send().await.unwrap();
        let status = response.status();
        assert!(status.is_success(), "{status} {}", response.text().await.unwrap());
    }

    /// Requests an upload URL and uploads to it. Returns the video's id.
    pub(crate) async fn upload(&self, filename: &str, bytes: Vec<u8>) -> String {
        let grant = self.grant(filename).await;
        self.put_object(&grant, bytes).await;
        grant["videoId"].as_str().unwrap().to_owned()
    }

    /// Uploads in place of the video's present source. Returns the video's id.
    pub(crate) async fn replace(&self, filename: &str, bytes: Vec<u8>) -> String {
        let grant = self.post("/upload-url", &json!({ "filename": filename, "overwrite": true })).await;
        self.put_object(&grant, bytes).await;
        grant["videoId"].as_str().unwrap().to_owned()
    }

    /// Waits until `condition` is true of a video's status view, and returns the view.
    pub(crate) async fn wait_for_status(&self, video_id: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let request = self.http.get(format!("{}/videos/{video_id}", self.api()));
            let (code, status) = self.send_request(request).await;
            // 404: a grant in the queue is not in the log yet.
            if code == 200 && condition(&status) {
                return status;
            }
            let in_time = begun.elapsed() < TIMEOUT;
            assert!(in_time, "timed out waiting for a status: {code} {status}\n{}", self.problems());
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until a generation of a video is ready, and returns the status view. Fails if the generation ends in an error.
    pub(crate) async fn wait_until_ready(&self, video_id: &str, generation: u64) -> Value {
        let is_terminal = |status: &Value| {
            status["generation"] == generation && (status["state"] == "ready" || status["state"] == "errored")
        };
        let status = self.wait_for_status(video_id, is_terminal).await;
        assert_eq!(status["state"], "ready", "{status}\n{}", self.problems());
        status
    }

    /// Waits until `condition` is true. `description` states it in the message of a timeout.
    pub(crate) async fn wait_until(&self, description: &str, mut condition: impl AsyncFnMut() -> bool) {
        let begun = Instant::now();
        while !condition().await {
            let in_time = begun.elapsed() < TIMEOUT;
            assert!(in_time, "timed out waiting until {description}\n{}", self.problems());
            sleep(Duration::from_millis(30)).await;
        }
    }

    /// Returns the projects of the pending replications that are due.
    pub(crate) async fn due_replications(&self) -> Vec<ProjectId> {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let now = Timestamp::from_unix_millis(i64::try_from(since_epoch.as_millis()).unwrap());
        let due = self.views().due(now, 100).await.unwrap();
        due.into_iter().map(|entry| entry.project_id).collect()
    }

    /// Returns the types of a video's events, as the API lists them.
    pub(crate) async fn event_types(&self, video_id: &str) -> Vec<String> {
        let (mut types, mut after) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("/videos/{video_id}/events?limit=100{after}")).await;
            let events = page["data"].as_array().unwrap();
            types.extend(events.iter().map(|event| event["type"].as_str().unwrap().to_owned()));
            match page["nextCursor"].as_str() {
                Some(cursor) => after = format!("&after={cursor}"),
                None => return types,
            }
        }
    }

    /// Returns the latest warnings and errors in the logs of all programs, for messages of failed tests.
    pub(crate) fn problems(&self) -> String {
        let mut problems = Vec::new();
        let mut add_latest = |program: &str, lines: &[&str], count: usize| {
            let latest = &lines[lines.len().saturating_sub(count)..];
            problems.extend(latest.iter().map(|line| format!("{program}: {line}")));
        };
        for function in FUNCTIONS {
            let lines = self.functions().log_lines(function).unwrap_or_default();
            let shown = lines.iter().filter(|line| line.contains("\"ERROR\"") || line.contains("\"WARN\""));
            add_latest(function, &shown.map(String::as_str).collect::<Vec<_>>(), 6);
        }
        let mut files = vec![self.folder().join("edge.log")];
        let tasks = std::fs::read_dir(self.folder().join("tasks"));
        files.extend(tasks.into_iter().flatten().flatten().map(|entry| entry.path()));
        for file in files {
            let log = std::fs::read_to_string(&file).unwrap_or_default();
            let shown = log.lines().filter(|line| !line.contains("\"info\"") && !line.contains("\"INFO\""));
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            add_latest(&name, &shown.collect::<Vec<_>>(), 4);
        }
        problems.join("\n")
    }
}
