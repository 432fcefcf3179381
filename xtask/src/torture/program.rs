//! The program `streamio` under test: the platform as a child process, and the operator's commands.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::process::{self, Running, check_interrupted, last_lines};

/// The timeout until `streamio up` is ready.
const START_TIMEOUT: Duration = Duration::from_mins(1);

/// Where things are.
#[derive(Debug, Clone)]
pub(super) struct Places {
    /// The program.
    pub(super) program: PathBuf,
    /// The platform's data directory.
    pub(super) data: PathBuf,
    /// The log of all runs of the platform.
    pub(super) log: PathBuf,
}

/// The line that `streamio up --json` prints when the platform is ready.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Addresses {
    pub(super) api: String,
    pub(super) s3: String,
}

/// A run of the platform. It is stopped when this is dropped.
pub(super) struct Platform {
    running: Running,
    /// Kept open: the platform stops when its standard input is closed, also if this process is killed.
    _stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    log: PathBuf,
}

impl Platform {
    /// Starts the platform. Does not wait until it is ready.
    pub(super) fn start(places: &Places) -> Result<Self> {
        let mut command = Command::new(&places.program);
        command.args(["up", "--port", "0", "--json", "--stop-at-stdin-end", "--concurrency", "2", "--data"]);
        command.arg(&places.data).stdout(Stdio::piped()).stderr(appended(&places.log)?);
        let mut running = Running::start_with(command, Stdio::piped())?;
        let stdin = running.child().stdin.take();
        let stdout = running.child().stdout.take().context("the platform has no standard output")?;
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // Fails when the platform was dropped.
                let _ = sender.send(line);
            }
        });
        Ok(Self { running, _stdin: stdin, lines, log: places.log.clone() })
    }

    /// Waits until it is ready. `None` if it has not printed its addresses after `timeout`.
    ///
    /// # Errors
    /// If it ends before.
    pub(super) fn ready_within(&mut self, timeout: Duration) -> Result<Option<Addresses>> {
        match self.lines.recv_timeout(timeout) {
            Ok(line) => serde_json::from_str(&line)
                .map(Some)
                .with_context(|| format!("`streamio up --json` printed {line:?}")),
            Err(RecvTimeoutError::Timeout) => {
                check_interrupted()?;
                Ok(None)
            }
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.running.wait()?;
                bail!("`streamio up` ended with {status} before it was ready\n{}", end_of(&self.log))
            }
        }
    }

    /// Waits until it is ready.
    pub(super) fn ready(&mut self) -> Result<Addresses> {
        let ready = self.ready_within(START_TIMEOUT)?;
        ready.with_context(|| format!("`streamio up` is not ready after {} s", START_TIMEOUT.as_secs()))
    }

    /// Kills it and its process group with SIGKILL.
    pub(super) fn kill(mut self) -> Result<()> {
        self.running.kill().map(|_| ()).context("cannot kill the platform")
    }

    /// Kills it and its process group with SIGKILL, without waiting.
    pub(super) fn signal_kill(&self) {
        self.running.signal(Signal::KILL);
    }

    /// Sends SIGTERM, without waiting.
    pub(super) fn request_stop(&self) {
        self.running.signal(Signal::TERM);
    }

    /// Sends SIGTERM and waits until it has ended with success.
    pub(super) fn stop(mut self) -> Result<()> {
        let status = self.running.stop()?;
        check_interrupted()?;
        if !status.success() {
            bail!("the platform did not stop cleanly ({status})\n{}", end_of(&self.log));
        }
        Ok(())
    }
}

impl Places {
    /// Runs an operator's command on the data directory and returns its JSON output. Fails with all that it printed if it fails.
    pub(super) fn operate<T: DeserializeOwned>(&self, arguments: &[&str]) -> Result<T> {
        let output = self.run(&[arguments, &["--json"]].concat())?;
        serde_json::from_slice(&output)
            .with_context(|| format!("could not parse the output of `streamio {}`", arguments.join(" ")))
    }

    /// Runs an operator's command on the data directory and returns its output. Fails with all that it printed if it fails.
    pub(super) fn run(&self, arguments: &[&str]) -> Result<Vec<u8>> {
        let mut command = Command::new(&self.program);
        command.args(arguments).arg("--data").arg(&self.data);
        let output = process::capture(command)?;
        if !output.status.success() {
            let printed =
                [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            bail!(
                "`streamio {}` ended with {}:\n{}",
                arguments.join(" "),
                output.status,
                printed.concat().trim()
            );
        }
        Ok(output.stdout)
    }
}

/// Calls `condition` until it returns a value, every few milliseconds. Fails with `what` after `timeout`.
pub(super) fn wait_for<T>(
    timeout: Duration,
    what: impl Fn() -> String,
    mut condition: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(value) = condition()? {
            return Ok(value);
        }
        check_interrupted()?;
        if Instant::now() >= deadline {
            bail!("after {} s {}", timeout.as_secs(), what());
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn appended(log: &Path) -> Result<File> {
    let file = OpenOptions::new().create(true).append(true).open(log);
    file.with_context(|| format!("cannot open {}", log.display()))
}

fn end_of(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    format!("the end of its log:\n{}", last_lines(&text, 20))
}
