//! What is exported, and in which form.

use std::path::Path;

use streamio_events::id::ProjectId;
use streamio_events::stream::StreamId;

use crate::log_bound::LogBound;

/// The lines of an export.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// Events as CloudEvents 1.0.
    #[default]
    CloudEvents,
    /// Complete commits, with the hashes of their streams' chains.
    Commits,
}

/// How an export is compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// As a gzip file (RFC 1952) of several members.
    Gzip,
    /// As a Zstandard file (RFC 8878) of several frames.
    Zstd,
}

impl Compression {
    /// The compression that a file's name states.
    pub fn of_name(path: &Path) -> Self {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => Self::Gzip,
            Some("zst") => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// What is exported, and in which form.
#[derive(Debug, Clone, Default)]
pub struct ExportOptions {
    /// The lines.
    pub format: Format,
    /// The compression.
    pub compression: Compression,
    /// Only the streams of this project.
    pub project_id: Option<ProjectId>,
    /// The first position, or the time from which on events were recorded.
    pub from: Option<LogBound>,
    /// The last position, or the time before which events were recorded.
    pub to: Option<LogBound>,
    /// The number of threads; `None`: one per core.
    pub threads: Option<usize>,
}

impl ExportOptions {
    /// Whether the stream is exported.
    pub fn has_stream(&self, stream: &StreamId) -> bool {
        self.project_id.as_ref().is_none_or(|id| stream.project_id() == id)
    }

    /// Whether the stream with this name as stored, which may be damaged, is exported.
    pub(super) fn has_stream_of_name(&self, stream: &str) -> bool {
        self.project_id.as_ref().is_none_or(|id| stream.split('/').nth(1) == Some(id.as_str()))
    }
}
