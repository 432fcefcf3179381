//! FLV: a chain of tags, each of which is followed by its length.

use std::sync::Arc;

use super::tail::{self, End};
use crate::relay::Source;
use crate::storage::StorageError;

pub(super) const SIGNATURE: &[u8] = b"FLV";

/// Bytes of the length of the tag before.
const LENGTH: u64 = 4;
/// Bytes of the header of a tag.
const HEADER: u64 = 11;

/// The bytes of a tag whose header is at the beginning of `bytes`: sound, pictures or data, and always of stream 0.
fn tag(bytes: &[u8]) -> Option<u64> {
    let [8 | 9 | 18, a, b, c, _, _, _, _, 0, 0, 0, ..] = bytes else { return None };
    Some(HEADER + u64::from(u32::from_be_bytes([0, *a, *b, *c])))
}

/// The length of the tag before, if a tag begins after it.
fn before_tag(bytes: &[u8]) -> Option<u64> {
    let length = bytes.first_chunk::<4>().map(|length| u64::from(u32::from_be_bytes(*length)))?;
    tag(bytes.get(4..)?).map(|_| length)
}

/// Whether the file ends within a tag; `None` if its last tag cannot be found.
pub(super) async fn is_cut(source: &Source) -> Result<Option<bool>, Arc<StorageError>> {
    let is_start = |bytes: &[u8]| before_tag(bytes).is_some();
    let Some(place) = tail::last_fragment(source, 15, is_start).await? else { return Ok(None) };
    let length = source.read(place..place + LENGTH).await?;
    let length = length.first_chunk::<4>().map_or(0, |length| u64::from(u32::from_be_bytes(*length)));
    // Media may look like the beginning of a tag, but not with the right length of the one before.
    let Some(previous) = place.checked_sub(length).filter(|_| length > HEADER) else { return Ok(None) };
    if tag(&source.read(previous..previous + HEADER).await?) != Some(length) {
        return Ok(None);
    }
    let bytes = source.bytes();
    let end = |header: &[u8], position: u64| match tag(header) {
        // The length after the last tag may be left out.
        Some(tag) if position + tag == bytes => End::At(bytes),
        Some(tag) => End::At(position + tag + LENGTH),
        None if bytes - position < HEADER => End::Cut,
        None => End::Unknown,
    };
    tail::is_cut(source, place + LENGTH, end).await
}
