//! Byte ranges: <https://www.rfc-editor.org/rfc/rfc9110#name-range-requests>.

use std::ops::Range;

use http_range_header::{SyntacticallyCorrectRange as Spec, parse_range_header};

/// The part of a representation to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RequestedRange {
    /// The whole representation.
    Whole,
    /// These bytes. Never empty, never beyond the end.
    Part(Range<u64>),
    /// The range contains no byte of the representation.
    Unsatisfiable,
}

/// Parses a `Range` header for a representation of `size` bytes. A header that is malformed, has another unit or has
/// several ranges is ignored, as RFC 9110 allows.
pub(super) fn requested_range(header: &str, size: u64) -> RequestedRange {
    let Ok(ranges) = parse_range_header(header) else { return RequestedRange::Whole };
    let ranges = ranges.into_ranges();
    let [range] = ranges.as_slice() else { return RequestedRange::Whole };
    let part = match *range {
        Spec::FromStart(first) => first..size,
        Spec::Indexed(first, last) => first..last.saturating_add(1).min(size),
        Spec::FromLast(0) => return RequestedRange::Unsatisfiable,
        // A suffix of an empty representation is satisfiable, but cannot be expressed as a Content-Range.
        Spec::FromLast(_) if size == 0 => return RequestedRange::Whole,
        Spec::FromLast(length) => size.saturating_sub(length)..size,
    };
    if part.start < size { RequestedRange::Part(part) } else { RequestedRange::Unsatisfiable }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_range_includes_its_first_and_last_byte(size in 0..50_u64, first in 0..60_u64, length in 0..60_u64) {
            let body: Vec<u64> = (0..size).collect();
            let last = first + length;
            let expected: Vec<u64> = body.iter().copied().filter(|at| (first..=last).contains(at)).collect();
            prop_assert_eq!(slice(&body, &format!("bytes={first}-{last}")), Some(expected));
            let expected: Vec<u64> = body.iter().copied().filter(|at| *at >= first).collect();
            prop_assert_eq!(slice(&body, &format!("bytes={first}-")), Some(expected));
        }

        #[test]
        fn a_suffix_is_the_last_bytes(size in 1..50_u64, length in 0..60_usize) {
            let body: Vec<u64> = (0..size).collect();
            let expected: Vec<u64> = body.iter().rev().take(length).rev().copied().collect();
            prop_assert_eq!(slice(&body, &format!("bytes=-{length}")), Some(expected));
        }
    }

    /// The bytes that are sent, empty if unsatisfiable; `None` if the header is ignored.
    fn slice(body: &[u64], header: &str) -> Option<Vec<u64>> {
        match requested_range(header, body.len() as u64) {
            RequestedRange::Whole => None,
            RequestedRange::Unsatisfiable => Some(Vec::new()),
            RequestedRange::Part(range) => {
                assert!(range.start < range.end && range.end <= body.len() as u64, "{range:?}");
                Some(body.iter().copied().filter(|at| range.contains(at)).collect())
            }
        }
    }

    #[test]
    fn headers_that_are_not_one_byte_range_are_ignored() {
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=5-2",
            "bytes=1--2",
            "items=0-1",
            "bytes=0-1,3-4",
            "0-1",
        ] {
            assert_eq!(requested_range(header, 10), RequestedRange::Whole, "{header}");
        }
    }

    #[test]
    fn large_numbers_do_not_overflow() {
        let max = u64::MAX;
        assert_eq!(requested_range(&format!("bytes=0-{max}"), 10), RequestedRange::Part(0..10));
        assert_eq!(requested_range(&format!("bytes={max}-{max}"), 10), RequestedRange::Unsatisfiable);
        assert_eq!(requested_range(&format!("bytes=-{max}0"), 10), RequestedRange::Part(0..10));
        assert_eq!(requested_range("bytes=0-0", 0), RequestedRange::Unsatisfiable);
        assert_eq!(requested_range("bytes=0-", 0), RequestedRange::Unsatisfiable);
        assert_eq!(requested_range("bytes=-0", 0), RequestedRange::Unsatisfiable);
        assert_eq!(requested_range("bytes=-1", 0), RequestedRange::Whole);
        assert_eq!(requested_range("BYTES=0-0", 1), RequestedRange::Part(0..1));
    }
}
