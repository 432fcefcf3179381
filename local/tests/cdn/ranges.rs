//! A range request returns the slice of the object.

use http::Method;
use proptest::prelude::*;

use crate::clock::NOW;
use crate::memory_origin::MemoryOrigin;
use crate::signer::{ANY, policy, signed};
use crate::test_cdn::{BASE, TestCdn};

/// A reference implementation of RFC 9110 for a `Range` header with at most one range: the status and the bytes.
fn model(header: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let whole = (200, body.to_vec());
    let Some(spec) = header.strip_prefix("bytes=") else { return whole };
    let Some((first, last)) = spec.split_once('-') else { return whole };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(first) || !digits(last) || (first.is_empty() && last.is_empty()) {
        return whole;
    }
    let number = |text: &str| text.parse::<usize>().unwrap_or(usize::MAX);
    let chosen: Vec<u8> = if first.is_empty() {
        let skip = body.len().saturating_sub(number(last));
        body.iter().skip(skip).copied().collect()
    } else if last.is_empty() {
        body.iter().skip(number(first)).copied().collect()
    } else if number(last) < number(first) {
        return whole;
    } else {
        body.iter()
            .enumerate()
            .filter(|(at, _)| (number(first)..=number(last)).contains(at))
            .map(|(_, byte)| *byte)
            .collect()
    };
    match (chosen.is_empty(), first.is_empty() && number(last) > 0) {
        // A suffix of an empty body is the whole body.
        (true, true) => whole,
        (true, false) => (416, Vec::new()),
        (false, _) => (206, chosen),
    }
}

fn range_header() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => (0..4000_u64, 0..4000_u64).prop_map(|(first, last)| format!("bytes={first}-{last}")),
        4 => (0..4000_u64).prop_map(|first| format!("bytes={first}-")),
        4 => (0..4000_u64).prop_map(|length| format!("bytes=-{length}")),
        1 => any::<u64>().prop_map(|last| format!("bytes=1-{last}")),
        1 => any::<u64>().prop_map(|length| format!("bytes=-{length}")),
        2 => r"bytes=[0-9\-]{0,4}",
        1 => r"[a-z]{0,6}=?[0-9\-]{0,4}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_range_request_returns_the_slice_of_the_object(size in prop_oneof![Just(0_usize), 1..3000_usize], header in range_header()) {
        let body: Vec<u8> = (0..size).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let cdn = TestCdn::with(MemoryOrigin::default().with("a", "video/mp4", body.clone()));
        let url = signed(&format!("{BASE}/a"), &ANY.custom(&policy("*", NOW + 60, None, None)));
        let response = cdn.request(&Method::GET, &url, &[("range", &header)]);

        let (status, expected) = model(&header, &body);
        prop_assert_eq!(response.status.as_u16(), status, "{} of {}", &header, size);
        if status == 416 {
            prop_assert_eq!(response.header("content-range"), format!("bytes */{size}"));
            return Ok(());
        }
        prop_assert_eq!(response.header("content-length"), expected.len().to_string());
        prop_assert_eq!(&response.body, &expected, "{} of {}", &header, size);
        if status == 206 {
            let place = response.header("content-range").strip_prefix("bytes ").unwrap();
            let (range, total) = place.split_once('/').unwrap();
            let (first, last) = range.split_once('-').unwrap();
            let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
            prop_assert_eq!(total, size.to_string());
            prop_assert_eq!(&body[first..=last], &expected[..]);
        } else {
            prop_assert_eq!(response.header("content-range"), "");
        }
    }
}

#[test]
fn several_ranges_are_ignored() {
    let cdn = TestCdn::with(MemoryOrigin::default().with("a", "video/mp4", "0123456789"));
    let url = signed(&format!("{BASE}/a"), &ANY.custom(&policy("*", NOW + 60, None, None)));
    let response = cdn.request(&Method::GET, &url, &[("range", "bytes=0-1,4-5")]);
    assert_eq!((response.status.as_u16(), response.text()), (200, "0123456789"));
    let twice = cdn.request(&Method::GET, &url, &[("range", "bytes=0-1"), ("range", "bytes=4-5")]);
    assert_eq!((twice.status.as_u16(), twice.text()), (200, "0123456789"));
}
