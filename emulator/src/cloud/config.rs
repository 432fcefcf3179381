//! How a cloud is to be.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use streamio_events::settings::{InvalidSettings, Reader};

/// The functions' executables, and the worker's, as cargo names them.
pub(crate) const FUNCTIONS: [&str; 7] = ["uploads", "intake", "react", "views", "tasks", "sweep", "api"];
pub(crate) const WORKER: &str = "streamio-worker";

/// When a grant counts as accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Journal {
    /// When the queue has it, which feeds Kinesis.
    Queue,
    /// When the ledger has it.
    Home,
}

/// How a cloud is to be.
#[derive(Debug, Clone)]
pub struct CloudConfig {
    /// Where all files are; `None`: in a folder that is removed with the cloud.
    pub folder: Option<PathBuf>,
    /// The folder with the executables of the functions and of the worker.
    pub programs: PathBuf,
    /// The folder of the built Worker.
    pub edge_worker: PathBuf,
    /// When a grant counts as accepted.
    pub journal: Journal,
    /// Where the API listens; 0: any free port.
    pub port: u16,
    /// What of the policy differs, as `STREAMIO_POLICY` takes it.
    pub policy: Value,
    /// For how long functions try a record.
    pub give_up_after: Duration,
    /// How often `sweep` runs. In the real cloud a schedule has minutes.
    pub sweep_every: Duration,
    /// The worker's FFmpeg; `None`: the one on `PATH`.
    pub ffmpeg: Option<OsString>,
    /// How long a worker may take between SIGTERM and SIGKILL.
    pub stop_timeout: Duration,
}

impl CloudConfig {
    /// A cloud with the programs that `STREAMIO_LAMBDAS` (a folder, such as cargo's `target/debug`) and
    /// `STREAMIO_EDGE_WORKER` (the built Worker's) name, as `cargo xtask` sets them, and with the FFmpeg that
    /// `STREAMIO_FFMPEG` may name; patient as in production.
    pub fn from_environment() -> anyhow::Result<Self> {
        let (programs, edge_worker, ffmpeg) = Self::read(&|name| env::var(name).ok())
            .context("`cargo xtask test` and `cargo xtask cloud` set these variables")?;
        let mut config = Self::of(programs, edge_worker)?;
        config.ffmpeg = ffmpeg;
        Ok(config)
    }

    /// The folder of the programs, the folder of the Worker, and the FFmpeg.
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

    /// A cloud with the executables in the folder `programs` and the Worker in `edge_worker`, patient as in production.
    pub fn of(programs: PathBuf, edge_worker: PathBuf) -> anyhow::Result<Self> {
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
            sweep_every: Duration::from_secs(1),
            ffmpeg: None,
            stop_timeout: Duration::from_secs(30),
        })
    }

    /// The same with little patience: what takes minutes in production takes seconds.
    #[must_use]
    pub fn hasty(mut self) -> Self {
        // A worker reports at least every 15 seconds.
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

    /// The same with another value of one field of the policy.
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
