//! The header `Range`: at the CDN and in the worker's relay.

use std::ops::Range;

use streamio_local::cdn::testing::{RequestedRange, requested_range};
use streamio_worker::relay::testing::requested_range as relayed_range;

use crate::text;

/// Both agree with RFC 9110, section 14: the relay for ranges from a first byte on. The first line is the size.
pub fn check(data: &[u8]) {
    let ([size], header) = text::lines(data);
    let (size, Some(header)) = (text::number(size), text::of(header)) else { return };
    let served = requested_range(header, size);
    let relayed = relayed_range(header, size);
    match parse(header) {
        None => match parse(&simplified(header)) {
            // Another parser may be more tolerant, but then it is right about the range.
            Some(spec) => assert!(
                served == RequestedRange::Whole || served == expected(spec, size),
                "{header:?} of {size}: {served:?}"
            ),
            None => assert_eq!(served, RequestedRange::Whole, "{header:?}"),
        },
        Some(spec) => assert_eq!(served, expected(spec, size), "{header:?} of {size}"),
    }
    match parse(header) {
        Some(Spec::Between(first, last)) => {
            let end = last.map_or(size, |last| last.saturating_add(1).min(size));
            assert_eq!(relayed, (first < end).then_some(first..end), "{header:?} of {size}");
        }
        _ => assert_eq!(relayed, Some(0..size), "{header:?} of {size}"),
    }
}

#[derive(Clone, Copy)]
enum Spec {
    Between(u64, Option<u64>),
    Last(u64),
}

fn expected(spec: Spec, size: u64) -> RequestedRange {
    let part: Range<u64> = match spec {
        Spec::Between(first, last) => first..last.map_or(size, |last| last.saturating_add(1).min(size)),
        Spec::Last(0) => return RequestedRange::Unsatisfiable,
        Spec::Last(_) if size == 0 => return RequestedRange::Whole,
        Spec::Last(length) => size.saturating_sub(length)..size,
    };
    if part.start < size { RequestedRange::Part(part) } else { RequestedRange::Unsatisfiable }
}

/// The header without what RFC 9110 lets a recipient ignore: white space, the unit's case, and empty elements of the list.
fn simplified(header: &str) -> String {
    let header = header.to_ascii_lowercase().replace([' ', '\t'], "");
    let Some(list) = header.strip_prefix("bytes=") else { return header };
    let elements: Vec<&str> = list.split(',').filter(|element| !element.is_empty()).collect();
    format!("bytes={}", elements.join(","))
}

/// One range of bytes; `None` for several and for anything else. Numbers beyond 64 bits are taken as the largest.
fn parse(header: &str) -> Option<Spec> {
    let (first, last) = header.strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    match (first, last) {
        ("", last) => Some(Spec::Last(number(last)?)),
        (first, "") => Some(Spec::Between(number(first)?, None)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Spec::Between(first, Some(last)))
        }
    }
}
