//! AVI and WAV (RIFF, and RF64 for more than 4 GB) and AIFF (IFF).

use super::{MediaEnd, Structure};

pub(super) fn begins(head: &[u8]) -> bool {
    head.len() >= 12 && matches!(&head[..4], b"RIFF" | b"RF64" | b"FORM")
}

/// Uncompressed sound, in which zeros are silence.
pub(super) fn is_wave(head: &[u8]) -> bool {
    begins(head) && matches!(&head[8..12], b"WAVE" | b"AIFF" | b"AIFC")
}

pub(super) fn read(head: &[u8], bytes: u64) -> Structure {
    let size: [u8; 4] = head[4..8].try_into().unwrap_or_default();
    let size = match &head[..4] {
        b"FORM" => Some(u32::from_be_bytes(size).into()),
        // The size is in the chunk `ds64`, which comes first.
        b"RF64" => head.get(20..28).and_then(|size| Some(u64::from_le_bytes(size.try_into().ok()?))),
        _ => Some(u32::from_le_bytes(size).into()),
    };
    // Recorders that stream, or that stopped without a word, leave 0 or the largest number.
    let size = size.filter(|size| *size != 0 && *size < 0xffff_ff00);
    let is_cut = size.is_some_and(|size| size.saturating_add(8) > bytes);
    Structure { is_cut, end: MediaEnd::stated_if(size.is_some()), ..Structure::default() }
}
