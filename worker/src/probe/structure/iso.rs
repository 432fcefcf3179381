//! MP4, QuickTime and their relatives (ISO/IEC 14496-12).

use std::sync::Arc;

use super::Structure;
use super::tail::{self, End};
use crate::probe::mp4::{Header, Index, any_encrypted};
use crate::relay::Source;
use crate::storage::StorageError;

/// Whether the file begins with a box that such files begin with.
pub(super) fn begins(head: &[u8]) -> bool {
    matches!(
        head.get(4..8),
        Some(
            b"ftyp"
                | b"moov"
                | b"mdat"
                | b"wide"
                | b"free"
                | b"skip"
                | b"pnot"
                | b"styp"
                | b"moof"
                | b"sidx"
                | b"uuid"
        )
    )
}

/// Largest index that is read into memory. Twelve hours of 60 pictures a second need about 40 MB.
const MAX_INDEX_BYTES: u64 = 64 * 1024 * 1024;
/// Boxes that are looked at in a file, and the size of a fragmented file whose boxes are all looked at: each costs a request.
const MAX_BOXES: usize = 2_000;
const MAX_WALKED_BYTES: u64 = 256 * 1024 * 1024;

/// What a fragment begins with: its size, `moof`, and the header of `mfhd`, which always has the same size.
const FRAGMENT: &[u8] = b"moof\0\0\0\x10mfhd";

/// Whether a fragmented file ends within a box of its last fragment or after it.
async fn is_last_fragment_cut(source: &Source) -> Result<bool, Arc<StorageError>> {
    let is_fragment = |bytes: &[u8]| bytes[4..] == *FRAGMENT;
    let Some(fragment) = tail::last_fragment(source, 4 + FRAGMENT.len(), is_fragment).await? else {
        return Ok(false);
    };
    let bytes = source.bytes();
    let end = |header: &[u8], position: u64| match parse(header) {
        Some(header) => End::At(header.size.map_or(bytes, |size| position.saturating_add(size))),
        None if is_cut_header(header, bytes - position) => End::Cut,
        None => End::Unknown,
    };
    Ok(tail::is_cut(source, fragment, end).await? == Some(true))
}

/// The header of a box at the beginning of `bytes`. `None` for anything else.
fn parse(bytes: &[u8]) -> Option<Header> {
    Header::parse(bytes).filter(|header| header.kind.iter().all(u8::is_ascii_graphic))
}

/// Whether `bytes`, of which the file has `left`, are a header that is cut. Anything else after the last box does not count.
fn is_cut_header(bytes: &[u8], left: u64) -> bool {
    left < 8 && bytes.get(..4) != Some(&[0; 4])
}

pub(super) async fn read(source: &Source) -> Result<Structure, Arc<StorageError>> {
    let bytes = source.bytes();
    let mut structure = Structure::default();
    let mut position = 0;
    for _ in 0..MAX_BOXES {
        if position >= bytes {
            break;
        }
        let header = source.read(position..(position + 16).min(bytes)).await?;
        let Some(header) = parse(&header) else {
            structure.is_cut |= is_cut_header(&header, bytes - position);
            break;
        };
        let end = header.size.map_or(bytes, |size| position.saturating_add(size));
        if end > bytes {
            structure.is_cut = true;
            break;
        }
        if &header.kind == b"moov" && end - position <= MAX_INDEX_BYTES {
            let moov = source.read(position + header.length as u64..end).await?;
            structure.is_encrypted = any_encrypted(&moov);
            let index = Index::parse(&moov, bytes);
            let is_fragmented = index.as_ref().is_some_and(|index| index.is_fragmented);
            structure.index = index.filter(|index| !index.is_fragmented);
            if is_fragmented && bytes > MAX_WALKED_BYTES {
                structure.is_cut = is_last_fragment_cut(source).await?;
                return Ok(structure);
            }
        }
        position = end;
    }
    if let Some(index) = &structure.index {
        // The index decides: a whole file may have a wrong length in the header of its last box.
        structure.is_cut = index.tracks.iter().any(|track| track.present.packets < track.stated.packets);
        for (offset, size) in index.tracks.iter().filter_map(|track| track.last_compressed) {
            let sample = source.read(offset..offset + size.min(super::SAMPLE)).await?;
            structure.ends_in_zeros |= sample.len() >= 16 && sample.iter().all(|byte| *byte == 0);
        }
    }
    Ok(structure)
}
