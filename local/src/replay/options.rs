//! What is replayed.

use std::fmt;
use std::path::PathBuf;

use serde::{Serialize, Serializer};

use crate::log_bound::LogBound;

/// A view that can be rebuilt from the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// The status of videos.
    Status,
    /// The deliveries of webhooks, which endpoints receive messages, and the jobs that send messages again. Not how endpoints answered lately:
    /// that depends on the order in which attempts were handled.
    Webhooks,
    /// The counters of what projects used.
    Usage,
}

impl View {
    /// All views.
    pub const ALL: [Self; 3] = [Self::Status, Self::Webhooks, Self::Usage];

    /// The name of the view.
    pub fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Webhooks => "webhooks",
            Self::Usage => "usage",
        }
    }
}

impl fmt::Display for View {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl Serialize for View {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// What is replayed, and what becomes of it.
#[derive(Debug, Clone)]
pub struct Options {
    /// The view.
    pub view: View,
    /// The file to make, which is kept; `None`: one in the data directory, which is removed.
    pub into: Option<PathBuf>,
    /// Only rows that events from here on changed are compared.
    pub from: Option<LogBound>,
    /// The view is rebuilt as of this position, or of the last event before this time. Rows that later events changed are not compared.
    pub to: Option<LogBound>,
    /// Whether rows of the live view that differ are replaced.
    pub swap: bool,
    /// The number of threads; `None`: one per core.
    pub threads: Option<usize>,
}

impl Options {
    /// A complete replay of `view`, which changes nothing.
    pub fn of(view: View) -> Self {
        Self { view, into: None, from: None, to: None, swap: false, threads: None }
    }
}
