//! What a file's container states about its own bytes: whether all of them are there, whether they are encrypted, and, for plain
//! MP4, the index of its samples.
//!
//! Only statements about places in the file count. Durations in headers are often wrong in whole files: of recordings that were
//! split, streamed, or cut without the header being rewritten.

mod adts;
mod asf;
mod ebml;
mod flv;
mod iso;
mod other;
mod riff;
mod tail;
mod ts;
mod zeros;

use std::sync::Arc;

pub(super) use self::ts::{Changes, FormatChange};
use super::mp4::Index;
use crate::relay::Source;
use crate::storage::StorageError;

/// Where the end of the media is known from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum MediaEnd {
    /// Nowhere.
    #[default]
    Unknown,
    /// The container states it.
    Stated,
    /// It is where the last packet ends.
    LastPacket,
}

impl MediaEnd {
    fn stated_if(is_stated: bool) -> Self {
        if is_stated { Self::Stated } else { Self::Unknown }
    }
}

/// The structure of a file, as far as its container states it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Structure {
    /// The complete index of a plain MP4.
    pub(super) index: Option<Index>,
    /// Whether the container states more bytes than the file has, or a part of it was never written.
    pub(super) is_cut: bool,
    /// Where the end of the media is known from. A file that is not cut is whole if it is known at all.
    pub(super) end: MediaEnd,
    /// Whether a large part at the end consists of zeros where media belongs.
    pub(super) ends_in_zeros: bool,
    /// Bytes of zeros that follow the last packet, where the end is not stated.
    pub(super) zeros_after: u64,
    /// What changes in mid-stream.
    pub(super) changes: Changes,
    /// Whether pictures or sound are encrypted.
    pub(super) is_encrypted: bool,
    /// Seconds that the container states with sample accuracy.
    pub(super) exact_seconds: Option<f64>,
}

/// Reads the structure of `source`, whose beginning is `head`. Zeros after its media are hidden from all later readers of it.
pub(super) async fn read(source: &Source, head: &[u8]) -> Result<Structure, Arc<StorageError>> {
    if iso::begins(head) {
        return iso::read(source).await;
    }
    let has_zeros = !riff::is_wave(head) && zeros::at_end(source).await?;
    let mut structure =
        if has_zeros { zeros::hide(source, head).await? } else { stated(source, head).await? };
    if ts::begins(head) {
        structure.changes = ts::changes(source).await?;
    }
    Ok(structure)
}

/// What the container states about the bytes of `source`, whose beginning is `head`.
async fn stated(source: &Source, head: &[u8]) -> Result<Structure, Arc<StorageError>> {
    let bytes = source.bytes();
    let mut structure = if head.starts_with(&ebml::SIGNATURE) {
        ebml::read(head, bytes)
    } else if riff::begins(head) {
        riff::read(head, bytes)
    } else if head.starts_with(&asf::SIGNATURE) {
        asf::read(head, bytes)
    } else {
        other::read(head, bytes)
    };
    if structure.end == MediaEnd::Unknown && !structure.is_cut {
        let is_cut = if ebml::is_live(head) {
            ebml::is_cut(source).await?
        } else if head.starts_with(flv::SIGNATURE) {
            flv::is_cut(source).await?
        } else if ts::begins(head) {
            ts::is_cut(source, head).await?
        } else {
            adts::is_cut(source).await?
        };
        if let Some(is_cut) = is_cut {
            (structure.is_cut, structure.end) = (is_cut, MediaEnd::LastPacket);
        }
    }
    Ok(structure)
}

/// Bytes that are looked at in one place.
const SAMPLE: u64 = 4096;
