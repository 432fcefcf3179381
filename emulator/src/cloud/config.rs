//! The configuration of an emulated cloud.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use streamio_events::settings::{InvalidSettings, Reader};

/// The names of the functions, which are also the names of their executables.
pub(crate) const FUNCTIONS: [&str; 8] =
    ["uploads", "intake", "react", "views", "tasks", "sweep", "webhooks", "api"];
/// The name of the worker's executable.
pub(crate) const WORKER: &str = "streamio-worker";

/// When the edge treats a grant as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Journal {
    /// When the queue has stored it. The queue's consumer writes to Kinesis.
    Queue,
    /// When the home region has appended it to the ledger.
    Home,
}

/// The configuration of an emulated cloud.
#[derive(Debug, Clone)]
pub struct CloudConfig {
    /// The folder for all files; `None`: a temporary folder.
    pub folder: Option<PathBuf>,
    /// The folder with the executables of the functions and of the worker.
    pub programs: PathBuf,
    /// The folder of the built Worker.
    pub edge_worker: PathBuf,
    /// When the edge treats a grant as stored.
    pub journal: Journal,
    /// The port of the API; 0: any free port.
    pub port: u16,
    /// Fields of the policy that differ from the default, in the form of `STREAMIO_POLICY`.
    pub policy: Value,
    /// How long functions retry a record.
    pub give_up_after: Duration,
    /// The interval of the `sweep` function. A real schedule has at least one minute.
    pub sweep_every: Duration,
    /// The FFmpeg executable of the worker; `None`: the one on `PATH`.
    pub ffmpeg: Option<OsString>,
    /// The time between SIGTERM and SIGKILL when a worker is stopped.
    pub stop_timeout: Duration,
}

impl CloudConfig {
    /// Reads a configuration from the environment: the folder of the executables from `STREAMIO_LAMBDAS` (such as
    /// `target/debug`), the folder of the built Worker from `STREAMIO_EDGE_WORKER`, and optionally the FFmpeg executable from
    /// `STREAMIO_FFMPEG`. `cargo xtask` sets them. Timeouts are those of production.
    pub fn from_environment() -> anyhow::Result<Self> {
        let (programs, edge_worker, ffmpeg) = Self::read(&|name| env::var(name).ok())
            .context("`cargo xtask test` and `cargo xtask cloud` set these variables")?;
        let mut config = Self::new(programs, edge_worker)?;
        config.ffmpeg = ffmpeg;
        Ok(config)
    }

    /// Returns the folder of the executables, the folder of the Worker, and the FFmpeg executable.
    fn read(
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(PathBuf, PathBuf, Option<OsString>), InvalidSettings> {
        let mut reader = Reader::new(variable);
        let programs = reader.required("STREAMIO_LAMBDAS").map(PathBuf::from);
        let edge_worker = reader.required("STREAMIO_EDGE_WORKER").map(PathBuf::from);
        let ffmpeg = reader.optional("STREAMIO_FFMPEG").map(OsString::from);
        reader
            .finish(programs.zip(edge_worker).map(|(programs, edge_worker)| (programs, edge_worker, ffmpeg)))
    }

    /// Returns the configuration of a cloud with the executables in the folder `programs`, the Worker in `edge_worker`, and the
    /// timeouts of production. Fails if an executable is missing.
    pub fn new(programs: PathBuf, edge_worker: PathBuf) -> anyhow::Result<Self> {
        for name in FUNCTIONS.into_iter().chain([WORKER]) {
            if !programs.join(name).is_file() {
                bail!(
                    "{} is not built: run `cargo build -p streamio-lambdas -p streamio-worker --all-features --bins`",
                    programs.join(name).display()
                );
            }
        }
        Ok(Self {
            folder: None,
            programs,
            edge_worker,
            journal: Journal::Queue,
            port: 0,
            policy: json!({}),
            give_up_after: Duration::from_mins(10),
            // A sweep reads each partition of due videos, which takes an unoptimized build a second on a busy machine.
            sweep_every: Duration::from_secs(5),
            ffmpeg: None,
            stop_timeout: Duration::from_secs(30),
        })
    }

    /// Replaces timeouts and retry pauses of minutes with seconds, for tests.
    #[must_use]
    pub fn with_short_timeouts(mut self) -> Self {
        // `silence` must be longer than the interval of a worker's progress reports, 15 seconds.
        self.policy = json!({
            "retryPause": 0.5,
            "relaunchAfter": 2,
            "silence": 30,
            "publishWithin": 5,
            "grantGrace": 1,
        });
        self.give_up_after = Duration::from_secs(20);
        self.stop_timeout = Duration::from_secs(10);
        self
    }

    /// Sets one field of the policy.
    #[must_use]
    pub fn with_policy(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.policy[field] = value.into();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_missing_folder_is_reported_at_once() {
        let error = CloudConfig::read(&|_| Some(" ".to_owned())).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the settings are invalid: STREAMIO_LAMBDAS is missing; STREAMIO_EDGE_WORKER is missing"
        );
        let (programs, _, ffmpeg) = CloudConfig::read(&|name| Some(name.to_owned())).unwrap();
        assert_eq!((programs, ffmpeg), ("STREAMIO_LAMBDAS".into(), Some("STREAMIO_FFMPEG".into())));
    }
}
