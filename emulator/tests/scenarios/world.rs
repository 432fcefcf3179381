//! A cloud of a test's own, and its one tenant as a client of the API.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use streamio_emulator::{Cloud, CloudConfig};
use streamio_events::id::ProjectId;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep};

/// Only a fault makes a test wait this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// As many clouds at a time as a small machine bears.
pub(crate) static PLACES: Semaphore = Semaphore::const_new(2);

pub(crate) struct World {
    pub(crate) cloud: Cloud,
    pub(crate) project_id: ProjectId,
    pub(crate) http: reqwest::Client,
    /// The ids of all grants that were acknowledged.
    pub(crate) acknowledged: std::sync::Mutex<Vec<String>>,
    key: String,
    pub(crate) gate: Gate,
    _place: SemaphorePermit<'static>,
}

impl World {
    /// A cloud with little patience.
    pub(crate) async fn start() -> Self {
        Self::start_with(|config| config).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(CloudConfig) -> CloudConfig) -> Self {
        let place = PLACES.acquire().await.unwrap();
        let gate = Gate::new();
        let mut config = change(CloudConfig::from_environment().unwrap().hasty());
        config.ffmpeg = Some(gate.program.clone().into());
        let cloud = Cloud::start(config).await.unwrap();
        let key = cloud.create_project("acme").await.unwrap();
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        Self {
            cloud,
            project_id: key.project_id,
            http,
            acknowledged: std::sync::Mutex::default(),
            key: key.api_key.reveal().to_owned(),
            gate,
            _place: place,
        }
    }

    /// One request; the status and the JSON of the answer.
    pub(crate) async fn ask(&self, request: reqwest::RequestBuilder) -> (u16, Value) {
        let answer = request.header("x-api-key", &self.key).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or_default())
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.again(path, || self.http.get(format!("{}{path}", self.cloud.api()))).await
    }

    /// A request as a careful client makes it: once more after an answer of the 5xx kind, with the same Idempotency-Key.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Value {
        static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let request = || {
            let request = self.http.post(format!("{}{path}", self.cloud.api()));
            request.header("idempotency-key", format!("request-{number}")).json(body)
        };
        self.again(path, request).await
    }

    async fn again(&self, path: &str, request: impl Fn() -> reqwest::RequestBuilder) -> Value {
        let begun = Instant::now();
        loop {
            let (status, body) = self.ask(request()).await;
            if (200..300).contains(&status) {
                if let Some(grant) = body["grantId"].as_str() {
                    self.acknowledged.lock().unwrap().push(grant.to_owned());
                }
                return body;
            }
            // 404: what was just granted or uploaded may take a moment to be seen.
            let may_pass = status == 404 || status >= 500;
            assert!(may_pass && begun.elapsed() < PATIENCE, "{path}: {status} {body}");
            sleep(Duration::from_millis(200)).await;
        }
    }

    pub(crate) async fn grant(&self, filename: &str) -> Value {
        self.post("/upload-url", &json!({ "filename": filename })).await
    }

    pub(crate) async fn put(&self, grant: &Value, bytes: Vec<u8>) {
        let answer = self.http.put(grant["uploadUrl"].as_str().unwrap()).body(bytes).send().await.unwrap();
        let status = answer.status();
        assert!(status.is_success(), "{status} {}", answer.text().await.unwrap());
    }

    /// Uploads; answers the video's id.
    pub(crate) async fn upload(&self, filename: &str, bytes: Vec<u8>) -> String {
        let grant = self.grant(filename).await;
        self.put(&grant, bytes).await;
        grant["videoId"].as_str().unwrap().to_owned()
    }

    /// The status view once it is as `wanted`.
    pub(crate) async fn status_when(&self, video_id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let request = self.http.get(format!("{}/videos/{video_id}", self.cloud.api()));
            let (code, status) = self.ask(request).await;
            // 404: a grant that is in the queue is not in the log yet.
            if code == 200 && wanted(&status) {
                return status;
            }
            let in_time = begun.elapsed() < PATIENCE;
            assert!(in_time, "the video does not come there: {code} {status}\n{}", self.told());
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// The status view of the video when it is ready in this generation.
    pub(crate) async fn ready(&self, video_id: &str, generation: u64) -> Value {
        let terminal = |status: &Value| {
            status["generation"] == generation && (status["state"] == "ready" || status["state"] == "errored")
        };
        let status = self.status_when(video_id, terminal).await;
        assert_eq!(status["state"], "ready", "{status}\n{}", self.told());
        status
    }

    /// Waits until `wanted` holds.
    pub(crate) async fn until(&self, what: &str, mut wanted: impl AsyncFnMut() -> bool) {
        let begun = Instant::now();
        while !wanted().await {
            assert!(begun.elapsed() < PATIENCE, "it does not come to this: {what}\n{}", self.told());
            sleep(Duration::from_millis(30)).await;
        }
    }

    /// What the programs have said that is not good, for whoever looks at a failed test.
    pub(crate) fn told(&self) -> String {
        let mut told = Vec::new();
        let mut tell = |who: &str, lines: &[&str], most: usize| {
            let latest = &lines[lines.len().saturating_sub(most)..];
            told.extend(latest.iter().map(|line| format!("{who}: {line}")));
        };
        for function in ["uploads", "intake", "react", "views", "tasks", "sweep", "api"] {
            let lines = self.cloud.functions().log_lines(function).unwrap_or_default();
            let bad = lines.iter().filter(|line| line.contains("\"ERROR\"") || line.contains("\"WARN\""));
            tell(function, &bad.map(String::as_str).collect::<Vec<_>>(), 6);
        }
        let mut files = vec![self.cloud.folder().join("edge.log")];
        let tasks = std::fs::read_dir(self.cloud.folder().join("tasks"));
        files.extend(tasks.into_iter().flatten().flatten().map(|entry| entry.path()));
        for file in files {
            let log = std::fs::read_to_string(&file).unwrap_or_default();
            let bad = log.lines().filter(|line| !line.contains("\"info\"") && !line.contains("\"INFO\""));
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            tell(&name, &bad.collect::<Vec<_>>(), 4);
        }
        told.join("\n")
    }
}

/// FFmpeg behind a gate: while it is shut, no worker's transcoding begins.
pub(crate) struct Gate {
    folder: tempfile::TempDir,
    pub(crate) program: PathBuf,
}

impl Gate {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("ffmpeg");
        // Whoever waits goes with the worker that waits for it.
        let script = format!(
            "#!/bin/sh\ncase \" $* \" in *' -progress '*)\n  \
             while [ -e '{}' ] && kill -0 \"$PPID\" 2>/dev/null; do sleep 0.05; done;;\nesac\nexec ffmpeg \"$@\"\n",
            folder.path().join("shut").display()
        );
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder, program }
    }

    pub(crate) fn shut(&self) {
        std::fs::write(self.folder.path().join("shut"), "").unwrap();
    }

    pub(crate) fn open(&self) {
        std::fs::remove_file(self.folder.path().join("shut")).unwrap();
    }
}
