//! Zeros at the end of a file: padding after whole media, or what a download leaves that was interrupted after the space for the file
//! had been allocated.

use std::sync::Arc;

use super::{MediaEnd, SAMPLE, Structure, stated};
use crate::relay::Source;
use crate::storage::StorageError;

/// A smaller file is padded rather than interrupted.
const SMALLEST: u64 = 64 * 1024;
/// Zeros at the end of media that may belong to it: compressed media seldom ends in one.
const OF_MEDIA: [u64; 4] = [0, 1, 2, 3];
/// The same where the end is stated: silence may be zeros.
const OF_STATED_MEDIA: [u64; 4] = [16, 64, 256, 1024];

/// Whether the last tenth of the file seems to consist of zeros. Looks at its beginning and its end.
pub(super) async fn at_end(source: &Source) -> Result<bool, Arc<StorageError>> {
    let bytes = source.bytes();
    Ok(bytes >= SMALLEST
        && are_zeros(source, bytes - SAMPLE).await?
        && are_zeros(source, bytes - bytes / 10).await?)
}

/// Reads the structure of a file that ends in zeros. If its media ends where they begin, `source` ends there from now on.
pub(super) async fn hide(source: &Source, head: &[u8]) -> Result<Structure, Arc<StorageError>> {
    let bytes = source.bytes();
    let start = start(source).await?;
    for zeros in OF_MEDIA.into_iter().chain(OF_STATED_MEDIA) {
        let end = (start + zeros).min(bytes);
        source.shorten(end);
        let structure = stated(source, head).await?;
        let zeros_after = match structure.end {
            _ if structure.is_cut => continue,
            MediaEnd::Stated => 0,
            MediaEnd::LastPacket if OF_MEDIA.contains(&zeros) => bytes - end,
            MediaEnd::LastPacket | MediaEnd::Unknown => continue,
        };
        return Ok(Structure { zeros_after, ..structure });
    }
    source.shorten(bytes);
    Ok(Structure { ends_in_zeros: true, ..stated(source, head).await? })
}

/// The place after the last byte that is not zero, if all zeros at the end are in one piece.
async fn start(source: &Source) -> Result<u64, Arc<StorageError>> {
    let bytes = source.bytes();
    // The sample that begins with `zeros` consists of zeros, the one that begins with `other` does not or is the first.
    let (mut other, mut zeros) = (0, bytes - bytes / 10);
    while zeros - other > 1 {
        let middle = other.midpoint(zeros);
        if are_zeros(source, middle).await? {
            zeros = middle;
        } else {
            other = middle;
        }
    }
    Ok(zeros)
}

/// Whether the sample that begins at `place` consists of zeros.
async fn are_zeros(source: &Source, place: u64) -> Result<bool, Arc<StorageError>> {
    let sample = source.read(place..(place + SAMPLE).min(source.bytes())).await?;
    Ok(sample.iter().all(|byte| *byte == 0))
}
