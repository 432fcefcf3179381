//! Parses the subset of the `Range` header (RFC 9110, section 14) that FFmpeg uses.

use std::ops::Range;

/// The range contains no byte of the object: status 416.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotSatisfiable;

/// The byte range that `header` requests of an object of `size` bytes. A header in any form other than `bytes=first-[last]` is
/// ignored and selects the whole object.
pub(super) fn parse(header: &str, size: u64) -> Result<Range<u64>, NotSatisfiable> {
    let Some((first, last)) = bounds(header) else { return Ok(0..size) };
    let end = last.map_or(size, |last| last.saturating_add(1).min(size));
    if first < end { Ok(first..end) } else { Err(NotSatisfiable) }
}

/// The first byte and the last one, if it is stated. `None` for any other form, also where the last byte comes before the first.
fn bounds(header: &str) -> Option<(u64, Option<u64>)> {
    let (first, last) = header.strip_prefix("bytes=")?.split_once('-')?;
    let first = position(first)?;
    if last.is_empty() {
        return Some((first, None));
    }
    let last = position(last).filter(|last| first <= *last)?;
    Some((first, Some(last)))
}

/// The position that `text` states. One beyond 64 bits is beyond every object.
fn position(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_parsed_and_limited_to_the_object() {
        assert_eq!(parse("bytes=0-", 10), Ok(0..10));
        assert_eq!(parse("bytes=3-5", 10), Ok(3..6));
        assert_eq!(parse("bytes=3-500", 10), Ok(3..10));
        assert_eq!(parse("bytes=9-18446744073709551615", 10), Ok(9..10));
        assert_eq!(parse("bytes=9-18446744873709551615", 10), Ok(9..10), "more than 64 bits");
        assert_eq!(parse("bytes=10-", 10), Err(NotSatisfiable));
        for other in [
            "items=1-2",
            "bytes=-5",
            "bytes=a-b",
            "bytes=1",
            "",
            "bytes=5-4",
            "bytes=0--",
            "bytes=3-x",
            "bytes=+3-",
        ] {
            assert_eq!(parse(other, 10), Ok(0..10), "{other}");
        }
    }
}
