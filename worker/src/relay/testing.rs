//! The parser of the `Range` header, for fuzzing. Feature `testing`.

use std::ops::Range;

use super::range;

/// The byte range that `header` requests of an object of `size` bytes; `None` if it contains no byte of the object.
pub fn requested_range(header: &str, size: u64) -> Option<Range<u64>> {
    range::parse(header, size).ok()
}
