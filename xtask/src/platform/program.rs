//! The program `streamio` under test: the platform as a child process, and the operator's commands.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
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
pub(crate) struct Places {
    /// The program.
    pub(crate) program: PathBuf,
    /// The platform's data directory.
    pub(crate) data: PathBuf,
    /// The log of all runs of the platform.
    pub(crate) log: PathBuf,
}

/// The line that `streamio up --json` prints when the platform is ready.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Addresses {
    pub(crate) api: String,
    pub(crate) s3: String,
    pub(crate) cdn: String,
    pub(crate) data_dir: PathBuf,
}

/// A run of the platform. It is stopped when this is dropped.
pub(crate) struct Platform {
    running: Running,
    /// Kept open: the platform stops when its standard input is closed, also if this process is killed.
    _stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    log: PathBuf,
}

impl Platform {
    /// Starts the platform with these further `options`. Does not wait until it is ready.
    pub(crate) fn start(places: &Places, options: &[&str]) -> Result<Self> {
        Self::start_as(Command::new(&places.program), places, options)
    }

    /// Starts the platform, which may have at most this number of files open. Does not wait until it is ready.
    pub(crate) fn start_with_open_files(places: &Places, options: &[&str], open_files: u32) -> Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {open_files} && exec \"$0\" \"$@\"")]).arg(&places.program);
        Self::start_as(command, places, options)
    }

    fn start_as(mut command: Command, places: &Places, options: &[&str]) -> Result<Self> {
        command.args(["up", "--port", "0", "--json", "--stop-at-stdin-end"]).args(options).arg("--data");
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
    pub(crate) fn ready_within(&mut self, timeout: Duration) -> Result<Option<Addresses>> {
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
    pub(crate) fn ready(&mut self) -> Result<Addresses> {
        let ready = self.ready_within(START_TIMEOUT)?;
        ready.with_context(|| format!("`streamio up` is not ready after {} s", START_TIMEOUT.as_secs()))
    }

    /// Its process id.
    pub(crate) fn id(&mut self) -> u32 {
        self.running.child().id()
    }

    /// Kills it and its process group with SIGKILL.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.running.kill().map(|_| ()).context("cannot kill the platform")
    }

    /// Kills it and its process group with SIGKILL, without waiting.
    pub(crate) fn signal_kill(&self) {
        self.running.signal(Signal::KILL);
    }

    /// Sends SIGTERM, without waiting.
    pub(crate) fn request_stop(&self) {
        self.running.signal(Signal::TERM);
    }

    /// Waits until it ends.
    pub(crate) fn wait(&mut self) -> Result<ExitStatus> {
        self.running.wait()
    }

    /// The end of its log, for messages.
    pub(crate) fn log_end(&self) -> String {
        end_of(&self.log)
    }

    /// Sends SIGTERM and waits until it has ended with success.
    pub(crate) fn stop(mut self) -> Result<()> {
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
    pub(crate) fn operate<T: DeserializeOwned>(&self, arguments: &[&str]) -> Result<T> {
        let output = self.run(&[arguments, &["--json"]].concat())?;
        serde_json::from_slice(&output)
            .with_context(|| format!("could not parse the output of `streamio {}`", arguments.join(" ")))
    }

    /// Runs an operator's command on the data directory and returns its output. Fails with all that it printed if it fails.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<Vec<u8>> {
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
pub(crate) fn wait_for<T>(
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

#[cfg(test)]
mod tests {
    use super::{Places, Platform};
    use std::path::PathBuf;
    use std::process::Command;

    /// Creates a shell script that replaces `streamio`, and returns its path.
    fn program(folder: &std::path::Path, script: &str) -> PathBuf {
        let file = folder.join("streamio");
        // The file is written by another process. If this one wrote it, a child process of a concurrent test could inherit the
        // open file, and executing the script would fail with ETXTBSY.
        let write = r#"printf '#!/bin/sh\n%s\n' "$1" > "$0" && chmod 755 "$0""#;
        let status = Command::new("sh").args(["-c", write]).arg(&file).arg(script).status().unwrap();
        assert!(status.success(), "{status}");
        file
    }

    fn start(program: PathBuf, folder: &std::path::Path) -> Platform {
        let places = Places { program, data: folder.join("data"), log: folder.join("platform.log") };
        Platform::start(&places, &[]).unwrap()
    }

    const UP: &str = r#"echo '{"api":"http://a","s3":"http://b","cdn":"http://c","dataDir":"/d"}'"#;

    #[test]
    fn a_platform_that_ends_before_it_is_ready_is_an_error_with_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let cli = program(folder.path(), "echo 'port 80 is taken' >&2; exit 4");
        let error = start(cli, folder.path()).ready().err().unwrap();
        let text = format!("{error:#}");
        assert!(text.contains("exit status: 4") && text.contains("port 80 is taken"), "{text}");
    }

    #[test]
    fn a_platform_that_does_not_stop_cleanly_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let cli = program(folder.path(), &format!("trap 'exit 9' TERM; {UP}; sleep 1000 & wait"));
        let mut platform = start(cli, folder.path());
        assert_eq!(platform.ready().unwrap().cdn, "http://c");
        assert!(platform.stop().unwrap_err().to_string().contains("exit status: 9"));
    }
}
