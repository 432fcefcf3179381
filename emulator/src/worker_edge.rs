//! Cloudflare Workers: the built Worker on workerd, with a KV namespace and queues in workerd's memory.
//!
//! Not emulated: several locations and concurrent isolates. If workerd ends, it is not restarted, because the messages in its
//! queues are lost, which does not happen at Cloudflare; [`WorkerEdge::stop`] then fails, so that a test notices.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use streamio_local::workerd::WorkerdConfig;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::kv::Records;

/// The timeout of the start, which usually takes one or two seconds.
const START_TIMEOUT: Duration = Duration::from_mins(1);
/// The timeout of the stop. Pending requests have ten seconds.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// The configuration of the Worker.
#[derive(Debug)]
pub struct WorkerEdgeConfig {
    /// The paths of the built Worker and of the script that runs it.
    pub program: WorkerdConfig,
    /// The port on the loopback interface; 0: any free port.
    pub port: u16,
    /// The variables and secrets, by name. `wrangler.toml` documents them.
    pub variables: BTreeMap<&'static str, String>,
    /// The folder for temporary files.
    pub scratch: PathBuf,
    /// The log file.
    pub log: PathBuf,
}

/// A running Worker.
#[derive(Debug)]
pub struct WorkerEdge {
    url: String,
    child: Child,
    /// Writes records of tenants to the child's standard input. The child exits when this task ends and closes it.
    tenants: JoinHandle<()>,
}

/// The line that the child prints when it is ready.
#[derive(Deserialize)]
struct Ready {
    url: String,
}

impl WorkerEdge {
    /// Starts the Worker and waits until it responds to requests. Records that `tenants` receives are written to its namespace.
    pub async fn start(
        config: WorkerEdgeConfig,
        tenants: mpsc::UnboundedReceiver<Records>,
    ) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&config.scratch)?;
        let mut child = Command::new(&config.program.node)
            .arg(&config.program.script)
            .env("TMPDIR", &config.scratch)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&config.log)?)
            // Ctrl-C must not reach the child directly: this program stops its processes in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("could not start Node.js")?;
        let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("the edge's process has no pipes");
        };
        let input = json!({
            "folder": config.program.folder,
            "host": "127.0.0.1",
            "port": config.port,
            "texts": config.variables,
            "queue": { "batchSeconds": 0, "retries": 100 },
            "tenants": {},
        });
        let mut lines = BufReader::new(stdout).lines();
        let ready_line = async {
            send(&mut stdin, &input).await?;
            lines.next_line().await
        };
        let line = tokio::time::timeout(START_TIMEOUT, ready_line)
            .await
            .context("the edge did not start in time")??;
        let Some(line) = line else {
            let log = std::fs::read_to_string(&config.log).unwrap_or_default();
            bail!("the edge did not start: {log}");
        };
        let Ready { url } = serde_json::from_str(&line).context("the edge did not print its URL")?;
        let tenants = tokio::spawn(replicate(stdin, tenants));
        Ok(Self { url, child, tenants })
    }

    /// Returns the URL of the API.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Stops the Worker after the pending requests. Fails if it had already ended.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the edge had already ended: {status}");
        }
        self.tenants.abort();
        let _ = (&mut self.tenants).await;
        let Ok(status) = tokio::time::timeout(STOP_TIMEOUT, self.child.wait()).await else {
            self.child.kill().await?;
            bail!("the edge did not stop in time");
        };
        let status = status?;
        if !status.success() {
            bail!("the edge ended with {status}");
        }
        Ok(())
    }
}

async fn replicate(mut stdin: ChildStdin, mut tenants: mpsc::UnboundedReceiver<Records>) {
    while let Some(records) = tenants.recv().await {
        if let Err(error) = send(&mut stdin, &json!({ "tenants": records })).await {
            tracing::warn!(error = %error, "could not send records of tenants to the edge");
            return;
        }
    }
    // Keeps the standard input open until this task is aborted.
    std::future::pending::<()>().await;
}

async fn send(stdin: &mut ChildStdin, line: &Value) -> io::Result<()> {
    stdin.write_all(format!("{line}\n").as_bytes()).await?;
    stdin.flush().await
}

#[cfg(test)]
mod tests {
    use std::env;

