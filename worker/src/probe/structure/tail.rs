//! The end of files that consist of fragments and state their length nowhere: whether the last fragment is complete.
//!
//! Only the end is looked at: a film of hours has ten thousand fragments, and a request for the header of each would take minutes.

use std::sync::Arc;

use crate::relay::Source;
use crate::storage::StorageError;

/// Bytes at the end of the file that are searched for the last fragment. A fragment has a few seconds.
const SEARCHED: u64 = 64 * 1024 * 1024;
/// Bytes that are searched at a time.
const WINDOW: u64 = 2 * 1024 * 1024;
/// Elements of the last fragment that are looked at.
const MAX_STEPS: usize = 100_000;

/// Where an element ends, according to its header.
pub(super) enum End {
    /// The place of the next element.
    At(u64),
    /// The header is not complete.
    Cut,
    /// What follows states nothing.
    Unknown,
}

/// Whether the elements that begin at `position` end beyond the file; `None` if what follows them states nothing. `end` returns where the element ends whose first bytes, up to
/// 16, it gets with their place.
pub(super) async fn is_cut(
    source: &Source,
    mut position: u64,
    end: impl Fn(&[u8], u64) -> End + Send,
) -> Result<Option<bool>, Arc<StorageError>> {
    let bytes = source.bytes();
    for _ in 0..MAX_STEPS {
        if position >= bytes {
            return Ok(Some(position > bytes));
        }
        let header = source.read(position..(position + 16).min(bytes)).await?;
        position = match end(&header, position) {
            End::At(next) if next > position => next,
            End::At(_) | End::Unknown => return Ok(None),
            End::Cut => return Ok(Some(true)),
        };
    }
    Ok(None)
}

/// The place of the last fragment in the file: of the last bytes for which `is_start` is true. `length` is the number of bytes that
/// it gets.
pub(super) async fn last_fragment(
    source: &Source,
    length: usize,
    is_start: impl Fn(&[u8]) -> bool + Send,
) -> Result<Option<u64>, Arc<StorageError>> {
    let bytes = source.bytes();
    let earliest = bytes.saturating_sub(SEARCHED);
    let mut end = bytes;
    while end > earliest {
        let start = end.saturating_sub(WINDOW).max(earliest);
        // Windows overlap, so that no beginning lies across two of them.
        let window = source.read(start..(end + length as u64 - 1).min(bytes)).await?;
        if let Some(position) = window.windows(length).rposition(&is_start) {
            return Ok(Some(start + position as u64));
        }
        end = start;
    }
    Ok(None)
}
