//! The lines of commits, and their compression.

use std::io::Write as _;

use flate2::write::GzEncoder;
use serde::Serialize;
use streamio_events::cloud_event::CloudEvent;
use streamio_events::commit::Commit;

use super::CHUNK;
use super::options::{Compression, Format};

/// How many commits are encoded and compressed together in an export that is divided by commits. It is part of the form of such exports.
const COMMITS_PER_CHUNK: u64 = CHUNK;

/// How many bytes of lines are, before they are as many commits. Bounds the memory for commits with many events. Part of the form, too.
const BYTES_PER_CHUNK: usize = 4 << 20;

/// The level of Zstandard. It is part of the form of compressed exports.
const ZSTD_LEVEL: i32 = 3;

/// The lines of commits, which are compressed together.
#[derive(Debug, Default)]
pub struct Lines {
    plain: Vec<u8>,
    commits: u64,
    events: u64,
}

impl Lines {
    /// Adds the lines of a commit.
    pub fn add(&mut self, commit: &Commit, format: Format) -> serde_json::Result<()> {
        match format {
            Format::CloudEvents => CloudEvent::all(commit).try_for_each(|event| self.add_line(&event))?,
            Format::Commits => self.add_line(commit)?,
        }
        self.commits += 1;
        self.events += commit.events.len() as u64;
        Ok(())
    }

    fn add_line(&mut self, line: &impl Serialize) -> serde_json::Result<()> {
        serde_json::to_writer(&mut self.plain, line)?;
        self.plain.push(b'\n');
        Ok(())
    }

    /// Whether the lines are enough for a chunk of an export that is divided by commits.
    pub fn is_chunk(&self) -> bool {
        self.commits == COMMITS_PER_CHUNK || self.plain.len() >= BYTES_PER_CHUNK
    }

    /// Compresses the lines. Equal lines give equal bytes. No lines give no bytes.
    pub fn pack(self, compression: Compression) -> Packed {
        let Self { plain, commits, events } = self;
        let compressed = match compression {
            Compression::None => None,
            _ if plain.is_empty() => Some(Ok(Vec::new())),
            Compression::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
                Some(encoder.write_all(&plain).and_then(|()| encoder.finish()))
            }
            Compression::Zstd => Some(zstd::bulk::Compressor::new(ZSTD_LEVEL).and_then(|mut compressor| {
                compressor.include_checksum(true)?;
                compressor.compress(&plain)
            })),
        };
        let compressed = compressed.map(|bytes| bytes.expect("compressing in memory does not fail"));
        Packed { plain, compressed, commits, events }
    }
}

/// Lines of an export, compressed on their own.
#[derive(Debug)]
pub struct Packed {
    /// The lines.
    pub(super) plain: Vec<u8>,
    /// The lines, compressed; `None` if they are not.
    compressed: Option<Vec<u8>>,
    /// The number of commits.
    pub(super) commits: u64,
    /// The number of events in these commits.
    pub(super) events: u64,
}

impl Packed {
    /// The bytes to be written.
    pub(super) fn bytes(&self) -> &[u8] {
        self.compressed.as_deref().unwrap_or(&self.plain)
    }
}
