//! The platform as a child process, and the public commands that call it.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::platform::program::{self, Addresses, Places};
use crate::process::stdout_of;

/// A running platform with a place for projects. It is stopped when this is dropped.
pub(crate) struct Platform {
    program: program::Platform,
    pub(crate) addresses: Addresses,
    places: Places,
    /// Whether the data directory is new. An existing one may contain a project called `demo`.
    fresh: bool,
}

impl Platform {
    /// Starts the platform on the directory `data`, with a log file in `work`, and waits until it is ready.
    pub(crate) fn start(cli: &Path, data: &Path, work: &Path) -> Result<Self> {
        let fresh = !data.exists();
        let places =
            Places { program: cli.to_owned(), data: data.to_owned(), log: work.join("platform.log") };
        let mut platform = program::Platform::start(&places, &[])?;
        let addresses = platform.ready()?;
        Ok(Self { program: platform, addresses, places, fresh })
    }

    /// Creates a project with the operator's command.
    pub(crate) fn new_project(&self) -> Result<Api> {
        let name = if self.fresh {
            "demo".to_owned()
        } else {
            format!("demo-{}", SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
        };
        let project: Project = self.places.operate(&["project", "create", &name])?;
        Ok(Api { cli: self.places.program.clone(), url: self.addresses.api.clone(), project })
    }

    /// Waits until the platform ends.
    pub(crate) fn wait(&mut self) -> Result<ExitStatus> {
        self.program.wait()
    }

    /// Stops the platform. Fails if its exit status is not 0.
    pub(crate) fn stop(self) -> Result<()> {
        self.program.stop()
    }

    /// Returns the end of its log, for messages.
    pub(crate) fn log_end(&self) -> String {
        self.program.log_end()
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

#[cfg(test)]
mod tests {
    use super::Video;

    #[test]
    fn the_error_of_a_video_has_its_message_and_code() {
        let json = r#"{"state": "errored", "error": {"code": "not_media", "message": "This is text.", "retryable": false}}"#;
        let video: Video = serde_json::from_str(json).unwrap();
        assert_eq!(video.error_text(), "This is text. (not_media)");
    }
}
