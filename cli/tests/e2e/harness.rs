//! Test harness: a platform as a process, with its own data directory and free ports. It stops at the end of its standard
//! input, so that it also ends when the test process is killed.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::processes;

const PROGRAM: &str = env!("CARGO_BIN_EXE_streamio");

/// Much longer than anything in a test takes; only a defect makes a test wait this long.
const TIMEOUT: Duration = Duration::from_mins(3);
/// How long processes of the platform may take to end after the program.
const EXIT_TIMEOUT: Duration = Duration::from_secs(30);

/// A running platform with the project `acme`. Dropping it kills it and fails the test if one of its processes is left.
pub(crate) struct TestPlatform {
    pub(crate) directory: TempDir,
    pub(crate) api: String,
    pub(crate) key: String,
    pub(crate) http: reqwest::Client,
    child: Child,
    /// Additional arguments of `streamio up`.
    arguments: Vec<String>,
    /// Additional environment variables of `streamio up`.
    environment: Vec<(&'static str, PathBuf)>,
}

impl TestPlatform {
    /// Starts a platform with the project `acme` and an API key.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts a platform with additional arguments for `streamio up`.
    pub(crate) async fn start_with(arguments: &[&str]) -> Self {
        Self::start_in(arguments, Vec::new()).await
    }

