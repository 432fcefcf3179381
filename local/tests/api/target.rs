//! The targets: platforms with different ways to serve the API. To add one, write a function for it and add it to
//! [`all`].

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, Response};
use serde_json::Value;
use streamio_edge::config::RateLimits;
use streamio_edge::{Context, Edge};
use streamio_events::limits::ProjectLimits;
use streamio_events::sqlite::SqliteLog;
use streamio_events::timestamp::Timestamp;
use streamio_events::webhook::endpoint_url::Rules;
use streamio_local::data_dir::DataDir;
use streamio_local::platform::{Addresses, CheckpointIntervals, Config, EdgeRuntime, LogFormat, Platform};
use streamio_local::workerd::{WorkerJournal, WorkerdConfig};
use tempfile::TempDir;

use crate::history;
use crate::http_client;
use crate::projects::{self, ACME, Keys};
use crate::secrets::Secrets;
use crate::storage::Storage;

/// More than any scenario needs, but few enough to be exhausted by a scenario.
pub(crate) const QUOTA: u32 = 400;

/// A running platform. Every test must stop it: dropping it while it is running fails the test.
pub(crate) struct Target {
    /// The name in failure reports.
    pub(crate) name: &'static str,
    pub(crate) keys: Keys,
    pub(crate) secrets: Secrets,
    pub(crate) addresses: Addresses,
    pub(crate) storage: Storage,
    /// When the target was started.
    pub(crate) since: Timestamp,
    /// The Worker's journal, if the API is the Worker.
    pub(crate) journal: Option<WorkerJournal>,
    endpoint: ApiEndpoint,
    /// `None` after [`Target::stop`].
    platform: Option<Platform>,
    _directory: TempDir,
}

/// How the API is reached.
enum ApiEndpoint {
    /// The API in this process, without a server.
    Edge(Arc<Edge>),
    /// A server with this authority.
    Http(String),
}

impl ApiEndpoint {
    fn http(platform: &Platform) -> Self {
        Self::Http(authority(&platform.addresses().api).to_owned())
    }
}

/// Starts all targets. They allow only these origins, or all origins if the list is empty.
pub(crate) async fn all(allowed_origins: &[&str]) -> Vec<Target> {
    vec![
        in_process(allowed_origins).await,
        over_http(allowed_origins).await,
        on_workerd(allowed_origins, WorkerJournal::Home).await,
        on_workerd(allowed_origins, WorkerJournal::Queue).await,
    ]
}

/// Starts a target whose API is called in this process, without a server.
pub(crate) async fn in_process(allowed_origins: &[&str]) -> Target {
    let endpoint = |platform: &Platform| ApiEndpoint::Edge(platform.edge().unwrap());
    start("in process", |data_dir| config(data_dir, allowed_origins), endpoint).await
}

/// Starts a target with the platform's HTTP server.
pub(crate) async fn over_http(allowed_origins: &[&str]) -> Target {
    start("over HTTP", |data_dir| config(data_dir, allowed_origins), ApiEndpoint::http).await
}

/// Starts a target with the built Worker on workerd. The journal is a queue as in the cloud, or the home region as on
/// one machine.
pub(crate) async fn on_workerd(allowed_origins: &[&str], journal: WorkerJournal) -> Target {
    let built = std::env::var_os("STREAMIO_EDGE_WORKER")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/edge/worker"), PathBuf::from);
    let workerd = WorkerdConfig::find(&built, journal).unwrap_or_else(|error| panic!("{error}"));
    let with_worker =
        |data_dir: &Path| Config { edge: EdgeRuntime::Workerd(workerd), ..config(data_dir, allowed_origins) };
    let name = match journal {
        WorkerJournal::Home => "on workerd",
        WorkerJournal::Queue => "on workerd with the queue",
    };
    start(name, with_worker, ApiEndpoint::http).await
}

