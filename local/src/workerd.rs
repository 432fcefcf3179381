//! The API as the built Worker on workerd, in place of the native edge.
//!
//! The script `edge/worker/run.mjs` runs the Worker. This module starts it on the API's address with the platform's addresses
//! and keys, watches it, and stops it. The platform provides the cloud services that the Worker uses:
//!
//! - A separate listener serves the home region and the intake of facts ([`crate::home`]).
//! - The KV namespace gets the record of every API key when the Worker starts, and each changed record shortly after the change is
//!   committed, like the replication in the cloud. The Worker asks the home region for records that are not there yet.
//! - Queues are simulated by miniflare in workerd's memory, and a grant that waits in one is lost with the process. So the default
//!   journal is the home region; see [`WorkerJournal`].
//!
//! If workerd ends unexpectedly, it is started again on the same address, after a pause that doubles with each failure. Until then
//! connections to the API are refused. If the platform ends, even by `kill -9`, workerd ends soon after: `run.mjs` stops at the end
//! of its standard input, and kills workerd if it cannot stop it.

mod config;
mod environment;
mod log;
mod process;
mod tenants;

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use streamio_events::sqlite::SqliteLog;
use tokio::net::TcpSocket;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use self::config::{WorkerJournal, WorkerdConfig, WorkerdError};
pub(crate) use self::environment::WorkerEnvironment;
use self::process::Process;
use self::tenants::TenantFeed;

/// The first pause before a restart.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause before a restart.
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// A process that ran for at least this long is restarted without a pause.
const STABLE_AFTER: Duration = Duration::from_mins(1);

/// A running Worker, which is restarted when it ends.
pub(crate) struct Workerd {
    launcher: Launcher,
    instance: Instance,
}

/// Starts the Worker.
struct Launcher {
    config: WorkerdConfig,
    address: SocketAddr,
    /// Keeps the port free for the Worker, also while it is not running. `None` where no two sockets can have one port.
    _reserved: Option<TcpSocket>,
    environment: WorkerEnvironment,
    log: SqliteLog,
}

/// A process and the changes of API keys that it has not got yet.
struct Instance {
    process: Process,
    tenants: TenantFeed,
}

impl Workerd {
    /// Starts the Worker on the address that `socket` is bound to, with the API keys in `log`. Returns when it accepts requests.
    pub(crate) async fn start(
        config: WorkerdConfig,
        socket: TcpSocket,
        environment: WorkerEnvironment,
        log: SqliteLog,
    ) -> Result<Self, WorkerdError> {
        config.check_node().await?;
        let address =
            socket.local_addr().map_err(|error| WorkerdError::NotStarted(format!("no address: {error}")))?;
        // Linux lets workerd, which sets SO_REUSEADDR as this socket does, listen on a port that is only bound.
        let reserved = cfg!(target_os = "linux").then_some(socket);
        let launcher = Launcher { config, address, _reserved: reserved, environment, log };
        let instance = launcher.start().await?;
        Ok(Self { launcher, instance })
    }

    /// Keeps the Worker running until `stop`, then lets requests in flight finish and stops it.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let Self { launcher, mut instance } = self;
        loop {
            let started_at = Instant::now();
            tokio::select! {
                status = instance.process.run_until_exit(&mut instance.tenants) => {
                    tracing::error!(status, "workerd has ended unexpectedly and is restarted");
                }
                () = stop.cancelled() => return instance.process.stop().await,
            }
            let pause = if started_at.elapsed() < STABLE_AFTER { FIRST_PAUSE } else { Duration::ZERO };
            let Some(restarted) = stop.run_until_cancelled(launcher.restart(pause)).await else { return };
            instance = restarted;
        }
    }
}

impl Launcher {
    async fn start(&self) -> Result<Instance, WorkerdError> {
        let Self { config, address, environment, log, _reserved } = self;
        let mut tenants = TenantFeed::new(log);
        let input = json!({
            "folder": config.folder,
            "host": address.ip(),
            "port": address.port(),
            "texts": environment.variables(config.journal),
            // Grants that the log cannot take at present are retried, up to five minutes apart.
            "queue": { "batchSeconds": 0, "retries": 100 },
            "tenants": tenants.read_changes().await,
        });
        let process = Process::start(config, &environment.scratch, &input).await?;
        Ok(Instance { process, tenants })
    }

    /// Starts the Worker after `pause`. Retries until that succeeds.
    async fn restart(&self, mut pause: Duration) -> Instance {
        loop {
            tokio::time::sleep(pause).await;
            match self.start().await {
                Ok(instance) => return instance,
                Err(error) => {
                    pause = (pause * 2).clamp(FIRST_PAUSE, MAX_PAUSE);
                    tracing::error!(error = %error, pause_ms = pause.as_millis(), "workerd could not be restarted; trying again after a pause");
                }
            }
        }
    }
}
