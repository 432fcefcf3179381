//! How a platform is configured.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use streamio_core::audit::recording;
use streamio_edge::config::RateLimits;
use streamio_events::limits::ProjectLimits;
use streamio_events::webhook::endpoint_url::Rules;

use crate::workerd::WorkerdConfig;

/// How often a project's transparency log has a new checkpoint at most.
#[derive(Debug, Clone, Copy)]
pub struct CheckpointIntervals {
    /// The shortest time between two checkpoints.
    pub signed: Duration,
    /// The shortest time between two that are recorded as events.
    pub recorded: Duration,
}

impl Default for CheckpointIntervals {
    fn default() -> Self {
        Self { signed: Duration::from_secs(10), recorded: recording::INTERVAL }
    }
}

/// The configuration of a platform.
#[derive(Debug, Clone)]
pub struct Config {
    /// The directory of all state.
    pub data_dir: PathBuf,
    /// The API's port on the loopback interface. 0 selects the port of the last run if it is free, otherwise any free one.
    pub port: u16,
    /// The maximum number of videos processed at the same time; `None`: one per four cores.
    pub concurrency: Option<usize>,
    /// Origins whose web pages may call the API, and play with cookies; empty: all may call the API, and none may play with cookies.
    pub allowed_origins: Vec<String>,
    /// The quotas of requests; `None`: the default of the edge.
    pub rate_limits: Option<RateLimits>,
    /// The limits of projects that have none of their own.
    pub project_limits: ProjectLimits,
    /// Which webhook endpoints messages are sent to.
    pub webhook_urls: Rules,
    /// How often transparency logs have checkpoints; the default but for tests.
    pub checkpoint_intervals: CheckpointIntervals,
    /// The program and arguments that run [`worker_main`](crate::worker_main).
    pub worker_command: Vec<OsString>,
    /// What serves the API.
    pub edge: EdgeRuntime,
    /// The format of the lines that workers log on standard error, which they share with this process.
    pub log_format: LogFormat,
}

/// What serves the API.
#[derive(Debug, Clone)]
pub enum EdgeRuntime {
    /// This process.
    Native,
    /// The Cloudflare Worker, on workerd.
    Workerd(WorkerdConfig),
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Plain text.
    Text,
    /// One JSON object per line.
    Json,
}
