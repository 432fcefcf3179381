//! The platform as a child process, and the public commands that call it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::process::{Running, check_interrupted, last_lines, stdout_of};

/// The timeout until `streamio up` is ready.
const START_TIMEOUT: Duration = Duration::from_mins(1);

/// The line that `streamio up --json` prints when the platform is ready.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ready {
    pub(crate) api: String,
    pub(crate) s3: String,
    pub(crate) cdn: String,
    pub(crate) data_dir: PathBuf,
}

/// A running platform. It is stopped when this is dropped.
pub(crate) struct Platform {
    running: Running,
    /// Kept open: the platform stops when its standard input is closed, also if this process is killed.
    _stdin: Option<ChildStdin>,
    pub(crate) ready: Ready,
    cli: PathBuf,
    data: PathBuf,
    log: PathBuf,
    /// Whether the data directory is new. An existing one may contain a project called `demo`.
    fresh: bool,
}

impl Platform {
    /// Starts the platform on the directory `data`, with a log file in `work`, and waits until it is ready.
    pub(crate) fn start(cli: &Path, data: &Path, work: &Path) -> Result<Self> {
        let fresh = !data.exists();
        let log = work.join("platform.log");
        let mut command = Command::new(cli);
        command.arg("up").arg("--data").arg(data).args(["--port", "0", "--json"]);
        command.arg("--stop-at-stdin-end").stdout(Stdio::piped()).stderr(fs::File::create(&log)?);
        let mut running = Running::start_with(command, Stdio::piped())?;
        // Taken from the child, because waiting for the child closes its standard input.
        let stdin = running.child().stdin.take();
        let stdout = running.child().stdout.take().context("the platform has no stdout")?;
        let line = first_line(stdout);
        let ready = wait_until_ready(&mut running, &line).with_context(|| log_end(&log))?;
        Ok(Self { running, _stdin: stdin, ready, cli: cli.to_owned(), data: data.to_owned(), log, fresh })
    }

    /// Creates a project with the operator's command.
    pub(crate) fn new_project(&self) -> Result<Api> {
        let name = if self.fresh {
            "demo".to_owned()
        } else {
            format!("demo-{}", SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
        };
        let mut command = Command::new(&self.cli);
        command.args(["project", "create", &name, "--json"]).arg("--data").arg(&self.data);
        let project: Project = json(command)?;
        Ok(Api { cli: self.cli.clone(), url: self.ready.api.clone(), project })
    }

    /// Waits until the platform ends.
    pub(crate) fn wait(&mut self) -> Result<ExitStatus> {
        self.running.wait()
    }

    /// Stops the platform. Fails if its exit status is not 0.
    pub(crate) fn stop(mut self) -> Result<()> {
        let status = self.running.stop()?;
        if !status.success() {
            bail!("the platform did not stop cleanly ({status})\n{}", self.log_end());
        }
        Ok(())
    }

    /// Returns the end of its log, for messages.
    pub(crate) fn log_end(&self) -> String {
        log_end(&self.log)
    }
}

/// The output of `streamio project create --json`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Project {
    project_id: String,
    api_key: String,
}

/// The public API with the key of one project, called through the `streamio` command.
pub(crate) struct Api {
    cli: PathBuf,
    pub(crate) url: String,
    project: Project,
}

/// The response to `GET /videos`.
#[derive(Deserialize)]
struct List {
    data: Vec<Video>,
}

/// The members of a video's status view that are read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Video {
    pub(crate) state: String,
    pub(crate) outputs: Option<Outputs>,
    error: Option<VideoError>,
}

#[derive(Debug, Deserialize)]
struct VideoError {
    code: String,
    message: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Outputs {
    pub(crate) mp4_key: String,
    pub(crate) hls_key: String,
    pub(crate) renditions: Vec<serde_json::Value>,
}

/// The members of the response to `POST /playback-url` that are read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Playback {
    pub(crate) signed_url: String,
    pub(crate) hls_url: Option<String>,
}