fn config(data_dir: &Path, allowed_origins: &[&str]) -> Config {
    Config {
        data_dir: data_dir.to_owned(),
        port: 0,
        concurrency: Some(1),
        allowed_origins: allowed_origins.iter().map(ToString::to_string).collect(),
        project_limits: ProjectLimits::UNLIMITED,
        webhook_urls: Rules::default(),
        // The projects are old, and a recorded checkpoint would be in their feeds at any time.
        checkpoint_intervals: CheckpointIntervals {
            recorded: Duration::MAX,
            ..CheckpointIntervals::default()
        },
        rate_limits: Some(RateLimits { key: QUOTA, ..RateLimits::default() }),
        // This worker never starts its attempt.
        worker_command: vec!["sleep".into(), "600".into()],
        edge: EdgeRuntime::Native,
        log_format: LogFormat::Text,
    }
}

async fn start(
    name: &'static str,
    config: impl FnOnce(&Path) -> Config,
    endpoint: impl FnOnce(&Platform) -> ApiEndpoint,
) -> Target {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = DataDir::open(directory.path()).unwrap();
    let keys = Keys::new();
    let log = SqliteLog::open(data_dir.log()).unwrap();
    projects::append_projects(&log, &keys).await;
    history::append_videos(&log, &keys.acme.hash().key_id()).await;
    drop(log);
    let since = now();
    let config = config(directory.path());
    let journal = match &config.edge {
        EdgeRuntime::Native => None,
        EdgeRuntime::Workerd(workerd) => Some(workerd.journal),
    };
    let platform = Box::pin(Platform::start(config)).await.unwrap();
    let secrets = Secrets::default();
    keys.all().iter().for_each(|key| secrets.add(key.reveal()));
    let file = std::fs::read(directory.path().join("secrets.json")).unwrap();
    let file: Value = serde_json::from_slice(&file).unwrap();
    let text = |name: &str| file[name].as_str().unwrap().to_owned();
    secrets.add(&text("s3SecretAccessKey"));
    secrets.add(&text("homeSecretAccessKey"));
    secrets.add(&text("cdnPrivateKey"));
    let addresses = platform.addresses().clone();
    let storage = Storage {
        endpoint: addresses.s3.clone(),
        access_key_id: text("s3AccessKeyId"),
        secret_access_key: text("s3SecretAccessKey"),
        key_pair_id: text("cdnKeyPairId"),
    };
    let endpoint = endpoint(&platform);
    let target = Target {
        name,
        keys,
        secrets,
        addresses,
        storage,
        since,
        journal,
        endpoint,
        platform: Some(platform),
        _directory: directory,
    };
    target.wait_until_idle().await;
    target
}

impl Drop for Target {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.platform.is_none(), "the platform {} is still running", self.name);
        }
    }
}

impl Target {
    /// Sends `request`, whose target is a path and a query, to the API.
    pub(crate) async fn send(&self, request: Request<Bytes>) -> Response<Bytes> {
        match &self.endpoint {
            ApiEndpoint::Edge(edge) => {
                let mut random = [0; 32];
                getrandom::fill(&mut random).unwrap();
                edge.handle(Context { now: now(), random, client_address: None }, &request).await
            }
            ApiEndpoint::Http(authority) => http_client::send(authority, request).await,
        }
    }

    /// Stops the platform. It has logged everything when this returns.
    pub(crate) async fn stop(mut self) {
        self.platform.take().unwrap().run_until(async {}).await;
    }

    /// Waits until the platform has dispatched the uploaded video of the history.
    async fn wait_until_idle(&self) {
        let path = format!("/videos/{}", history::video_id(ACME, "uploaded.mp4"));
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        loop {
            let request = Request::get(&path).header("x-api-key", self.keys.table.read.reveal());
            let response = self.send(request.body(Bytes::new()).unwrap()).await;
            let response: Value = serde_json::from_slice(response.body()).unwrap();
            if response["state"] == "processing" {
                return;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "the platform did not dispatch the video: {response}"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// The host and port of `url`.
pub(crate) fn authority(url: &str) -> &str {
    url.strip_prefix("http://").unwrap().split('/').next().unwrap()
}

/// The current time.
pub(crate) fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp::from_unix_millis(i64::try_from(since_epoch.as_millis()).unwrap())
}
