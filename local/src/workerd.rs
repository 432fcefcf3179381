//! The API as the built Worker on workerd, in place of the native edge.
//!
//! `edge/worker/run.mjs` runs the Worker; this starts it on the API's address with the platform's own addresses and keys,
//! watches it, and stops it. What the Worker needs of the cloud the platform answers itself:
//!
//! - the home region and the log's intake are a listener of its own;
//! - the KV namespace gets the record of every API key when the Worker starts, and each change of one within moments of its
//!   commit, as the replication in the cloud does it. The home region answers for what is not there yet;
//! - queues are miniflare's and live in workerd's memory. A grant that waits in one is lost with the process, so that the
//!   journal is the home region's ledger, unless the queue is asked for ([`WorkerJournal`]).
//!
//! A workerd that ends by itself is started again on the same address, after a pause that doubles with each failure. Until
//! then connections to the API are refused. However the platform ends, workerd ends soon after: `run.mjs` stops when its
//! standard input does, and has workerd killed when it cannot stop it any more.

mod log;
mod process;
mod settings;
mod tenants;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use streamio_events::sqlite::SqliteLog;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::process::Process;
pub(crate) use self::settings::Surroundings;
use self::tenants::Tenants;

/// The files of a built Worker.
const BUILT: [&str; 2] = ["index.js", "index.wasm"];
/// What runs them, and where it is in a checkout.
const SCRIPT: &str = "run.mjs";
const SCRIPT_FOLDER: &str = "edge/worker";

/// The pauses before a Worker that has ended is started again.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A Worker that ran for so long is not one that cannot run.
const STABLE: Duration = Duration::from_mins(1);

/// How the Worker is run.
#[derive(Debug, Clone)]
pub struct WorkerdConfig {
    /// Where `index.js` and `index.wasm` are.
    pub folder: PathBuf,
    /// `run.mjs`. The npm package miniflare must be installed where it looks for it.
    pub script: PathBuf,
    /// Node.js, 20 or later.
    pub node: OsString,
    /// When a grant counts as accepted.
    pub journal: WorkerJournal,
}

/// When a grant counts as accepted, so that its answer may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerJournal {
    /// When the log has it: nothing acknowledged is ever lost.
    Home,
    /// When the simulated queue has it, as in the cloud, where queues are durable. Here it is in memory: a grant that
    /// waits there (for some milliseconds, or for as long as the log refuses it) is lost when workerd ends.
    Queue,
}

/// Why the Worker cannot be run, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum WorkerdError {
    /// A file of it is missing.
    #[error(
        "the Worker is not built: there is no {0}; run `cargo xtask edge build`, or name the built Worker's folder with --edge-worker"
    )]
    NotBuilt(PathBuf),
    /// The script that runs it is missing.
    #[error(
        "there is no {SCRIPT} in {0}, nor {SCRIPT_FOLDER}/{SCRIPT} in a folder around it: the built Worker must lie in the checkout, or have {SCRIPT} and its node_modules beside it"
    )]
    NoScript(PathBuf),
    /// The script's packages are missing.
    #[error(
        "the npm package miniflare is not installed for {0}; run `cargo xtask tools`, or `npm ci` in its folder"
    )]
    NoPackages(PathBuf),
    /// Node.js is missing.
    #[error("`{program}` does not run: {why}; install Node.js 20 or later")]
    NoNode {
        /// What was started.
        program: String,
        /// What came of it.
        why: String,
    },
    /// Node.js is too old.
    #[error("`{program}` is Node.js {version}; install 20 or later")]
    OldNode {
        /// What was started.
        program: String,
        /// What it says of itself.
        version: String,
    },
    /// It ended before it answered requests.
    #[error("the Worker did not start: {0}")]
    NotStarted(String),
}

impl WorkerdConfig {
    /// The Worker built into `folder`, run by the `run.mjs` beside it or else by that of the checkout around it.
    pub fn find(folder: &Path, journal: WorkerJournal) -> Result<Self, WorkerdError> {
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        if let Some(missing) = BUILT.iter().map(|name| folder.join(name)).find(|path| !path.is_file()) {
            return Err(WorkerdError::NotBuilt(missing));
        }
        let of_checkout = folder.ancestors().map(|above| above.join(SCRIPT_FOLDER).join(SCRIPT));
        let script = [folder.join(SCRIPT)].into_iter().chain(of_checkout).find(|path| path.is_file());
        let script = script.ok_or_else(|| WorkerdError::NoScript(folder.clone()))?;
        // As Node looks for it: from where the script really is.
        let real = script.canonicalize().unwrap_or_else(|_| script.clone());
        let mut places = real.ancestors().map(|above| above.join("node_modules/miniflare/package.json"));
        if !places.any(|place| place.is_file()) {
            return Err(WorkerdError::NoPackages(script));
        }
        Ok(Self { folder, script, node: "node".into(), journal })
    }

    /// Fails where Node.js is missing or too old.
    async fn check_node(&self) -> Result<(), WorkerdError> {
        let program = self.node.to_string_lossy().into_owned();
        let output = tokio::process::Command::new(&self.node).arg("--version").output().await;
        let output = output
            .map_err(|error| WorkerdError::NoNode { program: program.clone(), why: error.to_string() })?;
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let major = version.strip_prefix('v').and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
        match major {
            Some(20..) => Ok(()),
            Some(_) => Err(WorkerdError::OldNode { program, version }),
            None => Err(WorkerdError::NoNode { program, why: output.status.to_string() }),
        }
    }
}

/// A running Worker, and how to run it again.
pub(crate) struct Workerd {
    plan: Plan,
    running: Running,
}

