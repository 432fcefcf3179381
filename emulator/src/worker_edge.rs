//! Cloudflare's edge: the built Worker on workerd, with a KV namespace and queues in workerd's memory.
//!
//! One place in the world, one isolate after another. A workerd that ends by itself is not started again: what waits in its
//! queues would be gone, which it is not in the cloud, so that a test must see it ([`WorkerEdge::stop`] says so).

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

/// How long a start may take. It takes a second or two.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long an end may take: requests in flight have ten seconds.
const ENDING: Duration = Duration::from_secs(15);

/// How the Worker is run.
#[derive(Debug)]
pub struct WorkerEdgeConfig {
    /// Where the built Worker is, and what runs it.
    pub program: WorkerdConfig,
    /// Where it listens on the loopback interface; 0: any free port.
    pub port: u16,
    /// Its variables and secrets; `wrangler.toml` explains them.
    pub texts: BTreeMap<&'static str, String>,
    /// A folder for temporary files.
    pub scratch: PathBuf,
    /// The file for what it logs.
    pub log: PathBuf,
}

/// A running edge.
#[derive(Debug)]
pub struct WorkerEdge {
    url: String,
    child: Child,
    /// Closes the child's standard input when it ends, which ends the child.
    tenants: JoinHandle<()>,
}

/// What it says when it answers requests.
#[derive(Deserialize)]
struct Ready {
    url: String,
}

impl WorkerEdge {
    /// Starts it and waits until it answers requests. Records of tenants come to its namespace as `tenants` brings them.
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
            // Ctrl-C is for this program, which stops things in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("Node.js cannot be started")?;
        let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("the edge's process has no pipes");
        };
        let input = json!({
            "folder": config.program.folder,
            "host": "127.0.0.1",
            "port": config.port,
            "texts": config.texts,
            "queue": { "batchSeconds": 0, "retries": 100 },
            "tenants": {},
        });
        let mut lines = BufReader::new(stdout).lines();
        let introduced = async {
            send(&mut stdin, &input).await?;
            lines.next_line().await
        };
        let line = tokio::time::timeout(PATIENCE, introduced).await.context("the edge does not start")??;
        let Some(line) = line else {
            let log = std::fs::read_to_string(&config.log).unwrap_or_default();
            bail!("the edge did not start: {log}");
        };
        let Ready { url } =
            serde_json::from_str(&line).context("the edge says something else than its URL")?;
        let tenants = tokio::spawn(replicate(stdin, tenants));
        Ok(Self { url, child, tenants })
    }

    /// The API's URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Lets requests finish, and ends it. An error says that it had ended by itself before.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the edge has ended by itself: {status}");
        }
        self.tenants.abort();
        let _ = (&mut self.tenants).await;
        let Ok(status) = tokio::time::timeout(ENDING, self.child.wait()).await else {
            self.child.kill().await?;
            bail!("the edge did not end when it was asked to");
        };
        let status = status?;
        if !status.success() {
            bail!("the edge has ended with {status}");
        }
        Ok(())
    }
}

async fn replicate(mut stdin: ChildStdin, mut tenants: mpsc::UnboundedReceiver<Records>) {
    while let Some(records) = tenants.recv().await {
        if let Err(error) = send(&mut stdin, &json!({ "tenants": records })).await {
            tracing::warn!(error = %error, "the edge takes no more records of tenants");
            return;
        }
    }
    // Until it is aborted the standard input stays open.
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

    /// A tenant that is replicated is known, and its grant goes over the queue to Kinesis, also when that refuses at first.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_tenant_comes_to_the_edge_and_its_grant_to_the_stream() {
        let folder = tempfile::tempdir().unwrap();
        let built =
            PathBuf::from(env::var_os("STREAMIO_EDGE_WORKER").expect("STREAMIO_EDGE_WORKER is not set"));
        let kinesis = tokio::task::spawn_blocking(LocalKinesis::start).await.unwrap().unwrap();
        let client = kinesis.client();
        client.create_stream().stream_name("facts").shard_count(1).send().await.unwrap();
        let proxy = FaultProxy::start(Service::Kinesis, &kinesis.endpoint()).await.unwrap();
        let throttled = proxy.fault("PutRecords", "", 1, Fault::Throttle);
        let playback = PlaybackKey::generate();
        let texts = [
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            // Nobody is there.
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
            texts: texts.map(|(name, text)| (name, text.to_owned())).into(),
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
            version: 1,
        };
        let name = Tenant::stored_name(&api_key.hash());
        to.send([(name, tenant.to_stored())].into()).unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let begun = Instant::now();
        let grant: Value = loop {
            let request =
                http.post(format!("{}/upload-url", edge.url())).header("x-api-key", api_key.reveal());
            let answer = request.json(&json!({ "filename": "clip.mp4" })).send().await.unwrap();
            if answer.status().is_success() {
                break answer.json().await.unwrap();
            }
            // Until it has come, the edge asks a home region that does not answer.
            assert!(begun.elapsed() < PATIENCE, "{}", answer.status());
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
            assert!(begun.elapsed() < PATIENCE, "no record comes");
            sleep(Duration::from_millis(50)).await;
        };
        assert!(record.contains(grant["grantId"].as_str().unwrap()), "{record}");
        assert_eq!(throttled.times(), 1);
        edge.stop().await.unwrap();
    }
}