    use aws_sdk_kinesis::types::ShardIteratorType;
    use streamio_events::api_key::ApiKey;
    use streamio_events::emulators::LocalKinesis;
    use streamio_events::event::Scope;
    use streamio_events::tenant::Tenant;
    use streamio_local::workerd::WorkerJournal;
    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::cdn::PlaybackKey;
    use crate::fault_proxy::{Fault, FaultProxy, Service};

    /// The edge accepts a replicated tenant, and sends its grant through the queue to Kinesis, although Kinesis throttles first.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_replicated_tenant_is_accepted_and_its_grant_is_put_into_kinesis() {
        let folder = tempfile::tempdir().unwrap();
        let built =
            PathBuf::from(env::var_os("STREAMIO_EDGE_WORKER").expect("STREAMIO_EDGE_WORKER is not set"));
        let kinesis = tokio::task::spawn_blocking(LocalKinesis::start).await.unwrap().unwrap();
        let client = kinesis.client();
        client.create_stream().stream_name("facts").shard_count(1).send().await.unwrap();
        let proxy = FaultProxy::start(Service::Kinesis, &kinesis.endpoint()).await.unwrap();
        let throttled = proxy.inject("PutRecords", "", 1, Fault::Throttle);
        let playback = PlaybackKey::generate();
        let variables = [
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            // No server listens at this address.
            ("HOME_URL", "http://127.0.0.1:9"),
            ("KINESIS_ENDPOINT", proxy.endpoint()),
            ("KINESIS_STREAM", "facts"),
            ("S3_ENDPOINT", "http://127.0.0.1:9"),
            ("S3_RAW_BUCKET", "raw"),
            ("S3_ADDRESS_STYLE", "path"),
            ("S3_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("S3_SECRET_ACCESS_KEY", "secret"),
            ("CDN_BASE_URL", "http://127.0.0.1:9"),
            ("CDN_KEY_PAIR_ID", &playback.id),
            ("CDN_PRIVATE_KEY", &playback.private_pem),
            ("JOURNAL", "queue"),
        ];
        let config = WorkerEdgeConfig {
            program: WorkerdConfig::find(&built, WorkerJournal::Queue).unwrap(),
            port: 0,
            variables: variables.map(|(name, value)| (name, value.to_owned())).into(),
            scratch: folder.path().join("scratch"),
            log: folder.path().join("edge.log"),
        };
        let (to, tenants) = mpsc::unbounded_channel();
        let edge = WorkerEdge::start(config, tenants).await.unwrap();
        let api_key = ApiKey::generate("live", [7; 32]).unwrap();
        let tenant = Tenant {
            project_id: "acme".parse().unwrap(),
            key_id: api_key.hash().key_id(),
            scopes: vec![Scope::Upload],
            expires_at: None,
            revoked: false,
            suspended: false,
            measured: None,
            version: 1,
        };
        let name = Tenant::stored_name(&api_key.hash());
        to.send([(name, tenant.to_stored())].into()).unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let begun = Instant::now();
        let grant: Value = loop {
            let request =
                http.post(format!("{}/upload-url", edge.url())).header("x-api-key", api_key.reveal());
            let response = request.json(&json!({ "filename": "clip.mp4" })).send().await.unwrap();
            if response.status().is_success() {
                break response.json().await.unwrap();
            }
            // Until the record arrives, the edge calls the home region, which does not respond.
            assert!(begun.elapsed() < START_TIMEOUT, "{}", response.status());
            sleep(Duration::from_millis(50)).await;
        };
        let iterator = client.get_shard_iterator().stream_name("facts").shard_id("shardId-000000000000");
        let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.unwrap();
        let record = loop {
            let records =
                client.get_records().set_shard_iterator(iterator.shard_iterator.clone()).send().await;
            if let Some(record) = records.unwrap().records().first() {
                break String::from_utf8(record.data().as_ref().to_vec()).unwrap();
            }
            assert!(begun.elapsed() < START_TIMEOUT, "no record was put");
            sleep(Duration::from_millis(50)).await;
        };
        assert!(record.contains(grant["grantId"].as_str().unwrap()), "{record}");
        assert_eq!(throttled.hits(), 1);
        edge.stop().await.unwrap();
    }
}
