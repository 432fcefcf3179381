//! The child process that runs the Worker: `node run.mjs`. It reads and writes lines of JSON.

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;

use super::config::{WorkerdConfig, WorkerdError};
use super::log;
use super::tenants::TenantFeed;
use crate::http_server::DRAIN;

/// The time limit of a start, which usually takes a second.
const START_TIMEOUT: Duration = Duration::from_mins(1);
/// The time that the process has to end after the time limit of requests in flight.
const EXIT_TIMEOUT: Duration = Duration::from_secs(5);

/// A running `run.mjs`.
pub(super) struct Process {
    child: Child,
    /// The process stops at its end, so also when this program is killed.
    stdin: ChildStdin,
    /// Forwards the process's log until the process ends. Returns the last error in it.
    log: JoinHandle<Option<String>>,
}

/// The line that the process writes when it accepts requests.
#[derive(Deserialize)]
struct Ready {
    url: String,
}

impl Process {
    /// Starts the process with the configuration `input`. Returns when it accepts requests. Its temporary files are in `scratch`.
    pub(super) async fn start(
        config: &WorkerdConfig,
        scratch: &Path,
        input: &Value,
    ) -> Result<Self, WorkerdError> {
        let not_started = |error: io::Error| WorkerdError::NotStarted(error.to_string());
        let mut child = Command::new(&config.node)
            .arg(&config.script)
            .env("TMPDIR", scratch)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C must reach only the platform, which stops its parts in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(not_started)?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(WorkerdError::NotStarted("it has no pipes".to_owned()));
        };
        let mut process = Self { child, stdin, log: tokio::spawn(forward_log(stderr)) };
        match tokio::time::timeout(START_TIMEOUT, process.configure(stdout, input)).await {
            Ok(Ok(Ready { url })) => {
                tracing::info!(url, process.id = process.child.id(), "the API runs on workerd");
                Ok(process)
            }
            Ok(Err(error)) => {
                let _ = process.child.kill().await;
                let last_error = process.log.await.ok().flatten();
                Err(WorkerdError::NotStarted(last_error.unwrap_or_else(|| error.to_string())))
            }
            Err(_) => {
                let _ = process.child.kill().await;
                Err(WorkerdError::NotStarted(format!(
                    "it was not ready within {} seconds",
                    START_TIMEOUT.as_secs()
                )))
            }
        }
    }

    /// Sends the configuration and waits until the process accepts requests.
    async fn configure(&mut self, stdout: ChildStdout, input: &Value) -> io::Result<Ready> {
        send(&mut self.stdin, input).await?;
        let line = BufReader::new(stdout).lines().next_line().await?;
        let line = line.ok_or_else(|| io::Error::other("the process ended without output"))?;
        serde_json::from_str(&line).map_err(io::Error::other)
    }

    /// Sends changed records of `tenants` to the process until it exits. Returns its exit status.
    pub(super) async fn run_until_exit(&mut self, tenants: &mut TenantFeed) -> String {
        let Self { child, stdin, .. } = self;
        let replicate = async {
            loop {
                let records = tenants.next_changes().await;
                if send(stdin, &json!({ "tenants": records })).await.is_err() {
                    // The process is ending.
                    return std::future::pending::<Infallible>().await;
                }
            }
        };
        tokio::select! {
            status = child.wait() => match status {
                Ok(status) => status.to_string(),
                Err(error) => error.to_string(),
            },
            never = replicate => match never {},
        }
    }

    /// Stops the process after requests in flight have finished. Kills it if that takes too long.
    pub(super) async fn stop(self) {
        let Self { mut child, stdin, log } = self;
        drop(stdin);
        if tokio::time::timeout(DRAIN + EXIT_TIMEOUT, child.wait()).await.is_err() {
            tracing::warn!("workerd did not stop in time and is killed");
            let _ = child.kill().await;
        }
        // The rest of its log.
        let _ = tokio::time::timeout(EXIT_TIMEOUT, log).await;
    }
}

async fn send(stdin: &mut ChildStdin, line: &Value) -> io::Result<()> {
    stdin.write_all(format!("{line}\n").as_bytes()).await?;
    stdin.flush().await
}

/// Forwards the lines of `stderr` to the log, to its end. Returns the last error among them.
async fn forward_log(stderr: impl AsyncRead + Unpin) -> Option<String> {
    let mut lines = BufReader::new(stderr).lines();
    let mut last_error = None;
    loop {
        match lines.next_line().await {
            Ok(Some(line)) => last_error = log::forward(&line).or(last_error),
            Ok(None) => return last_error,
            Err(error) => tracing::warn!(error = %error, "a line of workerd's log could not be read"),
        }
    }
}
