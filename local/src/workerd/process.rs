//! The child process that runs the Worker: `node run.mjs`, which speaks in lines of JSON.

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

use super::tenants::Tenants;
use super::{WorkerdConfig, WorkerdError, log};
use crate::http_server::DRAIN;

/// How long a start may take. It takes a second.
const PATIENCE: Duration = Duration::from_mins(1);
/// What the process may take beyond the time of requests in flight.
const ENDING: Duration = Duration::from_secs(5);

pub(super) struct Process {
    child: Child,
    /// The process stops when this is closed, as it is when this program has gone.
    stdin: ChildStdin,
    /// Ends with the process. Answers the last error that it told.
    log: JoinHandle<Option<String>>,
}

/// What it says when it answers requests.
#[derive(Deserialize)]
struct Ready {
    url: String,
}

impl Process {
    /// Starts it with `input`, its configuration, and waits until it answers requests. Temporary files are in `scratch`.
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
            // Ctrl-C is for the platform, which stops things in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(not_started)?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(WorkerdError::NotStarted("it has no pipes".to_owned()));
        };
        let mut process = Self { child, stdin, log: tokio::spawn(relay(stderr)) };
        match tokio::time::timeout(PATIENCE, process.introduce(stdout, input)).await {
            Ok(Ok(Ready { url })) => {
                tracing::info!(url, process.id = process.child.id(), "the API runs on workerd");
                Ok(process)
            }
            Ok(Err(error)) => {
                let _ = process.child.kill().await;
                let told = process.log.await.ok().flatten();
                Err(WorkerdError::NotStarted(told.unwrap_or_else(|| error.to_string())))
            }
            Err(_) => {
                let _ = process.child.kill().await;
                Err(WorkerdError::NotStarted(format!(
                    "it was not ready within {} seconds",
                    PATIENCE.as_secs()
                )))
            }
        }
    }

    async fn introduce(&mut self, stdout: ChildStdout, input: &Value) -> io::Result<Ready> {
        send(&mut self.stdin, input).await?;
        let line = BufReader::new(stdout).lines().next_line().await?;
        let line = line.ok_or_else(|| io::Error::other("it ended without a word"))?;
        serde_json::from_str(&line).map_err(io::Error::other)
    }

    /// Tells it what changes of `tenants`, until it has ended by itself. Answers how it has.
    pub(super) async fn serve(&mut self, tenants: &mut Tenants) -> String {
        let Self { child, stdin, .. } = self;
        let tell = async {
            loop {
                let records = tenants.changed().await;
                if send(stdin, &json!({ "tenants": records })).await.is_err() {
                    // It is ending.
                    return std::future::pending::<Infallible>().await;
                }
            }
        };
        tokio::select! {
            end = child.wait() => match end {
                Ok(status) => status.to_string(),
                Err(error) => error.to_string(),
            },
            never = tell => match never {},
        }
    }

    /// Lets requests in flight finish, then ends it.
    pub(super) async fn stop(self) {
        let Self { mut child, stdin, log } = self;
        drop(stdin);
        if tokio::time::timeout(DRAIN + ENDING, child.wait()).await.is_err() {
            tracing::warn!("workerd is killed: its shutdown takes too long");
            let _ = child.kill().await;
        }
        // All that it has said is then in the log.
        let _ = tokio::time::timeout(ENDING, log).await;
    }
}

async fn send(stdin: &mut ChildStdin, line: &Value) -> io::Result<()> {
    stdin.write_all(format!("{line}\n").as_bytes()).await?;
    stdin.flush().await
}

/// Writes what is said on `stderr` into the log, to its end. Answers the last error.
async fn relay(stderr: impl AsyncRead + Unpin) -> Option<String> {
    let mut lines = BufReader::new(stderr).lines();
    let mut last_error = None;
    loop {
        match lines.next_line().await {
            Ok(Some(line)) => last_error = log::relay(&line).or(last_error),
            Ok(None) => return last_error,
            Err(error) => tracing::warn!(error = %error, "a line of workerd's log could not be read"),
        }
    }
}
