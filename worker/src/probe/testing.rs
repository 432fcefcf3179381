//! The parsers of what FFmpeg prints and of what media files state, for fuzzing. Feature `testing`.

use std::sync::Arc;

use streamio_events::job::MediaLimits;

use super::packets::{self, Packets};
use super::{Probe, mp4, parse, structure};
use crate::capabilities::Capabilities;
use crate::failure::Failure;
use crate::plan::{self, Plan};
use crate::relay::Source;
use crate::storage::StorageError;

/// What ffprobe's report `json` says of a file of `bytes` bytes with `packets`. `None` if it is not a report, or one of a file that
/// ffprobe refused.
pub fn read_report(json: &[u8], bytes: u64, packets: Packets) -> Option<Result<Probe, Failure>> {
    match parse::parse_report(json, None)? {
        parse::Report::Media(media) => {
            Some(media.check().and_then(|media| parse::probe(media, bytes, packets)))
        }
        parse::Report::Refused { .. } => None,
    }
}

/// The packets in the lines of `-f framecrc`, by position among the mapped streams.
pub fn read_packets(text: &str) -> Packets {
    packets::parse(text)
}

/// The packets that the index `moov` of a file of `file_bytes` bytes states, for `streams` streams of FFmpeg.
pub fn read_index(moov: &[u8], file_bytes: u64, streams: usize) -> Option<Packets> {
    mp4::Index::parse(moov, file_bytes)?.packets(streams)
}

/// What the structure of a file states.
#[derive(Debug, Clone, PartialEq)]
pub struct Stated {
    /// Whether the file ends before its container does.
    pub is_cut: bool,
    /// The position after which there are only zeros, or 0.
    pub zeros_after: u64,
    /// The seconds that the container states with sample accuracy.
    pub exact_seconds: Option<f64>,
}

/// Reads the structure of `source`.
///
/// # Errors
/// The error of the storage.
pub async fn read_structure(source: &Source) -> Result<Stated, Arc<StorageError>> {
    let head = source.chunk_at(0).await?;
    let found = structure::read(source, &head).await?;
    Ok(Stated { is_cut: found.is_cut, zeros_after: found.zeros_after, exact_seconds: found.exact_seconds })
}

/// What is encoded of a file, by an FFmpeg that has everything.
///
/// # Errors
/// Why the file is refused.
pub fn plan(probe: &Probe) -> Result<Plan, Failure> {
    plan::plan(probe, &MediaLimits::default(), &Capabilities::full())
}
