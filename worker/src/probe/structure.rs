//! What a file's container states about its own bytes: whether all of them are there, whether they are encrypted, and, for plain
//! MP4, the index of its samples.
//!
//! Only statements about places in the file count. Durations in headers are often wrong in whole files: of recordings that were
//! split, streamed, or cut without the header being rewritten.

mod asf;
mod ebml;
mod iso;
mod other;
mod riff;
mod tail;

use std::sync::Arc;

use super::mp4::Index;
use crate::relay::Source;
use crate::storage::StorageError;

/// The structure of a file, as far as its container states it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Structure {
    /// The complete index of a plain MP4.
    pub(super) index: Option<Index>,
    /// Whether the container states more bytes than the file has, or a part of it was never written.
    pub(super) is_cut: bool,
    /// Whether a large part at the end consists of zeros where media belongs.
    pub(super) ends_in_zeros: bool,
    /// Whether pictures or sound are encrypted.
    pub(super) is_encrypted: bool,
    /// Seconds that the container states with sample accuracy.
    pub(super) exact_seconds: Option<f64>,
}

/// Reads the structure of `source`, whose beginning is `head`.
pub(super) async fn read(source: &Source, head: &[u8]) -> Result<Structure, Arc<StorageError>> {
    let bytes = source.bytes();
    let mut structure = if iso::begins(head) {
        return iso::read(source).await;
    } else if head.starts_with(&ebml::SIGNATURE) {
        let mut structure = ebml::read(head, bytes);
        if !structure.is_cut && ebml::is_live(head) {
            structure.is_cut = ebml::is_cut(source).await?;
        }
        structure
    } else if riff::begins(head) {
        riff::read(head, bytes)
    } else if head.starts_with(&asf::SIGNATURE) {
        asf::read(head, bytes)
    } else {
        other::read(head, bytes)
    };
    structure.ends_in_zeros = !riff::is_wave(head) && ends_in_zeros(source).await?;
    Ok(structure)
}

/// Bytes that are looked at in one place.
const SAMPLE: u64 = 4096;
/// A smaller file is padded rather than interrupted.
const SMALLEST: u64 = 64 * 1024;

/// Whether the last tenth of the file seems to consist of zeros: what a download leaves that was interrupted after the space for
/// the file had been allocated. Looks at its beginning and its end.
async fn ends_in_zeros(source: &Source) -> Result<bool, Arc<StorageError>> {
    let bytes = source.bytes();
    if bytes < SMALLEST {
        return Ok(false);
    }
    for start in [bytes - SAMPLE, bytes - bytes / 10] {
        if source.read(start..(start + SAMPLE).min(bytes)).await?.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
    }
    Ok(true)
}
