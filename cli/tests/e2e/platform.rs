//! A platform of a test's own: the program on a directory of its own and free ports. It ends with the test, even one
//! that is killed, because it stops when its standard input ends.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

const PROGRAM: &str = env!("CARGO_BIN_EXE_streamio");

/// Far more than anything here takes: only a fault makes a test wait this long.
const PATIENCE: Duration = Duration::from_mins(3);

pub(crate) struct Platform {
    pub(crate) directory: TempDir,
    pub(crate) api: String,
    pub(crate) key: String,
    pub(crate) http: reqwest::Client,
    child: Child,
    /// What `streamio up` is told beside where its data is.
    arguments: Vec<String>,
}

impl Platform {
    /// A platform that runs, with the project `acme` and a key of it.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with these arguments to `streamio up`.
    pub(crate) async fn start_with(arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let (child, api) = up(&data_of(directory.path()), &arguments).await;
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let mut platform = Self { directory, api, key: String::new(), http, child, arguments };
        let created = platform.operate(&["project", "create", "acme"]).await;
        created["apiKey"].as_str().unwrap().clone_into(&mut platform.key);
        platform
    }

    pub(crate) fn data(&self) -> PathBuf {
        data_of(self.directory.path())
    }

    /// Ends the program as a power failure would, workers and all.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Starts the program again on the same directory.
    pub(crate) async fn restart(&mut self) {
        let (child, api) = up(&self.data(), &self.arguments).await;
        self.child = child;
        self.api = api;
    }

    /// Asks it to stop, as an operator does, and waits until it has.
    pub(crate) async fn stop(&mut self) {
        let id = i32::try_from(self.child.id().unwrap()).unwrap();
        let process = rustix::process::Pid::from_raw(id).unwrap();
        rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
        let status = self.child.wait().await.unwrap();
        assert!(status.success(), "{status}");
    }

    /// An operator's command on the data directory; its JSON answer.
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

    /// A tenant's command against the API; its output.
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
        let answer =
            self.http.get(format!("{}{path}", self.api)).header("x-api-key", &self.key).send().await.unwrap();
        let status = answer.status();
        let body: Value = answer.json().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {body}");
        body
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.http.post(format!("{}{path}", self.api)).header("x-api-key", &self.key).json(body);
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let body: Value = answer.json().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {body}");
        body
    }

    pub(crate) async fn delete(&self, path: &str) -> reqwest::StatusCode {
        let request = self.http.delete(format!("{}{path}", self.api)).header("x-api-key", &self.key);
        request.send().await.unwrap().status()
    }

    /// A granted upload URL.
    pub(crate) async fn grant(&self, filename: &str) -> Value {
        self.post("/upload-url", &json!({ "filename": filename })).await
    }

    /// Uploads as `curl -T` does, with nothing but the URL; answers the video's id.
    pub(crate) async fn upload(&self, filename: &str, bytes: Vec<u8>) -> String {
        let grant = self.grant(filename).await;
        self.put(&grant, bytes).await;
        grant["videoId"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn put(&self, grant: &Value, bytes: Vec<u8>) {
        let request = self.http.put(grant["uploadUrl"].as_str().unwrap());
        // curl says it of an empty file too; reqwest does not.
        let request = request.header("content-length", bytes.len()).body(bytes);
        let answer = request.send().await.unwrap();
        let status = answer.status();
        assert!(status.is_success(), "{status} {}", answer.text().await.unwrap());
    }

    /// The status view once `ended` says that it is what is waited for.
    pub(crate) async fn wait_for(&self, video_id: &str, ended: impl Fn(&Value) -> bool) -> Value {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let status = self.get(&format!("/videos/{video_id}")).await;
            if ended(&status) {
                return status;
            }
            assert!(tokio::time::Instant::now() < deadline, "the video does not come to its end: {status}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The status view when the video is ready or errored in this generation.
    pub(crate) async fn wait_for_end(&self, video_id: &str, generation: u64) -> Value {
        self.wait_for(video_id, |status| {
            status["generation"] == generation && (status["state"] == "ready" || status["state"] == "errored")
        })
        .await
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

fn data_of(directory: &Path) -> PathBuf {
    directory.join("data")
}

async fn up(data: &Path, arguments: &[String]) -> (Child, String) {
    let mut child = Command::new(PROGRAM)
        .args(["up", "--port", "0", "--json", "--stop-at-stdin-end", "--concurrency", "2", "--data"])
        .arg(data)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log_of(data))
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
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

/// Everything that the program has logged.
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