impl Video {
    /// Returns why the video is not ready.
    pub(crate) fn error_text(&self) -> String {
        match &self.error {
            Some(error) => format!("{} ({})", error.message, error.code),
            None => "its view has no error".into(),
        }
    }
}

impl Api {
    /// Uploads a file and waits until the video is ready. Prints progress to stderr. Returns the status view.
    pub(crate) fn upload(&self, file: &Path) -> Result<Video> {
        let mut command = self.command();
        // Without `--json`, which prints no progress. The view is requested afterwards.
        command.arg("upload").arg(file).arg("--wait");
        stdout_of(command)?;
        let mut command = self.command();
        command.args(["video", "list", "--json"]);
        let list: List = json(command)?;
        let only: [Video; 1] = list.data.try_into().map_err(|all: Vec<Video>| {
            anyhow::anyhow!("the new project should have one video after one upload, but has {}", all.len())
        })?;
        let [video] = only;
        Ok(video)
    }

    pub(crate) fn playback_url(&self, key: &str) -> Result<Playback> {
        let mut command = self.command();
        command.args(["playback-url", key, "--json"]);
        json(command)
    }

    pub(crate) fn key(&self) -> &str {
        &self.project.api_key
    }

    pub(crate) fn project_id(&self) -> &str {
        &self.project.project_id
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.cli);
        command.env("STREAMIO_URL", &self.url).env("STREAMIO_API_KEY", self.key());
        command
    }
}

/// Runs a command that prints one JSON value, and returns the value.
fn json<T: DeserializeOwned>(command: Command) -> Result<T> {
    let name = command.get_args().next().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let output = stdout_of(command)?;
    serde_json::from_str(&output)
        .with_context(|| format!("could not parse the output of `streamio {name} --json`"))
}

/// Returns a channel that receives the first line of a pipe. The rest is read too, so that the child does not block.
fn first_line(pipe: impl std::io::Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            // Fails for later lines, because the receiver is dropped after the first.
            let _ = sender.send(line);
        }
    });
    receiver
}

fn wait_until_ready(running: &mut Running, line: &mpsc::Receiver<String>) -> Result<Ready> {
    match line.recv_timeout(START_TIMEOUT) {
        Ok(line) => {
            serde_json::from_str(&line).with_context(|| format!("`streamio up --json` printed {line:?}"))
        }
        Err(RecvTimeoutError::Disconnected) => {
            let status = running.wait()?;
            bail!("`streamio up` ended with {status} before it was ready")
        }
        Err(RecvTimeoutError::Timeout) => {
            check_interrupted()?;
            bail!("`streamio up` was not ready after {} s", START_TIMEOUT.as_secs())
        }
    }
}

fn log_end(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    format!("the end of its log:\n{}", last_lines(&text, 20))
}

#[cfg(test)]
mod tests {
    use super::{Platform, Video};
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

    const UP: &str = r#"echo '{"api":"http://a","s3":"http://b","cdn":"http://c","dataDir":"/d"}'"#;

    #[test]
    fn a_platform_that_ends_before_it_is_ready_is_an_error_with_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let cli = program(folder.path(), "echo 'port 80 is taken' >&2; exit 4");
        let error = Platform::start(&cli, &folder.path().join("data"), folder.path()).err().unwrap();
        let text = format!("{error:#}");
        assert!(text.contains("exit status: 4") && text.contains("port 80 is taken"), "{text}");
    }

    #[test]
    fn a_platform_that_does_not_stop_cleanly_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let cli = program(folder.path(), &format!("trap 'exit 9' TERM; {UP}; sleep 1000 & wait"));
        let platform = Platform::start(&cli, &folder.path().join("data"), folder.path()).unwrap();
        assert_eq!(platform.ready.cdn, "http://c");
        assert!(platform.stop().unwrap_err().to_string().contains("exit status: 9"));
    }

    #[test]
    fn the_error_of_a_video_has_its_message_and_code() {
        let json = r#"{"state": "errored", "error": {"code": "not_media", "message": "This is text.", "retryable": false}}"#;
        let video: Video = serde_json::from_str(json).unwrap();
        assert_eq!(video.error_text(), "This is text. (not_media)");
    }
}
