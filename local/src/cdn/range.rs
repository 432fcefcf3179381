//! Byte ranges: <https://www.rfc-editor.org/rfc/rfc9110#name-range-requests>.

use std::ops::Range;

use http_range_header::{SyntacticallyCorrectRange as Spec, parse_range_header};

/// What of a representation is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it.
    Whole,
    /// These bytes: never empty, never beyond the end.
    Part(Range<u64>),
    /// The range has no byte of it.
    Unsatisfiable,
}

/// Reads a `Range` header for a representation of `size` bytes. A header that is malformed, has another unit or has
/// several ranges is ignored, as RFC 9110 allows: the whole is sent.
pub(super) fn wanted(header: &str, size: u64) -> Wanted {
    let Ok(ranges) = parse_range_header(header) else { return Wanted::Whole };
    let ranges = ranges.into_ranges();
    let [range] = ranges.as_slice() else { return Wanted::Whole };
    let part = match *range {
        Spec::FromStart(first) => first..size,
        Spec::Indexed(first, last) => first..last.saturating_add(1).min(size),
        Spec::FromLast(0) => return Wanted::Unsatisfiable,
        // A suffix of nothing is satisfiable, but no Content-Range can say so.
        Spec::FromLast(_) if size == 0 => return Wanted::Whole,
        Spec::FromLast(length) => size.saturating_sub(length)..size,
    };
    if part.start < size { Wanted::Part(part) } else { Wanted::Unsatisfiable }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn first_and_last_count_from_zero_and_include_both(size in 0..50_u64, first in 0..60_u64, length in 0..60_u64) {
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

    /// The bytes sent, none if unsatisfiable; `None` if the header is ignored.
    fn slice(body: &[u64], header: &str) -> Option<Vec<u64>> {
        match wanted(header, body.len() as u64) {
            Wanted::Whole => None,
            Wanted::Unsatisfiable => Some(Vec::new()),
            Wanted::Part(range) => {
                assert!(range.start < range.end && range.end <= body.len() as u64, "{range:?}");
                Some(body.iter().copied().filter(|at| range.contains(at)).collect())
            }
        }
    }

    #[test]
    fn what_is_not_one_range_of_bytes_is_ignored() {
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
            assert_eq!(wanted(header, 10), Wanted::Whole, "{header}");
        }
    }

    #[test]
    fn the_ends_of_the_numbers_do_not_overflow() {
        let max = u64::MAX;
        assert_eq!(wanted(&format!("bytes=0-{max}"), 10), Wanted::Part(0..10));
        assert_eq!(wanted(&format!("bytes={max}-{max}"), 10), Wanted::Unsatisfiable);
        assert_eq!(wanted(&format!("bytes=-{max}0"), 10), Wanted::Part(0..10));
        assert_eq!(wanted("bytes=0-0", 0), Wanted::Unsatisfiable);
        assert_eq!(wanted("bytes=0-", 0), Wanted::Unsatisfiable);
        assert_eq!(wanted("bytes=-0", 0), Wanted::Unsatisfiable);
        assert_eq!(wanted("bytes=-1", 0), Wanted::Whole);
        assert_eq!(wanted("BYTES=0-0", 1), Wanted::Part(0..1));
    }
}
