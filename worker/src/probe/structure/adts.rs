//! AAC in ADTS (ISO/IEC 13818-7, 6.2): a chain of frames.

use std::sync::Arc;

use super::tail::{self, End};
use crate::relay::Source;
use crate::storage::StorageError;

/// Bytes of the header of a frame.
const HEADER: usize = 7;
/// Bytes at the end of the file in which frames have to follow one another.
const SEARCHED: u64 = 64 * 1024;
/// Frames that show where frames begin.
const PROOF: usize = 8;

/// The bytes of a frame whose header is at the beginning of `bytes`.
fn frame(bytes: &[u8]) -> Option<usize> {
    let [0xff, flags, _, a, b, c, _, ..] = bytes else { return None };
    let length = usize::from(a & 3) << 11 | usize::from(*b) << 3 | usize::from(c >> 5);
    (flags & 0xf6 == 0xf0 && length > HEADER).then_some(length)
}

/// Whether a file of such frames ends within one; `None` for other files.
pub(super) async fn is_cut(source: &Source) -> Result<Option<bool>, Arc<StorageError>> {
    let bytes = source.bytes();
    let start = bytes.saturating_sub(SEARCHED);
    let end = source.read(start..bytes).await?;
    let is_start = |place: &usize| {
        let mut rest = end.get(*place..);
        (0..PROOF).all(|_| {
            let length = rest.and_then(frame);
            rest = rest.zip(length).and_then(|(bytes, length)| bytes.get(length..));
            length.is_some()
        })
    };
    let Some(first) = (0..end.len()).find(is_start) else { return Ok(None) };
    let after = |header: &[u8], position: u64| match frame(header) {
        Some(length) => End::At(position + length as u64),
        None if header[0] == 0xff && bytes - position < HEADER as u64 => End::Cut,
        None => End::Unknown,
    };
    tail::is_cut(source, start + first as u64, after).await
}