/// How to run it.
struct Plan {
    config: WorkerdConfig,
    address: SocketAddr,
    surroundings: Surroundings,
    log: SqliteLog,
}

/// A process, and what its KV namespace has.
struct Running {
    process: Process,
    tenants: Tenants,
}

impl Workerd {
    /// Starts the Worker on `address` with the API keys in `log`. When this answers, it answers requests.
    pub(crate) async fn start(
        config: WorkerdConfig,
        address: SocketAddr,
        surroundings: Surroundings,
        log: SqliteLog,
    ) -> Result<Self, WorkerdError> {
        config.check_node().await?;
        let plan = Plan { config, address, surroundings, log };
        let running = plan.start().await?;
        Ok(Self { plan, running })
    }

    /// Keeps it running until `stop`, then lets the requests that it has begun finish.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let Self { plan, mut running } = self;
        loop {
            let begun = Instant::now();
            tokio::select! {
                end = running.process.serve(&mut running.tenants) => {
                    tracing::error!(end, "the API's workerd has ended by itself and is started again");
                }
                () = stop.cancelled() => return running.process.stop().await,
            }
            let pause = if begun.elapsed() < STABLE { FIRST_PAUSE } else { Duration::ZERO };
            let Some(again) = stop.run_until_cancelled(plan.start_again(pause)).await else { return };
            running = again;
        }
    }
}

impl Plan {
    async fn start(&self) -> Result<Running, WorkerdError> {
        let Self { config, address, surroundings, log } = self;
        let mut tenants = Tenants::of(log);
        let input = json!({
            "folder": config.folder,
            "host": address.ip(),
            "port": address.port(),
            "texts": surroundings.texts(config.journal),
            // What the log refuses for a while comes again and again, up to five minutes apart.
            "queue": { "batchSeconds": 0, "retries": 100 },
            "tenants": tenants.present().await,
        });
        let process = Process::start(config, &surroundings.scratch, &input).await?;
        Ok(Running { process, tenants })
    }

    async fn start_again(&self, mut pause: Duration) -> Running {
        loop {
            tokio::time::sleep(pause).await;
            match self.start().await {
                Ok(running) => return running,
                Err(error) => {
                    pause = (pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
                    tracing::error!(error = %error, pause_ms = pause.as_millis(), "the API does not run; another try follows");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn found(folder: &Path) -> Result<WorkerdConfig, String> {
        let scratch = folder.ancestors().find(|path| path.join("marker").is_file()).unwrap();
        WorkerdConfig::find(folder, WorkerJournal::Home)
            .map_err(|error| error.to_string().replace(scratch.to_str().unwrap(), "TOP"))
    }

    #[test]
    fn what_is_missing_is_named_with_what_to_do() {
        let top = tempfile::tempdir().unwrap();
        fs::write(top.path().join("marker"), "").unwrap();
        let folder = top.path().join("target/edge/worker");
        let not_built = found(&folder).unwrap_err();
        assert!(not_built.starts_with("the Worker is not built: there is no TOP/target/edge/worker/index.js; run `cargo xtask edge build`"), "{not_built}");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("index.js"), "").unwrap();
        assert!(found(&folder).unwrap_err().contains("no TOP/target/edge/worker/index.wasm"));
        fs::write(folder.join("index.wasm"), "").unwrap();
        assert!(
            found(&folder)
                .unwrap_err()
                .contains("no run.mjs in TOP/target/edge/worker, nor edge/worker/run.mjs")
        );
        let script = top.path().join("edge/worker/run.mjs");
        fs::create_dir_all(script.parent().unwrap()).unwrap();
        fs::write(&script, "").unwrap();
        let no_packages = found(&folder).unwrap_err();
        assert!(
            no_packages.contains("miniflare is not installed for TOP/edge/worker/run.mjs"),
            "{no_packages}"
        );
        let package = top.path().join("edge/worker/node_modules/miniflare");
        fs::create_dir_all(&package).unwrap();
        fs::write(package.join("package.json"), "{}").unwrap();
        assert_eq!(found(&folder).unwrap().script, script);
        fs::write(folder.join("run.mjs"), "").unwrap();
        assert!(
            found(&folder).unwrap_err().contains("for TOP/target/edge/worker/run.mjs"),
            "the one beside it"
        );
    }

    #[tokio::test]
    async fn a_node_that_is_missing_or_old_is_told() {
        let scratch = tempfile::tempdir().unwrap();
        let node = |text: &str| {
            let path = scratch.path().join("node");
            // Another process writes it: what this one had open for writing, a child that another test starts at that moment
            // would hold open for a while, and until then nobody could run it.
            let write = r#"printf '#!/bin/sh\n%s\n' "$1" > "$0" && chmod 700 "$0""#;
            let mut sh = std::process::Command::new("sh");
            assert!(sh.args(["-c", write]).arg(&path).arg(text).status().unwrap().success());
            path
        };
        let config = |node: PathBuf| WorkerdConfig {
            folder: PathBuf::new(),
            script: PathBuf::new(),
            node: node.into(),
            journal: WorkerJournal::Home,
        };
        assert!(config(node("echo v20.0.0")).check_node().await.is_ok());
        let old = config(node("echo v18.20.1")).check_node().await.unwrap_err().to_string();
        assert!(old.ends_with("is Node.js v18.20.1; install 20 or later"), "{old}");
        let broken = config(node("exit 3")).check_node().await.unwrap_err().to_string();
        assert!(broken.contains("does not run: exit status: 3"), "{broken}");
        let missing = config("/nowhere/node".into()).check_node().await.unwrap_err().to_string();
        assert!(missing.starts_with("`/nowhere/node` does not run: No such file"), "{missing}");
    }
}