    /// Starts a platform with additional arguments and environment variables for `streamio up`.
    pub(crate) async fn start_in(arguments: &[&str], environment: Vec<(&'static str, PathBuf)>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let (child, api) = up(&data_of(directory.path()), &arguments, &environment).await;
        let http = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build().unwrap();
        let mut platform = Self { directory, api, key: String::new(), http, child, arguments, environment };
        let created = platform.operate(&["project", "create", "acme"]).await;
        created["apiKey"].as_str().unwrap().clone_into(&mut platform.key);
        platform
    }

    pub(crate) fn data(&self) -> PathBuf {
        data_of(self.directory.path())
    }

    /// Kills the program with SIGKILL. Its workers end because their standard input ends.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Starts the program again on the same directory.
    pub(crate) async fn restart(&mut self) {
        let (child, api) = up(&self.data(), &self.arguments, &self.environment).await;
        self.child = child;
        self.api = api;
    }

    /// Sends SIGTERM and waits until the program has ended with success.
    pub(crate) async fn stop(&mut self) {
        let id = i32::try_from(self.child.id().unwrap()).unwrap();
        let process = rustix::process::Pid::from_raw(id).unwrap();
        rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
        let status = self.child.wait().await.unwrap();
        assert!(status.success(), "{status}");
    }

    /// Runs an operator's command on the data directory and returns its JSON output.
    pub(crate) async fn operate(&self, arguments: &[&str]) -> Value {
        let output = Command::new(PROGRAM)
            .args(arguments)
            .arg("--json")
            .arg("--data")
            .arg(self.data())
            .output()
            .await
            .unwrap();
        json_of(&output)
    }

    /// Runs a tenant's command against the API.
    pub(crate) async fn client(&self, arguments: &[&str]) -> std::process::Output {
        Command::new(PROGRAM)
            .args(arguments)
            .arg("--json")
            .env("STREAMIO_URL", &self.api)
            .env("STREAMIO_API_KEY", &self.key)
            .env("XDG_STATE_HOME", self.directory.path())
            .env("XDG_CACHE_HOME", self.directory.path())
            .output()
            .await
            .unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let response =
            self.http.get(format!("{}{path}", self.api)).header("x-api-key", &self.key).send().await.unwrap();
        let status = response.status();
        let body: Value = response.json().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {body}");
        body
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.http.post(format!("{}{path}", self.api)).header("x-api-key", &self.key).json(body);
        let response = request.send().await.unwrap();
        let status = response.status();
        let body: Value = response.json().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {body}");
        body
    }

    pub(crate) async fn delete(&self, path: &str) -> reqwest::StatusCode {
        let request = self.http.delete(format!("{}{path}", self.api)).header("x-api-key", &self.key);
        request.send().await.unwrap().status()
    }

    /// Requests an upload URL and returns the grant.
    pub(crate) async fn grant(&self, filename: &str) -> Value {
        self.post("/upload-url", &json!({ "filename": filename })).await
    }

    /// Uploads `bytes` as `curl -T` does, using only the URL. Returns the video's id.
    pub(crate) async fn upload(&self, filename: &str, bytes: Vec<u8>) -> String {
        let grant = self.grant(filename).await;
        self.put(&grant, bytes).await;
        grant["videoId"].as_str().unwrap().to_owned()
    }

    /// Uploads `bytes` in place of the video's present source. Returns the video's id.
    pub(crate) async fn replace(&self, filename: &str, bytes: Vec<u8>) -> String {
        let grant = self.post("/upload-url", &json!({ "filename": filename, "overwrite": true })).await;
        self.put(&grant, bytes).await;
        grant["videoId"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn put(&self, grant: &Value, bytes: Vec<u8>) {
        let request = self.http.put(grant["uploadUrl"].as_str().unwrap());
        // curl sends the header for an empty file too; reqwest does not.
        let request = request.header("content-length", bytes.len()).body(bytes);
        let response = request.send().await.unwrap();
        let status = response.status();
        assert!(status.is_success(), "{status} {}", response.text().await.unwrap());
    }

    /// Waits until the video's history has an event of this type.
    pub(crate) async fn wait_for_event(&self, video_id: &str, kind: &str) {
        let deadline = tokio::time::Instant::now() + TIMEOUT;
        loop {
            let events = self.get(&format!("/videos/{video_id}/events")).await;
            if events["data"].as_array().unwrap().iter().any(|event| event["type"] == kind) {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "there is no {kind}: {events}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Polls the status view until `condition` holds, and returns it.
    pub(crate) async fn wait_for(&self, video_id: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let deadline = tokio::time::Instant::now() + TIMEOUT;
        loop {
            let status = self.get(&format!("/videos/{video_id}")).await;
            if condition(&status) {
                return status;
            }
            assert!(tokio::time::Instant::now() < deadline, "the condition does not become true: {status}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the video is ready or errored in this generation, and returns its status view.
    pub(crate) async fn wait_for_end(&self, video_id: &str, generation: u64) -> Value {
        self.wait_for(video_id, |status| {
            status["generation"] == generation && (status["state"] == "ready" || status["state"] == "errored")
        })
        .await
    }

    /// Waits until the workers, their FFmpeg and the edge have ended, which they do after the program has ended.
    pub(crate) async fn wait_until_no_process_is_left(&self) {
        let deadline = Instant::now() + EXIT_TIMEOUT;
        while let Some(running) = self.first_process() {
            assert!(Instant::now() < deadline, "a process is left running: {running}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn first_process(&self) -> Option<String> {
        processes::mentioning(self.directory.path().to_str().unwrap()).into_iter().next()
    }

    /// The types of all events of a video, in order.
    pub(crate) async fn events(&self, video_id: &str) -> Vec<String> {
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
}

impl Drop for TestPlatform {
    fn drop(&mut self) {
        // An error means that the program has already ended.
        let _ = self.child.start_kill();
        if std::thread::panicking() {
            return;
        }
        let deadline = Instant::now() + EXIT_TIMEOUT;
        while let Some(running) = self.first_process() {
            assert!(Instant::now() < deadline, "a process is left running: {running}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn data_of(directory: &Path) -> PathBuf {
    directory.join("data")
}

async fn up(data: &Path, arguments: &[String], environment: &[(&'static str, PathBuf)]) -> (Child, String) {
    let mut child = Command::new(PROGRAM)
        .args(["up", "--port", "0", "--json", "--stop-at-stdin-end", "--concurrency", "2", "--data"])
        .arg(data)
        .args(arguments)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log_of(data))
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = tokio::time::timeout(TIMEOUT, lines.next_line()).await.unwrap().unwrap();
    let Some(ready) = ready else {
        panic!("the platform did not start: {}", log(data));
    };
    let ready: Value = serde_json::from_str(&ready).unwrap();
    (child, ready["api"].as_str().unwrap().to_owned())
}

fn log_of(data: &Path) -> std::fs::File {
    let path = data.with_extension("log");
    std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap()
}

/// The program's log.
pub(crate) fn log(data: &Path) -> String {
    std::fs::read_to_string(data.with_extension("log")).unwrap_or_default()
}

pub(crate) fn json_of(output: &std::process::Output) -> Value {
    assert!(
        output.status.success(),
        "{}: {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}
