//! MP4, QuickTime and their relatives (ISO/IEC 14496-12).

use std::sync::Arc;

use super::Structure;
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

pub(super) async fn read(source: &Source) -> Result<Structure, Arc<StorageError>> {
    let bytes = source.bytes();
    let mut structure = Structure::default();
    let mut position = 0;
    for _ in 0..MAX_BOXES {
        if position >= bytes {
            break;
        }
        let header = source.read(position..(position + 16).min(bytes)).await?;
        let Some(header) =
            Header::parse(&header).filter(|header| header.kind.iter().all(u8::is_ascii_graphic))
        else {
            // A header that is cut counts; anything else after the last box does not.
            structure.is_cut |= bytes - position < 8 && header.get(..4) != Some(&[0; 4]);
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
